// What the page says around the pictures, and in their place: the states empty, none, weak, error and offline.

import { count, h, icon } from "./html.js";
import { keep, kept } from "./kept.js";
import { toLibrary } from "./library.js";
import { offerDownload } from "./models.js";
import { choose, isBlank, learn, refine, search, session } from "./session.js";

const HOPELESS = new Set(["bad_query", "empty_query", "query_too_long", "unknown_field", "item_not_found"]);

/** That line while the answer waits for a model. */
export function loading() {
  const { model, stage, since_s: since } = session.loading;
  const how = stage ? ` for the first time: ${stage}` : "";
  return `Loading the model ${model}${how} · ${Math.max(1, Math.round(since))} s`;
}

/** The line above the pictures. */
export function summary() {
  const { answer, status } = session;
  if (status === "error" || !answer) return "";
  if (answer.size === 0) return "";
  const all = count(answer.size, "image");
  const passing = answer.matching.toLocaleString("en");
  const isFiltered = Object.keys(session.query.where).length > 0;
  if (answer.blank || answer.hits.length === 0)
    return isFiltered ? `${passing} of ${all} pass the filter` : answer.blank ? `${all}, newest first` : all;
  const of = isFiltered ? `the ${passing} that pass the filter` : all;
  return `Best of ${of} · ${Math.max(1, Math.round(answer.took))} ms`;
}

/** What stands between that line and the pictures: elements, often none. */
export function message() {
  const { answer, status, problem } = session;
  const said = status === "error" ? failed(problem) : answer && saidOf(answer);
  return said ? [said] : [];
}

function saidOf(answer) {
  if (answer.size === 0) return emptyCollection();
  if (answer.hits.length === 0) return nothing();
  if (answer.blank) return welcome();
  return answer.weak ? weak() : limits();
}

function welcome() {
  if (!isBlank() || Object.keys(session.query.where).length) return null;
  const { examples } = session.about;
  if (isMissing()) return missingModel();
  return h(
    "div",
    { class: "welcome" },
    h("h1", {}, "Find images by what they show"),
    examples.length > 0 &&
      h(
        "p",
        { class: "examples" },
        h("span", { class: "visually-hidden" }, "Examples:"),
        examples.map((text) =>
          h("button", { type: "button", class: "example", onclick: () => refine({ text, parts: [] }) }, text),
        ),
      ),
    h(
      "p",
      { class: "hint" },
      "Type words, drop or paste a picture, or both. ",
      h("span", { class: "wide" }, h("kbd", {}, "-word"), " leaves something out."),
    ),
    !hasHeard() && h("p", { class: "hint" }, ...knowledge()),
  );
}

const anotherModel = () =>
  session.rights.may_change &&
  h("button", { type: "button", class: "text-button", onclick: () => toLibrary("another") }, "Use another model");

const card = (drawing, title, text, ...actions) =>
  h(
    "div",
    { class: "card" },
    icon(drawing),
    h("h2", {}, title),
    h("p", {}, text),
    h("p", { class: "card-actions" }, ...actions),
  );

const button = (label, run) => h("button", { type: "button", class: "button", onclick: run }, label);

function emptyCollection() {
  const name = session.query.collection;
  return card(
    "picture",
    "No images yet",
    session.rights.may_change
      ? `The collection “${name}” is empty. Add files, a folder or a zip, and search them while they are read.`
      : `The collection “${name}” is empty. ${session.rights.why_not ?? ""}`,
    session.rights.may_change && button("Add images", () => toLibrary("add")),
  );
}

function nothing() {
  const filtered = Object.keys(session.query.where).length > 0;
  const text = filtered
    ? "No image passes the filter. Take a condition away to see more."
    : "There is nothing left to show for this query.";
  return card(
    "search",
    "Nothing found",
    text,
    filtered
      ? button("Clear the filters", () => refine({ where: {} }))
      : button("Start over", () => refine({ text: "", parts: [] })),
  );
}

function weak() {
  const { is_bundled: isBundled } = session.about;
  return h(
    "div",
    { class: "banner" },
    icon("warn"),
    h(
      "p",
      {},
      h("strong", {}, "Nothing here fits well. "),
      "These are the nearest; other words may do better. ",
      isBundled && knowledge(),
    ),
  );
}

const knowledge = () => ["The bundled model knows illustrations, not photographs. ", anotherModel()];

/** To who searches images of their own with the bundled model, until they have heard it. */
function limits() {
  if (!session.about.is_own || hasHeard()) return null;
  const name = "Do not say this again";
  const close = h("button", { type: "button", class: "icon-button", "aria-label": name, title: name }, icon("close"));
  const line = h("div", { class: "note" }, h("p", {}, ...knowledge()), close);
  close.addEventListener("click", () => {
    line.remove();
    keep(lesson(), "heard");
  });
  return line;
}

const lesson = () => `what the model of ${session.about.collection} knows`;

/** Or never needs to, with another model. */
const hasHeard = () => !session.about.is_bundled || kept(lesson()) !== null;

const isMissing = () => session.about.model?.state === "needs_download";

/** The pictures can be looked at; only what the model does must wait. */
function missingModel() {
  const { name } = session.about.model;
  const place = h("p", { class: "card-actions" });
  if (session.rights.may_change) offerDownload(place, name, refresh);
  else place.append(h("span", {}, session.rights.why_not ?? ""));
  const said = `“${session.query.collection}” was made with ${name}`;
  if (isBlank())
    return h(
      "div",
      { class: "banner missing" },
      icon("download"),
      h("div", {}, h("p", {}, `${said}, which is not on this machine: words find its images once it is here.`), place),
    );
  return h(
    "div",
    { class: "card missing" },
    icon("download"),
    h("h2", {}, "Its model is not on this machine"),
    h("p", {}, `${said}: look at its images now, search them once it is here.`),
    place,
    h(
      "p",
      {},
      h("button", { type: "button", class: "text-button", onclick: () => refine({ text: "", parts: [] }) }, "Look at its images"),
    ),
  );
}

async function refresh() {
  await learn();
  await search({ push: false });
}

/** Says when the query is asked again, second by second. */
function countdown(at) {
  const line = h("span", { class: "again" });
  const tick = () => {
    const left = Math.ceil((at - performance.now()) / 1000);
    line.textContent = left > 0 ? `Your query is kept and asked again in ${left} s.` : "Asking again…";
    if (left > 0) setTimeout(() => line.isConnected && tick(), 1000);
  };
  tick();
  return line;
}

function failed({ code, message, again_at: againAt }) {
  if (code === "model_not_downloaded") return missingModel();
  if (code === "unreachable") {
    const isOffline = !navigator.onLine;
    return card(
      "offline",
      isOffline ? "You are offline" : "No connection to Sightline",
      "Your query is kept and will be asked again as soon as the server answers.",
      button("Try again", refresh),
    );
  }
  if (code === "collection_not_found") {
    const other = session.about.collections[0]?.name;
    return card(
      "warn",
      "No such collection",
      `There is no collection “${session.query.collection}” here. It may have been deleted since this address was made.`,
      other && button(`Search “${other}” instead`, () => choose(other)),
    );
  }
  const isFiltered = Object.keys(session.query.where).length > 0;
  return card(
    "warn",
    code === "too_many_requests" ? "Too many requests" : "That did not work",
    [message, againAt && countdown(againAt)],
    !HOPELESS.has(code) && button("Try again", refresh),
    HOPELESS.has(code) && isFiltered && button("Clear the filters", () => refine({ where: {} })),
    button("Start over", () => refine({ text: "", parts: [], where: {} })),
  );
}
