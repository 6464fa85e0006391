// The Library tab: the collections, making and deleting one, and what is being added to them.

import { acceptDrops, showAdding } from "./adding.js";
import { count, drawIcons, h, icon } from "./html.js";
import { request } from "./http.js";
import { allowChanges, mountChooser } from "./chooser.js";
import { askForNew as askFor, mountCreating } from "./creating.js";
import { lookAtJobs, mountJobs } from "./jobs.js";
import { mountMakings } from "./making.js";
import { showView } from "./masthead.js";
import { learnModels, modelNamed, titleOf, watchModels } from "./models.js";
import { choose, learn, notify, search, session } from "./session.js";

let view = null; // the mounted element
let known = { collections: [], models: [], may_change: false, why_not: null, limits: {} };
let adding = null; // the collection whose panel is open
let turn = 0; // of the refreshes

export function mount(element) {
  view = element;
  drawIcons(element);
  element.querySelector("[data-create]").addEventListener("click", () => askForNew());
  element.querySelector(".refused button").addEventListener("click", refresh);
  mountCreating(element.querySelector("dialog.create"), { whenMade: showMade });
  mountChooser(element.querySelector(".model-choice"), { makeWith: askForNew });
  mountMakings(element.querySelector(".makings"), showMade);
  watchModels(() => showShelf());
  prepareDelete(element.querySelector("dialog.delete"));
  acceptDrops();
  mountJobs(refresh);
  document.querySelector("#views [data-tab-id=library][role=tab]").addEventListener("click", refresh);
  refresh().then(arrive);
}

let wanted = null; // what to do as soon as the view is there and knows the collections

/** Shows the Library; `what` is "another" (model), "add" or nothing. */
export function toLibrary(what) {
  wanted = what;
  showView("library");
  latest?.then(arrive);
}

function arrive() {
  const what = wanted;
  wanted = null;
  if (what === "another") askForNew(null);
  if (what === "add") openAdding(session.query.collection);
}

let latest = null; // the refresh that was asked for last

const refresh = () => (latest = read());

async function read() {
  const mine = ++turn;
  await Promise.all([lookAtJobs(), learnModels()]); // before the collections, which then have what was made and added
  const answer = await request("GET", "api/collections");
  if (mine !== turn) return latest;
  if (!answer.error) known = answer;
  const refused = view.querySelector(".refused");
  refused.hidden = !answer.error && known.may_change;
  refused.classList.toggle("quiet", !answer.error);
  refused.querySelector("span").textContent = answer.error ? answer.error.message : known.why_not;
  view.querySelector("[data-create]").hidden = !known.may_change;
  view.querySelector(".own").hidden =
    !known.may_change || known.collections.some((collection) => !collection.read_only);
  allowChanges(known.may_change);
  showCopied(known.copy);
  showShelf();
}

/** How far the copy outside this machine is behind, where one is made. */
function showCopied(copy) {
  const line = view.querySelector(".copied");
  line.hidden = !copy;
  if (!copy) return;
  const minutes = Math.round(copy.age_s / 60);
  const age = minutes < 1 ? "less than a minute" : count(minutes, "minute");
  const last = `Copied to ${copy.to} ${age} ago; what is newer`;
  const never = `Not copied to ${copy.to} yet; what is here`;
  line.textContent = `${copy.copied_at ? last : never} is lost with this machine. ${copy.problem}`.trim();
}

/** A collection is there: what is left is to fill it. */
async function showMade(name) {
  adding = name;
  view.querySelector(".adding")?.remove();
  await refreshAll();
  view.querySelector(".adding")?.scrollIntoView({ block: "center" });
  notify(`“${name}” is made: add images to it.`);
}

/** What changed here is told to the Search tab too. */
async function refreshAll() {
  await refresh();
  if (!known.collections.some(({ name }) => name === session.query.collection)) await choose(known.default);
  else await learn();
}

function showShelf() {
  const shelf = view.querySelector(".shelf");
  const open = known.collections.find(({ name }) => name === adding);
  const focused = shelf.contains(document.activeElement) ? document.activeElement : null;
  const label = focused?.getAttribute("aria-label");
  const panel = shelf.querySelector(".adding");
  shelf.replaceChildren(...known.collections.map((collection) => row(collection, panel)));
  if (open && !panel) showAdding(shelf.querySelector(".adding"), open, { withAnother: () => askForNew(null) });
  if (focused?.isConnected) focused.focus(); // the panel's own; it was taken out and put back
  else if (label) shelf.querySelector(`[aria-label="${CSS.escape(label)}"]`)?.focus();
}

