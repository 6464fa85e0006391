// The Quality tab: the last report of the collection that is searched, and new ones from a file of labelled queries.

import { count, drawIcons, h, icon } from "./html.js";
import { request } from "./http.js";
import { showView } from "./masthead.js";
import { ask, open, refine, session, watch } from "./session.js";

const POLL_MS = 700;
const SHOWN_RUNS = 3; // that are finished, failed ones among them
const EXAMPLE = "query,relevant,kind\na red boat,boat-1.jpg boat-7.jpg,object\na zeppelin,,not there";
const OUTDATED = "The collection has changed since: evaluate again to judge it as it is.";

let view = null; // the mounted element
let shown = null; // {collection, report, has_labels} as the server told it
let mayChange = false;
let whyNot = null;
let polling = false;
let unfinished = 0; // runs at the last look
let turn = 0; // of the last refresh: what an earlier one is told late is not shown
let looks = 0;
let seenLook = 0; // the one that was answered last
let slices = 0; // that were asked for
let news = false; // a run was asked for that has not been seen to finish

export function mount(element) {
  view = element;
  drawIcons(element);
  const input = element.querySelector("input[type=file]");
  element.querySelector("[data-choose]").addEventListener("click", choose);
  element.querySelector("[data-bundled]").addEventListener("click", () => start());
  input.addEventListener("change", () => {
    start(input.files[0]);
    input.value = "";
  });
  element.addEventListener("click", (event) => {
    const button = event.target.closest("[data-open], [data-query]");
    const slice = event.target.closest("[data-column]");
    if (slice) showWorst(slice);
    if (button) toSearch(button.closest("li").querySelector("[data-query]")?.dataset.query, button.dataset.open);
  });
  acceptDrops();
  document.querySelector("#views [data-tab-id=quality][role=tab]").addEventListener("click", refresh);
  watch(["about"], () => session.query.view === "quality" && shown?.collection !== collection() && refresh());
}

const isOpen = () => !!view?.offsetParent;
const collection = () => session.query.collection;

async function refresh() {
  const name = collection();
  const mine = ++turn;
  fail(null); // not later: what a click meanwhile had to say stays
  await look(); // before the report, which then has what is finished by now
  const [rights, answer] = await Promise.all([
    request("GET", "api/collections"),
    ask("report", { collection: name }),
  ]);
  if (mine !== turn || name !== collection()) return;
  mayChange = !!rights.may_change;
  whyNot = rights.why_not;
  followRuns();
  if (answer.error) {
    fail(answer.error.message);
    return showReport({ report: null, problem: answer.error });
  }
  if (!shown?.report || JSON.stringify(answer) !== JSON.stringify(shown)) showReport(answer);
  showActions();
}

const choose = () => view.querySelector("input[type=file]").click();

/** Where there is a report; until then they stand beside what explains them. */
function showActions() {
  view.querySelector("[data-choose]").hidden = !mayChange || !shown?.report;
  view.querySelector("[data-bundled]").hidden = !mayChange || !shown?.report || !shown.has_labels;
}

function showReport(answer) {
  shown = answer;
  const { report } = answer;
  slices++; // the worst of the report before are not this one's
  const head = view.querySelector(".quality-head");
  head.hidden = !report;
  // Made and escaped by the server, element by element: names in it are text.
  view.querySelector(".report-body").innerHTML = report?.body ?? "";
  view.querySelector(".quality-empty").replaceChildren(...(report || answer.problem ? [] : [empty()]));
  if (!report) return;
  const file = (kind, label) =>
    h(
      "a",
      {
        class: "button small",
        href: `api/report.${kind}?${new URLSearchParams({ collection: answer.collection, id: report.id })}`,
        download: "",
      },
      icon("download"),
      label,
    );
  head.replaceChildren(
    h("p", {}, h("strong", {}, answer.collection), ` · ${report.title}`),
    h(
      "div",
      { class: "quality-files" },
      file("html", "Report"),
      file("csv", "Queries, CSV"),
      file("json", "JSON"),
    ),
    ...(report.is_outdated ? [h("p", { class: "banner" }, icon("warn"), OUTDATED)] : []),
  );
}

/** The worst queries of one slice, or of all again. */
async function showWorst(slice) {
  const isOn = slice.getAttribute("aria-pressed") !== "true";
  const { column, value } = isOn ? slice.dataset : {};
  const mine = ++slices;
  const answer = await ask("worst", { collection: shown.collection, id: shown.report.id, column, value });
  if (mine !== slices) return;
  fail(answer.error ? answer.error.message : null);
  if (answer.error) return;
  for (const other of view.querySelectorAll("[data-column]"))
    other.setAttribute("aria-pressed", isOn && other === slice);
  view.querySelector(".worst-of").outerHTML = answer.body;
  if (isOn) view.querySelector(".worst-of").scrollIntoView({ block: "nearest" });
}

