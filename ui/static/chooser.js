// The table of models on the Library tab: what each is good for, what it costs, how fast it is on this machine.

import { h, icon } from "./html.js";
import { request } from "./http.js";
import { NEEDS_FULL, learnModels, loadingFigures, lookUp, size, watchModels } from "./models.js";

let view = null;
let mayChange = false;
let told = null; // what the table was drawn from
let make = null; // what a model's button does
const unfolded = new Set(); // the models whose figures are shown on a phone, where a row has no room for them
let turn = 0; // of the names that are looked up: only the last one's answer is shown

export function mountChooser(element, { makeWith }) {
  view = element;
  make = makeWith;
  const form = element.querySelector("form.other-model");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    find(form);
  });
  watchModels(show);
}

export function allowChanges(may) {
  mayChange = may;
  view.querySelector("form.other-model").hidden = !may;
  if (told) show(told);
}

function show(answer) {
  told = answer;
  const { models, sources, machine, speed_test: test } = told;
  const shown = models.filter((model) => model.is_choice || model.state !== "unknown");
  const focused = view.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  view.querySelector("tbody").replaceChildren(...shown.map((model) => row(model, test)));
  if (focused) view.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  view.querySelector(".machine").textContent = machine && `This machine: ${machine}`;
  const source = ({ name, address }) => h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, name);
  if (sources.recall && !view.querySelector(".sources").childElementCount)
    view.querySelector(".sources").append(
      "Photographs: of pictures described by people, how many their description finds (Crossmodal-3600, mean recall at " +
        "1, 5 and 10, in per cent; ",
      source(sources.recall),
      "). Drawings: black and white drawings of things put to the right one of a thousand names (ImageNet-Sketch, per cent; ",
      source(sources.sketch),
      "). “–”: not published there. Memory marked * is published too; the rest was measured here.",
    );
}

const none = () => h("span", { class: "none" }, "–");
const figure = (value) => (value === null || value === undefined ? none() : value.toFixed(1));
const cell = (label, ...content) => h("td", { "data-label": label }, ...content);

function row(model, test) {
  return h(
    "tr",
    { class: unfolded.has(model.name) ? "is-unfolded" : "" },
    h(
      "th",
      { scope: "row" },
      h("strong", {}, model.title ?? model.name),
      model.about && h("span", { class: "model-about" }, model.about),
      model.title && model.name !== "pocket" && h("code", {}, model.name),
      ...remarks(model),
    ),
    cell("Languages", model.languages || none()),
    cell("Photographs, English", figure(model.recall_en)),
    cell("Photographs, German", figure(model.recall_de)),
    cell("Drawings", figure(model.sketch)),
    h("td", { "data-label": "Download", class: "model-download" }, ...download(model)),
    cell("Memory", ...memory(model)),
    cell("On this machine", ...speed(model, test)),
    h("td", { class: "model-action" }, unfolding(model), action(model), removal(model)),
  );
}

function unfolding({ name, title }) {
  return h(
    "button",
    {
      type: "button",
      class: "text-button unfolding",
      "aria-label": `Figures of ${title ?? name}`,
      "aria-expanded": String(unfolded.has(name)),
      onclick: ({ currentTarget }) => {
        const isOpen = currentTarget.closest("tr").classList.toggle("is-unfolded");
        currentTarget.setAttribute("aria-expanded", isOpen);
        isOpen ? unfolded.add(name) : unfolded.delete(name);
      },
    },
    "Figures",
  );
}

function remarks(model) {
  return [
    model.needs_full &&
      h(
        "span",
        { class: "remark" },
        ...["Needs torch: run ", h("code", {}, "make full"), " once, or use the image's target ", h("code", {}, "full"), "."],
      ),
    model.loading && h("span", { class: "remark" }, loadingFigures(model).join(" · ")),
    model.warning && h("span", { class: "remark" }, icon("warn"), model.warning),
    model.collections.length > 0 && h("span", { class: "remark quiet" }, `Used by ${model.collections.join(", ")}`),
  ];
}

