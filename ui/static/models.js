// What the server says of models: which are here, what others cost, the download and the test that run; asks for both.

import { bytes, h } from "./html.js";
import { request } from "./http.js";

const POLL_MS = 700;
const STAGES = ["reading weights", "text tower", "image tower", "checking"]; // of an export

export const NEEDS_FULL =
  "This model needs torch: run `make full` once and start Sightline again; in a container use the image's target `full`.";

const listeners = new Set();
let told = { models: [], downloads: [], makings: [], sources: {}, machine: "" };
let next = 0; // the timer of the next question
let turn = 0;
let latest = null; // the question that was asked last

/** Calls `listener` with what is known now, and whenever that changes. */
export function watchModels(listener) {
  listeners.add(listener);
  if (told.models.length) listener(told);
}

export const modelNamed = (name) => told.models.find((model) => model.name === name);
export const titleOf = (name) => modelNamed(name)?.title ?? name;

const isBusy = ({ downloads, makings, models, speed_test: test }) =>
  downloads.some(({ state }) => state === "running") ||
  makings.some(({ state }) => ["downloading", "preparing"].includes(state)) ||
  models.some(({ loading }) => loading) ||
  test?.is_running;

/** Asks again; returns once that is answered, and goes on asking while something runs. */
export const learnModels = () => (latest = read());

async function read() {
  clearTimeout(next);
  const mine = ++turn;
  const answer = await request("GET", "api/models");
  if (mine !== turn) return latest;
  if (answer.error) return isBusy(told) && (next = setTimeout(learnModels, 3 * POLL_MS));
  told = answer;
  for (const listener of [...listeners]) listener(told);
  if (isBusy(told)) next = setTimeout(learnModels, POLL_MS);
}

/** What a name would cost; asks the hub where it is not here. */
export const lookUp = (name) => request("POST", "api/models", { model: name });

async function startDownload(name) {
  const answer = await request("POST", "api/models", { model: name, download: true });
  learnModels();
  return answer.error;
}

const cancelDownload = (name) => request("DELETE", `api/models?${new URLSearchParams({ model: name })}`);

/** A download's or a process's size, as precisely as anybody wants to know it. */
export const size = (number) => (number >= 100e6 && number < 1e9 ? `${Math.round(number / 1e6)} MB` : bytes(number));

export function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.ceil((seconds % 3600) / 60)} min`;
}

export function downloadFigures({ done_bytes: done, total_bytes: total, rate_bytes_per_s: rate, remaining_s: left }) {
  return [
    `${size(done)} of ${size(total)}`,
    rate > 0 && `${size(Math.round(rate))}/s`,
    left > 0 && `${duration(left)} left`,
  ].filter(Boolean);
}

/** Where a model is on its way into memory. */
export function loadingFigures(model) {
  const at = STAGES.indexOf(model?.loading?.stage);
  if (at < 0) return ["loading the model"];
  return [`exporting it, step ${at + 1} of ${STAGES.length}: ${STAGES[at]}`, `${duration(model.loading.since_s)} so far`];
}

export const exportSteps = (model) => ({
  max: STAGES.length,
  value: Math.max(0, STAGES.indexOf(model?.loading?.stage)),
});

/** A button that becomes the size, then the progress; calls `whenHere` once. */
export function offerDownload(place, name, whenHere) {
  let shownSize = null;
  let wasRunning = false;
  const stop = () => listeners.delete(follow);
  const follow = ({ downloads }) => {
    if (wasRunning && !place.isConnected) return stop();
    const download = downloads.find((one) => one.name === name);
    if (download?.state === "running") {
      wasRunning = true;
      return showProgress(place, download);
    }
    if (wasRunning) {
      wasRunning = false;
      if (download?.state === "done") {
        stop();
        return whenHere();
      }
      ask(download?.error);
    } else if (modelNamed(name)?.state === "ready") {
      stop();
      whenHere();
    }
  };
  const say = (...parts) => place.replaceChildren(...parts.filter(Boolean));
  const button = (label, run) => h("button", { type: "button", class: "button", onclick: run }, label);
  const ask = (error) =>
    say(button("Download it…", showSize), error && h("span", { class: "ask-error", role: "alert" }, error));
  async function showSize() {
    say(h("span", {}, "Looking it up…"));
    const found = shownSize ?? (await lookUp(name));
    if (found.error) return ask(found.error.message);
    shownSize = found;
    if (found.state !== "needs_download") return learnModels();
    say(
      button(`Download ${size(found.missing_bytes)}`, async () => {
        const error = await startDownload(name);
        if (error) return ask(error.message);
        wasRunning = true;
      }),
      h("span", {}, `from ${found.where}`),
    );
  }
  ask();
  watchModels(follow);
  learnModels();
}

function showProgress(place, download) {
  place.replaceChildren(
    h("span", {}, downloadFigures(download).join(" · ")),
    h("progress", { max: download.total_bytes, value: download.done_bytes, "aria-label": "Downloaded so far" }),
    h("button", { type: "button", class: "text-button", onclick: () => cancelDownload(download.name) }, "Cancel"),
  );
}
