// The bar at the bottom: what can be done with the selected pictures.

import { copy } from "./detail.js";
import { count, h, icon } from "./html.js";
import { addItems, deselect, mark, notify, select, session, watch } from "./session.js";

export function mount(element) {
  const bar = element.querySelector(".selection");
  const chosen = () => [...session.selected.values()];
  const action = (label, drawing, run) =>
    h(
      "button",
      { type: "button", class: "button small", onclick: run },
      drawing && icon(drawing),
      h("span", {}, label),
    );
  bar.querySelector(".selection-actions").append(
    action("Copy paths", "copy", () =>
      copy(
        chosen()
          .map((hit) => hit.uri)
          .join("\n"),
      ),
    ),
    action("CSV", "download", () => takeAway("csv")),
    action("Zip", "archive", () => takeAway("zip")),
    action("Add to query", "plus", () => leave(() => addItems(chosen(), false))),
    action("Subtract", "minus", () => leave(() => addItems(chosen(), true))),
  );
  bar
    .querySelector("p")
    .after(action("Select all shown", "check", () => select(session.answer?.hits ?? [], true)));
  bar.append(
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": "Clear the selection",
        title: "Clear the selection (Esc)",
        onclick: () => {
          document.body.classList.remove("selecting");
          deselect();
        },
      },
      icon("close"),
    ),
  );
  watch(["selected"], () => {
    bar.hidden = session.selected.size === 0;
    bar.querySelector("p").textContent = `${count(session.selected.size, "image")} selected`;
  });
}

function leave(action) {
  action();
  document.body.classList.remove("selecting");
  select([...session.selected.values()], false);
}

/** What gives each row its rank and score, where a query found them. */
const ranks = () => (session.answer?.query ? { query: session.answer.query, where: session.query.where } : {});

/** A form, so that the browser saves the answer while it comes, however long it is. */
function takeAway(kind) {
  mark("export", [...session.selected.values()]);
  const request = { collection: session.query.collection, ids: [...session.selected.keys()], ...ranks() };
  const field = h("input", { type: "hidden", name: "request", value: JSON.stringify(request) });
  const form = h("form", { method: "post", action: `api/export.${kind}`, target: "download", hidden: true }, field);
  const frame = h("iframe", { name: "download", hidden: true, title: "Download", onload: () => tellRefusal(frame) });
  document.querySelector("iframe[name=download]")?.remove();
  document.body.append(frame, form);
  form.submit();
  form.remove();
}

/** A saved answer never reaches the frame; what does is the reason why there is none. */
function tellRefusal(frame) {
  const text = frame.contentDocument?.body?.textContent;
  if (!text) return;
  try {
    notify(JSON.parse(text).error.message);
  } catch {
    notify("That could not be saved. Try again.");
  }
}
