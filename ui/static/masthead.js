// The line on top: the word that leads home, the collection that is searched, the list of keys, short notices.

import { drawIcons, h } from "./html.js";
import { listenToKeys } from "./keys.js";
import { choose, look, notify, refine, session, watch } from "./session.js";

const NOTICE_MS = 7000;

export function mount(element) {
  drawIcons(element);
  const select = element.querySelector("select");
  const keys = element.querySelector("dialog.keys");
  element.querySelector(".wordmark").addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    showView("search");
    refine({ text: "", parts: [], where: {} });
  });
  element.querySelector("[data-keys]").addEventListener("click", () => keys.showModal());
  keys.addEventListener("click", (event) => event.target === keys && keys.close());
  select.addEventListener("change", () => choose(select.value));
  watch(["about", "query"], () => showCollections(element, select));
  watch(["about"], () => showWho(element.querySelector(".signed-in")));
  document.addEventListener("click", (event) => {
    const tab = event.target.closest("#views [role=tab][data-tab-id]");
    if (tab) look(tab.dataset.tabId);
  });
  const early = document.querySelector("#views [role=tab][aria-selected=true]")?.dataset.tabId;
  if (early && early !== "search") look(early); // somebody was quicker than this script
  watch(["about", "view"], () => showView(session.query.view ?? "search"));
  watch(["notice"], () => showNotice(element.querySelector(".toast")));
  listenToKeys({ help: () => keys.showModal(), toSearch: () => showView("search") });
}

/** Brings one of Gradio's tabs to the front. */
export function showView(name) {
  const tab = document.querySelector(`#views [role=tab][data-tab-id="${CSS.escape(name)}"]`);
  if (tab?.getAttribute("aria-selected") === "false") tab.click();
}

function showCollections(element, select) {
  const { collections } = session.about;
  element.querySelector(".chooser").hidden = collections.length === 0;
  const wanted = session.query.collection;
  const isNarrow = matchMedia("(width < 600px)").matches; // where names alone hardly find room
  const named = (name, count) => (isNarrow ? name : `${name} · ${count.toLocaleString("en")}`);
  const isHere = collections.some(({ name }) => name === wanted);
  select.replaceChildren(
    ...(isHere ? [] : [h("option", { value: wanted, disabled: true }, `${wanted} · not here`)]),
    ...collections.map(({ name, count }) => h("option", { value: name }, named(name, count))),
  );
  select.value = wanted;
}

function showWho(form) {
  const { name, role } = session.rights;
  form.hidden = !name;
  document.body.classList.toggle("is-signed-in", !!name);
  if (!name) return;
  form.querySelector("span").textContent = name;
  form.querySelector("button").title = `Sign out ${name} (${role})`;
}

let ending = 0;

function showNotice(toast) {
  clearTimeout(ending);
  toast.togglePopover(false);
  toast.replaceChildren();
  if (!session.notice) return;
  const { message, action } = session.notice;
  toast.append(h("span", {}, message));
  if (action) toast.append(h("button", { type: "button", class: "text-button", onclick: action.run }, action.label));
  toast.togglePopover(true); // above panels and bars, whatever is open
  ending = setTimeout(() => notify(null), NOTICE_MS);
}
