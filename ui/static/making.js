// Collections that are being made: how far the download and the export of their model are, and cancelling them.

import { h } from "./html.js";
import { request } from "./http.js";
import { downloadFigures, exportSteps, learnModels, loadingFigures, modelNamed, titleOf, watchModels } from "./models.js";
import { notify } from "./session.js";

let list = null;
let whenMade = null;
let before = null; // their states when they were last seen

export function mountMakings(element, made) {
  list = element;
  whenMade = made;
  watchModels(show);
}

function show({ makings, downloads }) {
  const done = before ? makings.filter(({ collection, state }) => state === "done" && before.get(collection) !== state) : [];
  before = new Map(makings.map(({ collection, state }) => [collection, state]));
  const focused = list.contains(document.activeElement) && document.activeElement.closest("[data-making]");
  const shown = makings.filter(({ state }) => state !== "done");
  list.replaceChildren(
    ...shown.map((making) => row(making, downloads.find(({ name }) => name === making.model))),
  );
  if (focused) list.querySelector(`[data-making="${CSS.escape(focused.dataset.making)}"] button`)?.focus();
  for (const { collection } of done) whenMade(collection);
}

/** Brings them into view, where one was asked for further down. */
export const showMakings = () => list.scrollIntoView({ block: "center" });

const isUnfinished = (state) => state === "downloading" || state === "preparing";
const STATES = { downloading: "Downloading", preparing: "Preparing", failed: "Stopped", cancelled: "Cancelled" };

function row(making, download) {
  const { collection, model, state, error } = making;
  const isOn = isUnfinished(state);
  const figures =
    state === "downloading" && download
      ? downloadFigures(download)
      : state === "preparing"
        ? loadingFigures(modelNamed(model))
        : [error];
  const bar =
    state === "downloading" && download
      ? { max: download.total_bytes || 1, value: download.done_bytes }
      : modelNamed(model)?.loading?.stage
        ? exportSteps(modelNamed(model))
        : {};
  return h(
    "li",
    { class: "job", "data-making": collection },
    h(
      "p",
      {},
      h("strong", {}, collection),
      ` · ${STATES[state]} ${titleOf(model)}`,
      ...figures.filter(Boolean).map((figure) => ` · ${figure}`),
    ),
    isOn && h("progress", { ...bar, "aria-label": `${collection}: done so far` }),
    h(
      "span",
      { class: "job-actions" },
      !isOn && button("Go on", () => goOn(making)),
      button(isOn ? "Cancel" : "Dismiss", () => end(collection)),
    ),
  );
}

const button = (words, run) => h("button", { type: "button", class: "text-button", onclick: run }, words);

async function goOn({ collection, model }) {
  const { error } = await request("POST", "api/makings", { name: collection, model, download: true });
  if (error) notify(error.message);
  learnModels();
}

async function end(collection) {
  await request("DELETE", `api/makings/${encodeURIComponent(collection)}`);
  learnModels();
}
