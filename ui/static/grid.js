// The pictures found: tiles that are opened, selected, dragged, added; what is said around them, states.js knows.

import { activeFilters } from "./filters.js";
import { drawIcons, h, icon } from "./html.js";
import { ITEM } from "./pictures.js";
import { addItems, deselect, more, open, select, session, similar, watch } from "./session.js";
import { mountSize } from "./size.js";
import { loading, message, summary } from "./states.js";

const EAGER = 24; // pictures that are on the screen at once; the rest load when they come near
const SLOW_MS = 120; // an answer that takes longer shows that something is going on
const EXTREMES = [0.5, 2.4]; // width / height beyond which a picture is cropped in the grid

export function mount(element) {
  drawIcons(element);
  mountSize(element.querySelector(".size"));
  const tiles = element.querySelector(".tiles");
  const button = element.querySelector(".more button");
  const end = element.querySelector(".more");
  const nearEnd = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && more(), { rootMargin: "800px" });
  let slow = 0;
  let shown = { answer: null, hits: 0 };
  watch(["answer", "about"], () => {
    clearTimeout(slow);
    const { answer, status } = session;
    if (status === "loading") {
      slow = setTimeout(() => showWaiting(tiles), SLOW_MS);
      return;
    }
    tiles.classList.remove("is-stale");
    showSelectButton(element);
    element.querySelector(".summary").textContent = summary();
    element.querySelector(".message").replaceChildren(...message());
    const hits = status === "error" || !answer ? [] : answer.hits;
    const isContinued = shown.answer === answer && hits.length >= shown.hits && tiles.childElementCount === shown.hits;
    const hadFocus = tiles.contains(document.activeElement);
    if (isContinued) tiles.append(...hits.slice(shown.hits).map((hit, i) => tile(hit, shown.hits + i)));
    else tiles.replaceChildren(...hits.map(tile));
    const first = tiles.querySelector(".tile-open");
    if (!isContinued && first) first.tabIndex = 0;
    if (!isContinued && hadFocus) first?.focus({ preventScroll: true });
    shown = { answer, hits: hits.length };
    button.hidden = !answer || hits.length === 0 || hits.length >= answer.most;
    markSelected(tiles);
    nearEnd.unobserve(end); // looked at anew: what came may not have filled the screen
    nearEnd.observe(end);
  });
  watch(["loading"], () => {
    if (session.loading) element.querySelector(".summary").textContent = loading();
  });
  watch(["query"], () => showFilters(element));
  watch(["selected"], () => {
    markSelected(tiles);
    showSelectButton(element);
  });
  watch(["open"], () => markOpen(tiles));
  listen(tiles);
  button.addEventListener("click", more);
  element.querySelector("[data-select]").addEventListener("click", () => {
    const isOn = document.body.classList.toggle("selecting");
    if (!isOn) deselect();
    showSelectButton(element);
  });
}

function tile(hit, at) {
  const name = nameOf(hit);
  const shape = Math.min(EXTREMES[1], Math.max(EXTREMES[0], hit.width / hit.height || 1));
  const element = h(
    "li",
    { class: "tile", style: `--shape: ${shape.toFixed(3)}` },
    h(
      "button",
      { type: "button", class: "tile-open", tabindex: "-1", draggable: "true", "aria-label": name, title: name },
      h("img", {
        src: hit.thumb,
        alt: "",
        draggable: "false",
        loading: at < EAGER ? "eager" : "lazy",
        decoding: "async",
      }),
    ),
    badge(hit),
    h(
      "button",
      {
        type: "button",
        class: "tile-select",
        role: "checkbox",
        "aria-checked": "false",
        tabindex: "-1",
        "aria-label": `Select: ${name}`,
        title: "Select (x)",
      },
      icon("check"),
    ),
  );
  element.hit = hit;
  element.toggle = (isRange) => toggle(element, isRange);
  return element;
}

const nameOf = (hit) => hit.caption || hit.name;

/** What is needed only where the pointer or the focus is: made when it gets there, so that sixty tiles are quick. */
function equip(element) {
  if (!element?.hit || element.querySelector(".tile-actions")) return;
  const { hit } = element;
  const action = (label, title, drawing, run) =>
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        tabindex: "-1",
        "aria-label": `${label}: ${nameOf(hit)}`,
        title,
        onclick: run,
      },
      icon(drawing),
    );
  const actions = h(
    "div",
    { class: "tile-actions" },
    action("Find similar", "Similar (s)", "similar", () => similar(hit)),
    action("Add to the query", "Add to the query (+)", "plus", () => addItems([hit], false)),
    action("Subtract from the query", "Subtract from the query (−)", "minus", () => addItems([hit], true)),
  );
  element.querySelector(".tile-open").after(actions);
  element.querySelector(".fit")?.append(figures(hit));
}

