// What the page is about at this moment: query, answer, selection, the open item; and the one way from query to answer.

import { fromAddress, toAddress } from "./address.js";
import { request } from "./http.js";

const PAGE = 60; // hits asked for at once
const MOST = 1000; // hits that one query can give
const MARKED = 20; // pictures at once: what is done with more says little of each
const LOOK_MS = 700; // whether a model has been loaded

export const session = {
  about: null, // collections, fields, examples: what handlers.about says
  rights: { may_change: false }, // of who looks: name, role, may_change, why_not, marks
  query: { ...fromAddress(location.search), ...history.state?.query },
  typed: null, // words in the box that nobody has asked yet: they belong to the next query, not to this one
  answer: null, // hits so far, and what was said about them
  status: "starting", // loading | more | ready | error
  problem: null, // {code, message} when status is error; again_at (ms) where it will be asked again by itself
  loading: null, // {model, stage, since_s} while the answer waits for a model
  selected: new Map(), // id → hit
  notice: null, // {message, action?} shown for a moment
};

const listeners = new Map();
let server = null;
let turn = 0;
let lesson = 0; // of the last learning: what an earlier one is told late is not shown
let scrollWanted = null;
let answered = null; // the query that the answer is to, as it was asked
let isGoingBack = false; // the browser has been asked to leave the entry of the open image, and has not yet
let owed = null; // how its history is to be written once it has

/** Calls `listener` now and whenever one of `topics` changes: about, query, answer, loading, selected, open, view, notice. */
export function watch(topics, listener) {
  for (const topic of topics) listeners.set(topic, [...(listeners.get(topic) ?? []), listener]);
  if (session.about) listener();
}

export function changed(...topics) {
  if (!session.about) return; // nothing is shown before the first answer
  for (const listener of new Set(topics.flatMap((topic) => listeners.get(topic) ?? []))) listener();
}

export async function start(functions) {
  server = functions;
  history.scrollRestoration = "manual";
  window.addEventListener("popstate", restore);
  window.addEventListener("online", () => session.status === "error" && search({ push: false }));
  scrollWanted = history.state?.scroll ?? null;
  await learn();
  await search({ push: false, count: history.state?.count });
}

/** Asks the server; an answer is never an exception: `{error: {code, message}}` says what went wrong. */
export async function ask(name, asked) {
  for (const isLast of [false, true]) {
    const answer = await server[name](asked);
    if (answer) return answer;
    const { error } = await request("GET", "api/me"); // says why there is none, which Gradio's client keeps to itself
    if (error) return { error };
    if (isLast) return { error: { code: "internal", message: "Sightline could not answer; its log says why." } };
  }
}

/** Learns about the collection of the query: its fields and examples, and the other collections. */
export async function learn() {
  const mine = ++lesson;
  const [about] = await Promise.all([ask("about", { collection: session.query.collection }), learnRights()]);
  if (mine !== lesson) return;
  session.about = about.error ? { collections: [], fields: {}, examples: [], is_bundled: false } : about;
  session.query.collection = about.collection ?? session.query.collection;
  changed("about", "query");
}

let areRightsKnown = false;

async function learnRights() {
  const rights = await request("GET", "api/me");
  if (rights.error) return;
  areRightsKnown = true;
  session.rights = rights;
}

export const isBlank = () => !session.query.text.trim() && session.query.parts.length === 0;

const asked = () => ({
  text: session.query.text,
  parts: session.query.parts.map(({ text, id, image_hash, minus }) => ({ text, id, image_hash, minus })),
  where: session.query.where,
  collection: session.query.collection,
});

