// The keys that work anywhere on the page; those of a picture act on the one that has the focus.

import { addItems, deselect, open, select, session, similar } from "./session.js";

const FURTHER = new Set(["Home", "End", "PageUp", "PageDown"]); // from a picture; elsewhere they scroll

export function listenToKeys({ help, toSearch }) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    if (isSelectAll(event)) return act(event, () => select(session.answer.hits, true));
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && onSearch()) return back();
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    if (event.key === "?") return act(event, help);
    if (event.key === "/") return act(event, () => toBox(toSearch));
    if (!onSearch()) return;
    if (session.query.open && (event.key === "ArrowLeft" || event.key === "ArrowRight"))
      return act(event, () =>
        document.querySelector(`#detail [data-${event.key === "ArrowLeft" ? "previous" : "next"}]`)?.click(),
      );
    if (session.query.open && event.key === "f")
      return act(event, () => document.querySelector("#detail .picture")?.click());
    const tile = event.target.closest(".tile");
    if (event.key.startsWith("Arrow") || (tile && FURTHER.has(event.key))) return act(event, () => move(tile, event.key));
    const hit = tile ? tile.hit : session.answer?.hits.find(({ id }) => id === session.query.open);
    if (!hit) return;
    if (event.key === "s") act(event, () => similar(hit));
    if (event.key === "+" || event.key === "=") act(event, () => addItems([hit], false));
    if (event.key === "-") act(event, () => addItems([hit], true));
    if (event.key.toLowerCase() === "x")
      act(event, () => (tile ? tile.toggle(event.shiftKey) : select([hit], !session.selected.has(hit.id))));
  });
}

/** Of the pictures, where one of them has the focus: elsewhere it is the text that is meant. */
const isSelectAll = ({ key, ctrlKey, metaKey, target }) =>
  (ctrlKey || metaKey) && key.toLowerCase() === "a" && target.closest(".tile");

const onSearch = () => !!document.querySelector("#search-view")?.offsetParent;

/** At once, for the words that follow; a tab that is being brought to the front shows it in the next frame. */
function toBox(toSearch) {
  const words = document.querySelector("#query_box input[type=search]");
  if (onSearch()) return words.select();
  toSearch();
  requestAnimationFrame(() => words.select());
}

function act(event, action) {
  event.preventDefault();
  action();
}

function back() {
  const drawer = document.querySelector("#filters [data-close]");
  if (session.query.open) open(null);
  else if (drawer?.offsetParent) drawer.click();
  else if (session.selected.size) deselect();
  else document.activeElement?.blur();
}

function move(tile, key) {
  const tiles = [...document.querySelectorAll(".tile")];
  const at = tiles.indexOf(tile);
  let next;
  if (at < 0) next = tiles[0];
  else if (key === "ArrowLeft") next = tiles[at - 1];
  else if (key === "ArrowRight") next = tiles[at + 1];
  else if (key === "Home") next = tiles[0];
  else if (key === "End") next = tiles.at(-1);
  else next = (key.startsWith("Page") ? aPageOn : inNextRow)(tiles, at, key.endsWith("Down") ? 1 : -1);
  next?.querySelector(".tile-open").focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** The nearest tile of the row above or below: rows hold differently many. */
function inNextRow(tiles, at, step) {
  const from = tiles[at].getBoundingClientRect();
  const middle = from.left + from.width / 2;
  let best,
    row,
    distance = Infinity;
  for (let i = at + step; i >= 0 && i < tiles.length; i += step) {
    const box = tiles[i].getBoundingClientRect();
    if (Math.abs(box.top - from.top) < 2) continue;
    row ??= box.top;
    if (Math.abs(box.top - row) >= 2) break;
    const away = Math.abs(box.left + box.width / 2 - middle);
    if (away < distance) [best, distance] = [tiles[i], away];
  }
  return best;
}

/** The furthest row that is still on the screen when this one comes to its edge; always one row at least. */
function aPageOn(tiles, at, step) {
  const page = window.innerHeight - document.querySelector("#query_box").getBoundingClientRect().bottom;
  const from = tiles[at].getBoundingClientRect().top;
  let next;
  for (let tile = tiles[at]; (tile = inNextRow(tiles, tiles.indexOf(tile), step)); next = tile)
    if (next && Math.abs(tile.getBoundingClientRect().bottom - from) > page) break;
  return next;
}
