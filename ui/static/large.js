// The open image as large as the window; the detail stays below and goes along.

import { icon } from "./html.js";
import { session } from "./session.js";

/** `panel`: the detail, whose buttons are those of the keys. Returns what shows an image there. */
export function mountLarge(dialog, panel) {
  const [image, words] = [dialog.querySelector("img"), dialog.querySelector("p")];
  dialog.querySelector("button").append(icon("close"));
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    image.removeAttribute("src");
    panel.querySelector(".picture")?.focus({ preventScroll: true });
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "f") dialog.close();
    if (event.key === "ArrowLeft") panel.querySelector("[data-previous]").click();
    if (event.key === "ArrowRight") panel.querySelector("[data-next]").click();
    if (event.key.toLowerCase() === "x") panel.querySelector("[data-select]").click();
  });

  return function show({ id, image: address, thumb, caption, name }) {
    const wanted = address ?? thumb; // until the server has told where the large one is
    if (image.getAttribute("src") !== wanted) image.src = wanted;
    image.alt = caption || name;
    const place = panel.querySelector(".place").textContent;
    words.textContent = [caption || name, place, session.selected.has(id) && "selected"].filter(Boolean).join(" · ");
    if (!dialog.open) dialog.showModal();
  };
}