/** Answers the query as it stands; by default it becomes an entry of the browser's history. */
export async function search({ push = true, count = PAGE, stays = false } = {}) {
  const mine = ++turn;
  const wanted = asked();
  session.status = "loading";
  session.problem = null;
  if (push) {
    session.query.open = null;
    remember(JSON.stringify(wanted) === answered ? "replaceState" : "pushState"); // the same again is no new entry
  }
  changed("query", "answer", "open");
  const began = performance.now();
  const blank = isBlank();
  const answer = await whenLoaded(mine, () =>
    ask(blank ? "browse" : "find", { ...wanted, offset: 0, top_k: Math.min(count || PAGE, MOST) }),
  );
  if (mine !== turn) return; // a newer query was asked meanwhile
  if (answer.error) return fail(answer.error);
  session.answer = { ...answer, asked: wanted, blank, took: performance.now() - began };
  session.status = "ready";
  if (answer.text !== undefined) {
    session.query.text = answer.text;
    session.query.parts = withPictures(answer.parts);
  }
  answered = JSON.stringify(asked());
  document.title = titled();
  remember("replaceState");
  changed("query", "answer", "open");
  if (!stays) scrollTo(scrollWanted ?? 0);
  scrollWanted = null;
  if (!areRightsKnown) learnRights().then(() => changed("about")); // that was refused where this was not
}

/** The same query where there is more to find now; what is looked at meanwhile stays where it is. */
export async function searchAgain() {
  const stays = session.status === "ready" || session.status === "more";
  await search({ push: false, count: stays ? Math.max(PAGE, session.answer.hits.length) : PAGE, stays });
}

/** At once, and after the grid has brought the open image into view. */
function scrollTo(top) {
  window.scrollTo(0, top);
  if (top) requestAnimationFrame(() => window.scrollTo(0, top));
}

/** Asks again while the collection's model is on its way into memory. */
async function whenLoaded(mine, put) {
  session.loading = null;
  for (;;) {
    const answer = await put();
    if (mine !== turn) return answer;
    session.loading = answer.loading ?? null;
    if (!answer.loading) return answer;
    changed("loading");
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (mine !== turn) return answer;
  }
}

/** Names the query in the browser's history and tabs. */
function titled() {
  const { text, parts } = session.query;
  const words = [text, ...parts.map((part) => `${part.minus ? "−" : "+"}${part.text ?? (part.label || "picture")}`)];
  return [words.filter(Boolean).join(" "), "Sightline"].filter(Boolean).join(" · ");
}

/** The next hits of the same answer. */
export async function more() {
  const { answer } = session;
  if (session.status !== "ready" || !answer || answer.hits.length >= answer.most) return;
  const mine = turn;
  session.status = "more";
  const next = await whenLoaded(mine, () =>
    ask(answer.blank ? "browse" : "find", { ...answer.asked, offset: answer.hits.length, top_k: PAGE }),
  );
  if (mine !== turn) return;
  session.status = "ready";
  if (next.error) return notify(next.error.message);
  const known = new Set(answer.hits.map((hit) => hit.id));
  answer.hits.push(...next.hits.filter((hit) => !known.has(hit.id)));
  answer.most = next.hits.length ? next.most : answer.hits.length;
  changed("answer");
}

export const details = (id) => ask("show", { ...(session.status === "ready" ? session.answer.asked : asked()), id });

function fail(problem) {
  const { retry_after_s: after } = problem;
  session.status = "error";
  session.problem = after ? { ...problem, again_at: performance.now() + after * 1000 } : problem;
  changed("answer");
  if (after) setTimeout((failed) => failed === turn && again(), after * 1000, turn);
  if (problem.code === "unreachable") setTimeout(retryWhenBack, 2000, turn);
}

/** No more than what is missing: each question counts. */
async function again() {
  if (!session.about.collections.length) await learn();
  await search({ push: false });
}

async function retryWhenBack(failed) {
  if (failed !== turn) return;
  const back = await fetch("healthz").then(
    (answer) => answer.ok,
    () => false,
  );
  if (!back) setTimeout(retryWhenBack, 2000, failed);
  else if (failed === turn) {
    await learn();
    await search({ push: false });
  }
}

/** Changes the query, what was typed included, and answers it. */
export function refine(change) {
  Object.assign(session.query, { text: session.typed ?? session.query.text }, change);
  session.typed = null;
  return search();
}

export function addParts(parts) {
  const key = (part) => part.id ?? part.image_hash ?? part.text;
  const coming = new Set(parts.map(key));
  return refine({ parts: [...session.query.parts.filter((part) => !coming.has(key(part))), ...parts] });
}

export function addItems(hits, minus) {
  mark(minus ? "subtract" : "add", hits);
  return addParts(hits.map((hit) => ({ id: hit.id, label: hit.caption || hit.name, minus })));
}

