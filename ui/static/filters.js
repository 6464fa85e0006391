// The drawer on the left: conditions on the collection's metadata fields, applied at once.

import { drawIcons, h, icon } from "./html.js";
import { holding } from "./place.js";
import { refine, session, watch } from "./session.js";

const SHOWN = 8; // values of a field before "more"

let shown = null; // the fields that stand there
let marked = null; // the conditions that they were marked by last

export function mount(element) {
  drawIcons(element);
  const isOpen = () => document.body.classList.contains("filters-open");
  element.querySelector("[data-close]").addEventListener("click", () => {
    close();
    document.querySelector("[data-filters]").focus();
  });
  document.addEventListener("pointerdown", (event) => {
    const isOver = matchMedia("(width < 1024px)").matches; // it lies over the pictures there
    if (isOver && isOpen() && !event.target.closest("#filters, [data-filters]")) close();
  });
  watch(["about"], () => showFields(element.querySelector(".fields")));
  watch(["query", "about"], () => mark(element));
}

function close() {
  holding(null, () => document.body.classList.remove("filters-open"));
  document.querySelector("[data-filters]").setAttribute("aria-expanded", "false");
}

/** The conditions as words, each with what removes it: for the line above the grid. */
export function activeFilters() {
  return Object.entries(session.query.where).map(([field, condition]) =>
    h(
      "li",
      { class: "chip" },
      h("span", { class: "chip-name" }, `${label(field)}: ${inWords(condition)}`),
      h(
        "button",
        {
          type: "button",
          class: "chip-remove",
          "aria-label": `Remove the filter on ${label(field)}`,
          onclick: () => set(field, null),
        },
        icon("close"),
      ),
    ),
  );
}

export const label = (field) => field.replaceAll("_", " ");
export const named = (value) => (value === "" ? "(empty)" : String(value));

export function set(field, condition) {
  const { [field]: _, ...where } = session.query.where;
  refine({ where: condition ? { ...where, [field]: condition } : where });
}

function inWords(condition) {
  if (condition === null || typeof condition !== "object") return named(condition);
  if (condition.in) return condition.in.map(named).join(", ");
  const { gte, lte } = condition;
  if (gte !== undefined && lte !== undefined) return `${gte} to ${lte}`;
  if (gte !== undefined) return `from ${gte}`;
  if (lte !== undefined) return `up to ${lte}`;
  return Object.entries(condition)
    .map(([operator, value]) => `${operator} ${value}`)
    .join(", ");
}

function showFields(place) {
  const told = JSON.stringify(session.about.fields);
  if (told === shown) return; // what somebody types there stays
  shown = told;
  marked = null;
  place.replaceChildren(
    ...Object.entries(session.about.fields).map(([field, found]) => {
      const isNumber = found.every((value) => typeof value === "number");
      const isNumeric = isNumber && found.length > SHOWN;
      // Words: the commonest first, and what has none last.
      const values = isNumber ? found.toSorted((a, b) => a - b) : found.toSorted((a, b) => (a === "") - (b === ""));
      return h(
        "fieldset",
        { "data-field": field },
        h("legend", {}, label(field)),
        isNumeric ? range(field, values) : list(field, values),
      );
    }),
  );
}

function list(field, values) {
  const boxes = values.map((value) => {
    const input = h("input", { type: "checkbox", onchange: () => set(field, checked(field)) });
    input.stands = value; // as it is, not as a text
    return h("label", { class: "option" }, input, h("span", {}, named(value)));
  });
  const box = h("div", { class: "options" }, boxes.slice(0, SHOWN));
  if (boxes.length > SHOWN) {
    const rest = h("details", {}, h("summary", {}, `${boxes.length - SHOWN} more`), boxes.slice(SHOWN));
    box.append(rest);
  }
  return box;
}

function range(field, values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const input = (end, value) =>
    h("input", {
      type: "number",
      "data-end": end,
      placeholder: value,
      step: "any",
      "aria-label": `${label(field)}, ${end === "gte" ? "from" : "to"}`,
      onchange: () => setRange(field),
    });
  return h("div", { class: "range" }, input("gte", low), h("span", {}, "to"), input("lte", high));
}

const group = (field) => document.querySelector(`#filters fieldset[data-field="${CSS.escape(field)}"]`);

function checked(field) {
  const chosen = [...group(field).querySelectorAll("input:checked")].map((input) => input.stands);
  return chosen.length ? { in: chosen } : null;
}

function setRange(field) {
  const condition = {};
  for (const input of group(field).querySelectorAll("input"))
    if (input.value !== "") condition[input.dataset.end] = Number(input.value);
  set(field, Object.keys(condition).length ? condition : null);
}

function mark(element) {
  const wanted = JSON.stringify(session.query.where);
  const isSame = wanted === marked;
  marked = wanted;
  for (const fieldset of element.querySelectorAll("fieldset")) {
    const field = fieldset.dataset.field;
    const condition = session.query.where[field];
    const chosen = new Set(condition?.in ?? []);
    fieldset.querySelectorAll("input").forEach((input) => {
      if (input.type === "checkbox") input.checked = chosen.has(input.stands);
      else if (!isSame || input !== document.activeElement) input.value = condition?.[input.dataset.end] ?? "";
    });
  }
}