function download({ name, state, total_bytes: total, missing_bytes: missing, about_bytes: about }) {
  if (name === "pocket") return ["bundled"];
  if (state === "ready" || state === "needs_export") return [h("span", { class: "here" }, "here")];
  if (state !== "needs_download") return [none()];
  if (missing !== null && missing < total) return [`${size(missing)} more`];
  if (total !== null) return [size(total)];
  return [about ? `about ${size(about)}` : "not known yet"];
}

function memory({ speed: measured, memory_bytes: published }) {
  if (measured?.memory_bytes) return [size(measured.memory_bytes)];
  return [published ? `${size(published)} *` : h("span", { class: "none" }, "not measured")];
}

function speed({ name, title, state, speed: measured }, test) {
  const isRunning = test?.is_running && test.name === name;
  const said = measured
    ? [h("span", {}, `${perText(measured.text_ms)} a query`), h("span", {}, `${perSecond(measured.images_per_s)} images/s`)]
    : [h("span", { class: "none" }, "not measured")];
  if (isRunning) return [h("span", { role: "status" }, "Measuring…")];
  const failed = test?.name === name && test.error && h("span", { class: "remark" }, test.error);
  const button = h(
    "button",
    {
      type: "button",
      class: "text-button",
      "aria-label": `Measure the speed of ${title ?? name}`,
      disabled: !!test?.is_running,
      onclick: () => measure(name),
    },
    measured ? "Measure again" : "Measure, 5 s",
  );
  return [...said, state === "ready" && mayChange && button, failed];
}

const perText = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);
const perSecond = (count) => (count < 10 ? count.toFixed(1) : Math.round(count).toLocaleString("en"));

async function measure(name) {
  const { error } = await request("POST", "api/models/speed", { model: name });
  fail(error?.message);
  learnModels();
}

function action(model) {
  if (!mayChange || model.needs_full || model.state === "unknown") return null;
  return h(
    "button",
    {
      type: "button",
      class: "button small",
      "aria-label": `Make a collection with ${model.title ?? model.name}`,
      onclick: () => make(model.name),
    },
    "Make a collection",
  );
}

let doomed = null; // the model whose removal waits for a second click

/** Of what was fetched and no collection needs. */
function removal({ name, title, revision, collections, total_bytes: total }) {
  if (!mayChange || !revision || collections.length) return null;
  const isAsked = doomed === name;
  return h(
    "button",
    {
      type: "button",
      class: isAsked ? "text-button is-asked" : "text-button",
      "aria-label": `Remove ${title ?? name}${isAsked ? ", really" : ""}`,
      onclick: () => (isAsked ? remove(name) : askToRemove(name)),
      onblur: () => (doomed = null),
    },
    isAsked ? `Remove ${size(total)}?` : "Remove",
  );
}

function askToRemove(name) {
  doomed = name;
  learnModels().then(() => view.querySelector(".is-asked")?.focus());
}

async function remove(name) {
  doomed = null;
  const { error } = await request("POST", "api/models/remove", { model: name });
  fail(error?.message);
  learnModels();
}

/** Any other name: what it would cost, or in one sentence why it is none. */
async function find(form) {
  const name = form.elements.model.value.trim();
  if (!name) return;
  fail(null);
  const place = form.querySelector(".found");
  const mine = ++turn;
  place.replaceChildren("Looking it up…");
  const found = await lookUp(name);
  if (mine !== turn) return;
  place.replaceChildren();
  if (found.error) {
    place.append(h("span", { class: "ask-error", role: "alert" }, found.error.message));
    return place.scrollIntoView({ block: "nearest" });
  }
  const where = found.state === "needs_download" ? `${size(found.missing_bytes)} from ${found.where}` : "It is here";
  place.append(
    h("span", {}, [`${where}.`, found.note, found.needs_full && NEEDS_FULL].filter(Boolean).join(" ")),
    ...(found.needs_full
      ? []
      : [h("button", { type: "button", class: "button small", onclick: () => make(name) }, "Make a collection with it")]),
  );
}

function fail(message) {
  const place = view.querySelector(".ask-error");
  place.hidden = !message;
  place.textContent = message ?? "";
  if (message) place.scrollIntoView({ block: "nearest" });
}
