// The server's indexing jobs: how far they are, cancelling them, and the files that could not be used.

import { count, h, icon } from "./html.js";
import { request } from "./http.js";
import { learn, notify, searchAgain } from "./session.js";

const POLL_MS = 700;
const SHOWN_JOBS = 4;

let panel = null;
let shownName = null; // the collection whose jobs the panel shows
let whenAdded = null;
let seen = null; // the jobs at the last look
let polling = false;
let news = false; // something was sent since the last look
let wanted = false; // a look that begins later than the one that is on its way
let hasEnded = false; // a job, and neither the Library nor the search has been told
let turn = 0; // of the looks
let seenTurn = 0; // of the look that was answered last
let failuresTurn = 0;

export function mountJobs(refresh) {
  whenAdded = refresh;
}

export function showJobsIn(element, name) {
  panel = element;
  shownName = name;
  showJobs();
  lookAtJobs().then(showFailures); // in this order: those of a job that is seen to have ended are among them
}

/** Looks once, and follows what runs: what is asked afterwards is told of all that has been seen to end. */
export async function lookAtJobs() {
  await look();
  if (isBusy() || hasEnded) watchJobs();
}

/** Follows the jobs until none runs; they go on whether or not anybody watches. */
export async function watchJobs({ isNew = false } = {}) {
  news ||= isNew;
  wanted = true;
  if (polling) return;
  polling = true;
  do {
    wanted = false;
    await look();
    if (hasEnded) {
      hasEnded = false;
      await tellSearch();
    }
    if (isBusy() && !wanted) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  } while (isBusy() || wanted);
  polling = false;
}

const isBusy = () => news || !!seen?.some((job) => !job.is_finished);
const ends = (jobs) => jobs.filter((job) => job.is_finished).map(({ id, finished_at: at }) => `${id} ${at}`);

async function look() {
  const mine = ++turn;
  const wasSent = news;
  const { jobs } = await request("GET", "api/jobs");
  if (!jobs || mine < seenTurn) return; // no answer, or a late one
  seenTurn = mine;
  if (wasSent) news = false;
  const before = new Set(ends(seen ?? []));
  hasEnded ||= seen ? ends(jobs).some((end) => !before.has(end)) : wasSent;
  seen = jobs;
  showJobs();
}

async function tellSearch() {
  await whenAdded();
  await learn();
  await searchAgain();
  showFailures();
}

function showJobs() {
  const list = panel?.querySelector(".jobs");
  if (!list?.isConnected || !seen) return;
  const mine = seen.filter(({ collection }) => collection === shownName);
  const inOrder = [...mine.filter((job) => !job.is_finished).reverse(), ...mine.filter((job) => job.is_finished)];
  const more = inOrder.slice(SHOWN_JOBS).filter((job) => !job.is_finished).length;
  const focused = list.contains(document.activeElement) && document.activeElement.closest(".job").dataset.job;
  list.replaceChildren(
    ...inOrder.slice(0, SHOWN_JOBS).map(jobRow),
    ...(more ? [h("li", { class: "job" }, `${more} more waiting`)] : []),
  );
  if (focused) list.querySelector(`[data-job="${CSS.escape(focused)}"] button`)?.focus();
}

const STATES = {
  waiting: "Waiting",
  running: "Reading",
  done: "Done",
  failed: "Stopped",
  cancelled: "Cancelled",
  interrupted: "Interrupted",
};

function jobRow(job) {
  const { id, state, is_finished: isFinished, finished_at: finishedAt, progress, gone_count: gone, error } = job;
  const {
    source,
    phase,
    total = 0,
    done = 0,
    indexed,
    unchanged,
    moved,
    failed,
    rate_per_s: rate,
    remaining_s: remaining,
  } = progress ?? {};
  const number = (value, words) => value > 0 && `${value.toLocaleString("en")} ${words}`;
  const figures = [
    source,
    phase === "looking" && !isFinished
      ? number(total, "files so far")
      : total > 0 && `${done.toLocaleString("en")} of ${total.toLocaleString("en")}`,
    number(indexed, "added"),
    number(unchanged, "already there"),
    number(moved, "moved"),
    number(failed, "unusable"),
    number(gone, "no longer there"),
    !isFinished && rate > 0 && `${Math.round(rate)} a second`,
    !isFinished && remaining > 0 && `${duration(remaining)} left`,
    error?.message,
    isFinished && finishedAt && when(new Date(finishedAt)),
  ];
  return h(
    "li",
    { class: "job", "data-job": id },
    h(
      "p",
      {},
      h("strong", {}, phase === "looking" && !isFinished ? "Looking" : STATES[state]),
      ...figures.filter(Boolean).map((figure) => ` · ${figure}`),
    ),
    !isFinished &&
      h("progress", { ...(phase === "indexing" && { max: total, value: done }), "aria-label": "Read so far" }),
    !isFinished &&
      h(
        "button",
        {
          type: "button",
          class: "text-button",
          onclick: () => request("DELETE", `api/jobs/${encodeURIComponent(id)}`),
        },
        "Cancel",
      ),
    ["cancelled", "failed", "interrupted"].includes(state) &&
      error?.code !== "collection_not_found" &&
      !job.is_superseded &&
      h("button", { type: "button", class: "text-button", onclick: () => resume(id) }, "Go on"),
  );
}

/** What a job has read before is not read again. */
async function resume(id) {
  const { error } = await request("POST", `api/jobs/${encodeURIComponent(id)}/resume`);
  error ? notify(error.message) : watchJobs({ isNew: true });
}

/** The time of today, or the day. */
function when(then) {
  const isToday = then.toDateString() === new Date().toDateString();
  return isToday
    ? then.toLocaleTimeString("en-GB", { timeStyle: "short" })
    : then.toLocaleDateString("en-GB", { dateStyle: "medium" });
}

function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

async function showFailures() {
  const place = panel?.querySelector(".failures");
  if (!place) return;
  const mine = ++failuresTurn;
  const { failures = [] } = await request("GET", `api/collections/${encodeURIComponent(shownName)}`);
  if (mine !== failuresTurn) return;
  place.replaceChildren();
  if (!failures.length) return;
  place.append(
    h(
      "details",
      {},
      h("summary", {}, icon("warn"), `${count(failures.length, "file")} could not be used`),
      h(
        "ul",
        {},
        failures.map(({ uri, message }) => h("li", {}, h("span", { class: "uri" }, uri), h("span", {}, message))),
      ),
    ),
  );
}
