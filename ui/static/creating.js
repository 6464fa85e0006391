// The dialog that makes a collection: a name, a model, and what that costs before anything is downloaded.

import { h } from "./html.js";
import { request } from "./http.js";
import { showMakings } from "./making.js";
import { NEEDS_FULL, learnModels, lookUp, modelNamed, size, titleOf, watchModels } from "./models.js";

const TYPING_MS = 600;
const MAKE = "Make collection";

let dialog = null;
let form = null;
let known = null; // what the Library knows: collections and models
let made = null; // called with the name of what was made at once
let cost = null; // of the model that is chosen: what the look-up said, or null while it is not known
let turn = 0;

export function mountCreating(element, { whenMade }) {
  dialog = element;
  form = dialog.querySelector("form");
  made = whenMade;
  for (const button of dialog.querySelectorAll("[data-cancel]")) button.addEventListener("click", () => dialog.close());
  let typing = 0;
  form.elements.other.addEventListener("input", () => {
    for (const radio of form.querySelectorAll("input[type=radio]")) radio.checked = false;
    clearTimeout(typing);
    typing = setTimeout(showCost, TYPING_MS);
  });
  form.addEventListener("change", (event) => {
    if (event.target.type !== "radio") return;
    form.elements.other.value = "";
    showCost();
  });
  form.addEventListener("submit", submit);
  watchModels(() => dialog.open || showChoices());
}

/** `model`: the one that is chosen beforehand; none at all where it is null. */
export function askForNew(collections, models, model) {
  known = { collections, models };
  showChoices();
  form.reset();
  const radios = [...form.querySelectorAll("input[type=radio]")];
  const picked = radios.find((radio) => radio.value === model) ?? (model === undefined ? radios[0] : null);
  for (const radio of radios) radio.checked = radio === picked;
  if (model && !picked) form.elements.other.value = model;
  if (model) form.elements.name.value = freeName(model);
  fail(null);
  dialog.showModal();
  picked?.closest("label").scrollIntoView({ block: "nearest" });
  (model ? dialog.querySelector("footer .primary") : form.elements.name).focus();
  showCost();
}

/** Such as "ViT-B-32", which no collection has. */
function freeName(model) {
  const plain = titleOf(model).split("/").slice(titleOf(model) === model ? -1 : 0).join("-");
  const base = plain.replace(/\(.*\)/, "").replace(/[^A-Za-z0-9 _.-]+/g, " ").trim().slice(0, 48) || "images";
  const taken = new Set(known.collections.map(({ name }) => name.toLowerCase()));
  let name = base;
  for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${base} ${n}`;
  return name;
}

function showChoices() {
  if (!known) return;
  const legend = dialog.querySelector("legend");
  dialog.querySelector(".models").replaceChildren(legend, ...known.models.map(choice));
}

function choice({ name, title, note }) {
  const model = modelNamed(name);
  return h(
    "label",
    { class: "model" },
    h("input", { type: "radio", name: "model", value: name, disabled: !!model?.needs_full }),
    h("span", {}, h("strong", {}, title), h("span", {}, note)),
    h("span", { class: "model-size" }, sizeOf(model)),
  );
}

function sizeOf(model) {
  if (!model) return "";
  if (model.needs_full) return "needs torch";
  if (model.state !== "needs_download") return model.name === "pocket" ? "" : "here";
  const missing = model.missing_bytes ?? model.about_bytes;
  return missing ? `${model.missing_bytes === null ? "about " : ""}${size(missing)}` : "";
}

const chosen = () => form.elements.other.value.trim() || form.elements.model?.value;

/** What making it would take; the hub is asked where the model is not here. */
async function showCost() {
  const mine = ++turn;
  const name = chosen();
  const here = modelNamed(name);
  cost = null;
  fail(null);
  tell("");
  if (!name) return label(MAKE, false);
  if (here && here.state !== "needs_download") cost = here;
  else if (!form.elements.other.value.trim() && !here) cost = { name, state: "unknown" };
  if (!cost) {
    label("Looking it up…", false);
    const found = await lookUp(name);
    if (mine !== turn || !dialog.open) return;
    if (found.error) {
      fail(found.error.message);
      return label(MAKE, false);
    }
    cost = found;
  }
  const waits = cost.state === "needs_download" && cost.missing_bytes > 0;
  tell([waits && `It comes from ${cost.where}, and is checked.`, cost.state !== "unknown" && cost.note].filter(Boolean).join(" "));
  if (cost.needs_full) fail(NEEDS_FULL);
  const words = waits ? `Download ${size(cost.missing_bytes)} and make collection` : MAKE;
  label(words, !cost.needs_full);
}

async function submit(event) {
  event.preventDefault();
  const name = form.elements.name.value.trim();
  const model = chosen();
  if (!cost || cost.name !== model) return showCost();
  const before = dialog.querySelector("footer .primary").textContent;
  label("One moment…", false);
  const inBackground = cost.state === "needs_download" || cost.state === "needs_export";
  const answer = inBackground
    ? await request("POST", "api/makings", { name, model, download: cost.state === "needs_download" })
    : await request("POST", "api/collections", { name, model });
  if (!answer.error && !inBackground) await made(name);
  label(before, true);
  if (answer.error) return fail(answer.error.message);
  dialog.close();
  await learnModels();
  if (inBackground) showMakings();
}

function label(words, isReady) {
  const button = dialog.querySelector("footer .primary");
  button.textContent = words;
  button.disabled = !isReady;
}

function tell(words) {
  const place = dialog.querySelector(".cost");
  place.hidden = !words;
  place.textContent = words;
}

function fail(message) {
  const place = dialog.querySelector(".ask-error");
  place.hidden = !message;
  place.textContent = message ?? "";
}