function row(collection, panel) {
  const { name, model, description, read_only: isReadOnly, health } = collection;
  const canAdd = known.may_change && !isReadOnly;
  const isOpen = adding === name;
  return h(
    "li",
    { class: "shelf-row" },
    h(
      "div",
      { class: "shelf-line" },
      h("div", { class: "shelf-name" }, h("h2", {}, name), description && h("p", {}, description)),
      h("p", { class: "shelf-count" }, count(collection.count, "image")),
      h("p", { class: "shelf-model", title: `${model}. ${collection.note}` }, titleOf(model)),
      h("p", { class: `state ${stateOf(collection).kind}` }, stateOf(collection).words),
      h(
        "div",
        { class: "shelf-actions" },
        h(
          "button",
          { type: "button", class: "button small", "aria-label": `Search ${name}`, onclick: () => toSearch(name) },
          icon("search"),
          "Search",
        ),
        canAdd &&
          h(
            "button",
            {
              type: "button",
              class: isOpen ? "button small is-on" : "button small",
              "aria-label": `Add images to ${name}`,
              "aria-expanded": String(isOpen),
              onclick: () => openAdding(isOpen ? null : name),
            },
            icon("plus"),
            "Add",
          ),
        canAdd &&
          h(
            "button",
            {
              type: "button",
              class: "icon-button",
              "aria-label": `Delete ${name}`,
              title: "Delete",
              onclick: () => askToDelete(collection),
            },
            icon("trash"),
          ),
      ),
    ),
    isOpen && (panel ?? h("div", { class: "adding" })),
  );
}

function stateOf({ model, read_only: isReadOnly, health }) {
  if (modelNamed(model)?.state === "needs_download") return { kind: "busy", words: "Model not here" };
  if (modelNamed(model)?.loading) return { kind: "busy", words: "Loading its model" };
  if (isReadOnly) return { kind: "quiet", words: "Read-only" };
  if (health.index === "building") return { kind: "busy", words: "Index being built" };
  if (health.index === "down") return { kind: "busy", words: "Exact search" };
  return { kind: "good", words: "Ready" };
}

function openAdding(name) {
  const collection = known.collections.find((collection) => collection.name === name);
  adding = collection && !collection.read_only && known.may_change ? name : null;
  view.querySelector(".adding")?.remove();
  showShelf();
  if (name && !adding && known.may_change) askForNew();
}

async function toSearch(name) {
  showView("search");
  if (name !== session.query.collection) return choose(name);
  await learn();
  await search({ push: false });
}

function askForNew(model) {
  if (known.may_change) askFor(known.collections, known.models, model);
}

let condemned = null; // the collection that the dialog is about

function askToDelete(collection) {
  condemned = collection.name;
  const dialog = view.querySelector("dialog.delete");
  dialog.querySelector("form").reset();
  dialog.querySelector(".what").textContent =
    `“${collection.name}” and its ${count(collection.count, "image")} can no longer be searched. ` +
    "Files that were added from a folder of this machine stay where they are; uploaded ones go.";
  dialog.querySelector(".danger").disabled = true;
  fail(dialog, null);
  dialog.showModal();
  dialog.querySelector("form").elements.name.focus();
}

function prepareDelete(dialog) {
  const { name } = dialog.querySelector("form").elements;
  name.addEventListener("input", () => (dialog.querySelector(".danger").disabled = name.value !== condemned));
  prepare(dialog, async () => {
    if (name.value !== condemned) return { message: "That is not its name." };
    const answer = await request("DELETE", `api/collections/${encodeURIComponent(condemned)}`);
    if (!answer.error) await refreshAll();
    return answer.error;
  });
}

/** A dialog whose form does `act`, and stays open with the reason where that fails. */
function prepare(dialog, act) {
  for (const button of dialog.querySelectorAll("[data-cancel]")) button.addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = dialog.querySelector("footer button:last-child");
    const label = button.textContent;
    button.disabled = true;
    button.textContent = "One moment…";
    const error = await act();
    button.textContent = label;
    button.disabled = false;
    error ? fail(dialog, error.message) : dialog.close();
  });
}

function fail(dialog, message) {
  const place = dialog.querySelector(".ask-error");
  place.hidden = !message;
  place.textContent = message ?? "";
}