function listen(tiles) {
  const tileOf = (event) => event.target.closest(".tile");
  tiles.addEventListener("error", (event) => event.target.classList.add("is-missing"), { capture: true });
  tiles.addEventListener("pointerover", (event) => equip(tileOf(event)));
  tiles.addEventListener("focusin", (event) => {
    equip(tileOf(event));
    rove(tiles, tileOf(event));
  });
  tiles.addEventListener("click", (event) => {
    if (event.target.closest(".tile-open")) openOrSelect(tileOf(event), event);
    if (event.target.closest(".tile-select")) tileOf(event).toggle(event.shiftKey);
  });
  tiles.addEventListener("dragstart", (event) => {
    event.dataTransfer.setData(ITEM, tileOf(event).hit.id);
    event.dataTransfer.effectAllowed = "copy";
    event.dataTransfer.setDragImage(tileOf(event).querySelector("img"), 40, 40);
  });
}

/** None to four bars: how few of this collection fit better; in figures on hover. */
function fitLevel(fit) {
  const above = 1 - fit;
  return above < 0.002 ? 4 : above < 0.01 ? 3 : above < 0.05 ? 2 : above <= 0.5 ? 1 : 0;
}

function inWords(fit) {
  const above = (1 - fit) * 100;
  if (above > 50) return "lower half"; // "best 98 %" would sound like praise
  return above < 0.1 ? "best 0.1 %" : above < 10 ? `best ${above.toFixed(1)} %` : `best ${Math.ceil(above)} %`;
}

/** Where nothing fits well, to be the best of it is no merit: the cosine alone is told, and that on hover. */
const badge = (hit) =>
  hit.fit !== undefined &&
  (session.answer.weak
    ? h("span", { class: "fit is-weak" })
    : h("span", { class: "fit", "data-level": fitLevel(hit.fit) }));

function figures(hit) {
  const cosine = hit.score.toFixed(3);
  if (session.answer.weak) return h("span", { class: "figures" }, `cosine ${cosine}`);
  return h("span", { class: "figures" }, inWords(hit.fit), h("span", { class: "cosine" }, `\u00a0· ${cosine}`));
}

function openOrSelect(element, event) {
  if (event.shiftKey || event.ctrlKey || event.metaKey || document.body.classList.contains("selecting"))
    element.toggle(event.shiftKey);
  else open(element.hit.id);
}

let anchor = null; // where a range begins

function toggle(element, isRange) {
  const all = [...element.parentElement.children];
  const on = !session.selected.has(element.hit.id);
  const from = isRange && anchor?.isConnected ? all.indexOf(anchor) : all.indexOf(element);
  const [first, last] = [from, all.indexOf(element)].sort((a, b) => a - b);
  anchor = element;
  select(
    all.slice(first, last + 1).map((tile) => tile.hit),
    isRange || on,
  );
}

function markSelected(tiles) {
  document.body.classList.toggle("has-selection", session.selected.size > 0);
  for (const element of tiles.children) {
    const isSelected = !!element.hit && session.selected.has(element.hit.id);
    element.classList.toggle("is-selected", isSelected);
    element.querySelector(".tile-select")?.setAttribute("aria-checked", isSelected);
  }
}

function markOpen(tiles) {
  for (const element of tiles.children) {
    const isOpen = !!element.hit && element.hit.id === session.query.open;
    element.classList.toggle("is-open", isOpen);
    if (isOpen) requestAnimationFrame(() => element.scrollIntoView({ block: "nearest" }));
  }
}

/** One picture at a time is a stop of the tab key, and with it its actions. */
function rove(tiles, current) {
  for (const button of tiles.querySelectorAll("[tabindex='0']")) if (!current.contains(button)) button.tabIndex = -1;
  for (const button of current.querySelectorAll("button")) button.tabIndex = 0;
}

function showWaiting(tiles) {
  if (tiles.childElementCount) return tiles.classList.add("is-stale");
  const shapes = [1, 1.33, 1.5, 0.75, 1, 1.33, 1, 0.8, 1.5, 1.2, 1, 1.33, 0.75, 1, 1.5, 1.33, 1, 1.2];
  tiles.replaceChildren(
    ...shapes.map((shape) => h("li", { class: "tile skeleton", "aria-hidden": "true", style: `--shape: ${shape}` })),
  );
}

function showSelectButton(element) {
  const button = element.querySelector("[data-select]");
  const isSelecting = document.body.classList.contains("selecting");
  button.hidden = !session.answer?.hits.length || session.status === "error";
  element.querySelector(".size").hidden = button.hidden;
  button.textContent = isSelecting ? "Done" : "Select";
  button.setAttribute("aria-pressed", isSelecting);
}

function showFilters(element) {
  const place = element.querySelector(".active-filters");
  const filters = activeFilters();
  place.hidden = filters.length === 0;
  place.replaceChildren(...filters);
}