/** Tells what was done with images that a query found, where that is kept; nothing waits for it. */
export function mark(action, hits) {
  const { collection, request_id } = session.answer ?? {};
  if (!session.rights.marks || !request_id || hits.length > MARKED) return;
  for (const { id } of hits) {
    fetch("api/marks", {
      method: "POST",
      keepalive: true, // though the page is left
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ id, action, request_id, collection }),
    }).catch(() => {});
  }
}

export const similar = (hit) =>
  refine({ text: "", parts: [{ id: hit.id, label: hit.caption || hit.name, minus: false }] });

export async function choose(collection) {
  const mine = ++turn; // what was asked of another collection is no answer here
  session.selected.clear();
  session.answer = null;
  session.query = {
    text: session.typed ?? session.query.text,
    parts: session.query.parts.filter((part) => part.id === undefined),
    where: {},
    collection,
    open: null,
    view: session.query.view,
  };
  session.typed = null;
  changed("selected", "answer");
  await learn();
  if (mine === turn) await search();
}

export function select(hits, on) {
  if (on) mark("select", hits);
  for (const hit of hits) on ? session.selected.set(hit.id, hit) : session.selected.delete(hit.id);
  changed("selected");
}

/** Takes all out of the selection; what took a while to choose can be had back. */
export function deselect() {
  const { collection } = session.query;
  const hits = [...session.selected];
  select([...session.selected.values()], false);
  if (hits.length < 2) return;
  const undo = () => {
    notify(null);
    if (session.query.collection !== collection) return;
    session.selected = new Map([...hits, ...session.selected]);
    changed("selected");
  };
  notify(`${hits.length.toLocaleString("en")} images are no longer selected.`, { label: "Undo", run: undo });
}

export function open(id) {
  const was = session.query.open;
  if (id) mark("open", [{ id }]);
  session.query.open = id;
  if (id && !was) remember("pushState");
  else if (!id && was && history.state?.opened && !isGoingBack) goBack();
  else remember("replaceState");
  changed("open");
}

/** Which tab is looked at is an entry of the browser's history too. */
export function look(view) {
  if ((session.query.view ?? "search") === view) return;
  session.query.view = view === "search" ? null : view;
  remember("pushState");
}

export function notify(message, action) {
  session.notice = message ? { message, action } : null;
  changed("notice");
}

/** The browser takes its time over it; the next key must not wait for that. */
function goBack() {
  isGoingBack = true;
  history.back();
}

function remember(how) {
  if (isGoingBack) return (owed = owed === "pushState" ? owed : how);
  if (how === "pushState" && history.state) history.replaceState({ ...history.state, ...place() }, "");
  history[how](
    {
      query: structuredClone(session.query),
      opened: how === "pushState" ? !!session.query.open : history.state?.opened,
      ...place(),
    },
    "",
    toAddress(session.query),
  );
}

const place = () => ({ scroll: window.scrollY, count: session.answer?.hits.length });

async function restore(event) {
  if (isGoingBack) {
    isGoingBack = false;
    if (owed) remember(owed);
    owed = null;
    return;
  }
  const before = JSON.stringify(asked());
  const collection = session.query.collection;
  session.query = { ...fromAddress(location.search), ...event.state?.query };
  session.typed = null;
  session.query.collection ??= collection;
  changed("view");
  if (JSON.stringify(asked()) === before) return changed("open"); // only the detail was opened or closed
  scrollWanted = event.state?.scroll ?? 0;
  if (session.query.collection !== collection) {
    const mine = ++turn;
    session.selected.clear();
    changed("selected");
    await learn();
    if (mine !== turn) return;
  }
  await search({ push: false, count: event.state?.count });
}

// The server names the parts; the pictures' thumbnails are only known here.
function withPictures(parts) {
  const pictures = new Map(
    session.query.parts.filter((part) => part.image_hash).map((part) => [part.image_hash, part]),
  );
  return parts.map((part) => ({ ...pictures.get(part.image_hash), ...part }));
}

window.addEventListener("pagehide", () => history.state && history.replaceState({ ...history.state, ...place() }, ""));
