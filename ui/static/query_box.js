// The box: words and chips become the query; filters and pictures are added from here too.

import { drawIcons, h, icon } from "./html.js";
import { holding } from "./place.js";
import { acceptPictures, addPictures } from "./pictures.js";
import { refine, session, start, watch } from "./session.js";

export function mount(element, server) {
  drawIcons(element);
  const form = element.querySelector("form");
  const words = form.elements.q; // an Enter before this script is here asks by the address
  if (words.value) session.typed = words.value;
  const files = element.querySelector("input[type=file]");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (matchMedia("(hover: none)").matches) words.blur(); // the keyboard would cover the pictures
    refine({ text: words.value });
  });
  words.addEventListener("input", () => {
    session.typed = words.value;
    showClear(element);
  });
  words.addEventListener("keydown", (event) => {
    if (event.key === "Backspace" && words.selectionEnd === 0 && session.query.parts.length)
      refine({ parts: session.query.parts.slice(0, -1) });
    if (event.key === "ArrowDown") {
      event.preventDefault();
      document.querySelector(".tile .tile-open")?.focus();
    }
  });
  element.querySelector("[data-clear]").addEventListener("click", () => {
    words.focus();
    refine({ text: "", parts: [] });
  });
  element.querySelector("[data-add]").addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    addPictures([...files.files]);
    files.value = "";
  });
  element.querySelector("[data-filters]").addEventListener("click", (event) => {
    holding(null, () => document.body.classList.toggle("filters-open"));
    event.currentTarget.setAttribute("aria-expanded", document.body.classList.contains("filters-open"));
  });
  acceptPictures(element.querySelector(".drop-target"), element.querySelector(".field"));
  watch(["query", "about"], () => show(element, words));
  watch(["answer"], () => showProgress(element.querySelector(".progress")));
  new ResizeObserver(() => document.body.style.setProperty("--bar", `${element.offsetHeight}px`)).observe(element);
  start(server);
}

function show(element, words) {
  const { parts, where } = session.query;
  const text = session.typed ?? session.query.text;
  if (words.value !== text) words.value = text;
  const chips = element.querySelector(".chips");
  chips.hidden = parts.length === 0;
  chips.replaceChildren(...parts.map(chip));
  words.placeholder = parts.length
    ? "Add words"
    : matchMedia("(width < 600px)").matches
      ? "Describe an image"
      : "Describe an image, or drop a picture here";
  const filters = element.querySelector("[data-filters]");
  filters.hidden = Object.keys(session.about.fields).length === 0;
  filters.querySelector(".dot").hidden = Object.keys(where).length === 0;
  showClear(element);
}

function showClear(element) {
  element.querySelector("[data-clear]").hidden = !(session.typed ?? session.query.text) && session.query.parts.length === 0;
}

function chip(part) {
  const name = part.text ?? (part.label || (part.id ? "image of this collection" : "your picture"));
  const others = (change) => session.query.parts.flatMap((other) => (other === part ? change : other));
  return h(
    "li",
    { class: part.minus ? "chip minus" : "chip", title: part.minus ? `Without: ${name}` : name },
    h(
      "button",
      {
        type: "button",
        class: "chip-sign",
        "aria-label": part.minus ? `Subtracted: ${name}. Add it instead` : `Added: ${name}. Subtract it instead`,
        onclick: () => refine({ parts: others([{ ...part, minus: !part.minus }]) }),
      },
      icon(part.minus ? "minus" : "plus"),
    ),
    part.thumb && h("img", { src: part.thumb, alt: "" }),
    h("span", { class: part.text === undefined ? "chip-name of-picture" : "chip-name" }, name),
    h(
      "button",
      {
        type: "button",
        class: "chip-remove",
        "aria-label": `Remove ${name}`,
        onclick: () => refine({ parts: others([]) }),
      },
      icon("close"),
    ),
  );
}

let waiting = 0;

/** A line that runs only when an answer takes long enough to be noticed. */
function showProgress(line) {
  clearTimeout(waiting);
  if (session.status === "loading") waiting = setTimeout(() => (line.hidden = false), 150);
  else line.hidden = true;
}