function empty() {
  return h(
    "div",
    { class: "card" },
    icon("search"),
    h("h2", {}, "How well does it find?"),
    h("p", {}, `“${collection()}” has not been evaluated yet. That takes labelled queries, a CSV file such as:`),
    h("pre", { tabindex: "0", role: "region", "aria-label": "Example of a labels file" }, EXAMPLE),
    h(
      "p",
      { class: "columns" },
      h("code", {}, "relevant"),
      " names the images that a query should find: ids, addresses, or paths below the folder that was added; ",
      h("code", {}, "|"),
      " separates those with spaces in them. It is empty where no image answers. Every other column splits the figures.",
    ),
    mayChange &&
      h(
        "p",
        { class: "card-actions" },
        shown?.has_labels &&
          h("button", { type: "button", class: "button primary", onclick: () => start() }, "Ask the bundled queries"),
        h("button", { type: "button", class: "button", onclick: choose }, "Choose a file"),
        h("span", { class: "wide" }, "or drop it here"),
      ),
    !mayChange && h("p", {}, `You can look at reports here and not make one. ${whyNot ?? ""}`),
  );
}

/** Asks for an evaluation of `file`, or of the queries that come with the collection. */
async function start(file) {
  fail(null);
  const name = collection();
  const answer = file
    ? await send(file, name)
    : await request("POST", "api/evaluate", { collection: name });
  if (answer.error) return fail(answer.error.message);
  followRuns({ isNew: true });
}

async function send(file, name) {
  try {
    const address = `api/evaluate?${new URLSearchParams({ collection: name, name: file.name })}`;
    const response = await fetch(address, { method: "POST", headers: { "content-type": "text/csv" }, body: file });
    return await response.json();
  } catch {
    return { error: { message: `“${file.name}” could not be sent: no connection to the server. Try again.` } };
  }
}

/** A labels file dropped anywhere on the tab. */
function acceptDrops() {
  document.addEventListener("dragover", (event) => isOpen() && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!isOpen()) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) start(file);
  });
}

/** Follows the evaluations until none runs; they go on whether or not anybody watches. */
async function followRuns({ isNew = false } = {}) {
  news ||= isNew;
  if (polling) return;
  polling = true;
  do {
    const wasSent = news;
    const before = unfinished + (news ? 1 : 0);
    news = false;
    if (!(await look())) news ||= wasSent;
    else if (unfinished < before) await refresh();
    if (unfinished || news) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  } while (unfinished || news);
  polling = false;
}

/** Whether it was answered, and not too late. */
async function look() {
  const mine = ++looks;
  const { evaluations } = await request("GET", "api/evaluate");
  if (!evaluations || mine < seenLook) return false;
  seenLook = mine;
  unfinished = evaluations.filter((run) => !run.is_finished).length;
  showRuns(evaluations.filter((run) => run.collection === collection()));
  return true;
}

function showRuns(runs) {
  const told = runs.filter((run) => !run.is_finished || run.error).slice(0, SHOWN_RUNS);
  const latest = runs[0];
  // What failed is told until something newer was done.
  view.querySelector(".jobs").replaceChildren(...told.filter((run) => !run.is_finished || run === latest).map(row));
}

function row({ id, labels, state, is_finished: isFinished, done, total, remaining_s: remaining, error }) {
  const figures = [
    labels,
    !isFinished && total > 0 && `${done.toLocaleString("en")} of ${count(total, "query", "queries")}`,
    !isFinished && remaining > 1 && `${Math.ceil(remaining)} s left`,
    error?.message,
  ];
  const states = { waiting: "Waiting", running: "Asking", failed: "Stopped" };
  return h(
    "li",
    { class: "job" },
    h("p", {}, h("strong", {}, states[state]), ...figures.filter(Boolean).map((figure) => ` · ${figure}`)),
    !isFinished && h("progress", { ...(total && { max: total, value: done }), "aria-label": "Asked so far" }),
    !isFinished &&
      mayChange &&
      h(
        "button",
        {
          type: "button",
          class: "text-button",
          onclick: () => request("DELETE", `api/evaluate/${encodeURIComponent(id)}`),
        },
        "Cancel",
      ),
  );
}

/** The query as it was asked, and an image of its strip in the detail; Back leads here again. */
async function toSearch(text, id) {
  const asking = text && refine({ text, parts: [], where: {}, view: null });
  showView("search");
  await asking;
  if (id) open(id);
}

function fail(message) {
  const place = view.querySelector(".ask-error");
  place.hidden = !message;
  place.textContent = message ?? "";
}
