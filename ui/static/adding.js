// Adding images to a collection: files, a folder, a zip or a path go to the server, which makes jobs of them.

import { bytes, count, h, icon } from "./html.js";
import { request, send } from "./http.js";
import { showJobsIn, watchJobs } from "./jobs.js";
import { notify } from "./session.js";

const PART_BYTES = 200e6; // sent at once: a lost connection costs no more than this
const PART_FILES = 500;

let panel = null;
let target = null; // the collection whose panel is open
let sending = null; // {done, total, abort} while files are on their way

export function showAdding(element, collection, { withAnother }) {
  panel = element;
  target = collection;
  const files = h("input", {
    type: "file",
    multiple: true,
    hidden: true,
    accept: "image/*",
    "aria-label": "Images to add",
    onchange: () => take(files),
  });
  const folder = h("input", {
    type: "file",
    webkitdirectory: true,
    hidden: true,
    "aria-label": "A folder to add",
    onchange: () => take(folder),
  });
  const zip = h("input", {
    type: "file",
    hidden: true,
    accept: ".zip,application/zip",
    "aria-label": "A zip to add",
    onchange: () => take(zip),
  });
  const chooser = (label, drawing, input) =>
    h("button", { type: "button", class: "button", onclick: () => input.click() }, icon(drawing), label);
  const path = h("input", {
    class: "text-field",
    name: "path",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "/home/me/Pictures",
  });
  element.replaceChildren(
    h(
      "div",
      { class: "drop-zone" },
      h("p", {}, "Drop images, a folder or a zip here"),
      target.model === "pocket" &&
        h(
          "p",
          { class: "hint" },
          "The bundled model knows illustrations, not photographs. ",
          h("button", { type: "button", class: "text-button", onclick: withAnother }, "Use another model"),
        ),
      h(
        "p",
        { class: "choosers" },
        chooser("Files", "file", files),
        chooser("Folder", "folder", folder),
        chooser("Zip", "archive", zip),
      ),
      files,
      folder,
      zip,
    ),
    h(
      "form",
      { class: "path", onsubmit: (event) => takePath(event, path) },
      h(
        "label",
        {},
        h("span", {}, "Or a folder of the machine that Sightline runs on, or s3://bucket/prefix; the files stay where they are"),
        path,
      ),
      h("button", { class: "button" }, "Add folder"),
    ),
    h("p", { class: "ask-error", role: "alert", hidden: true }),
    h("div", { class: "sending" }),
    h("ul", { class: "jobs", "aria-label": "What is being added" }),
    h("div", { class: "failures" }),
  );
  showSending();
  showJobsIn(element, target.name);
}

function take(input) {
  upload([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
  input.value = "";
}

async function takePath(event, input) {
  event.preventDefault();
  const path = input.value.trim();
  if (!path) return;
  const { name } = target;
  const answer = await request("POST", "api/jobs", { collection: name, paths: [path] });
  if (answer.error) return fail(answer.error.message, name);
  input.value = "";
  fail(null, name);
  watchJobs({ isNew: true });
}

/** Anywhere on the Library tab, while a collection is open for adding. */
export function acceptDrops() {
  const zone = () => (panel?.offsetParent ? panel.querySelector(".drop-zone") : null);
  document.addEventListener("dragover", (event) =>
    zone()?.classList.toggle("is-target", event.dataTransfer.types.includes("Files")),
  );
  document.addEventListener("dragleave", () => zone()?.classList.remove("is-target"));
  document.addEventListener("drop", async (event) => {
    if (!zone()) return;
    zone().classList.remove("is-target");
    const entries = [...event.dataTransfer.items]
      .map((item) => item.webkitGetAsEntry() ?? item.getAsFile())
      .filter(Boolean);
    upload((await Promise.all(entries.map((entry) => filesOf(entry, "")))).flat());
  });
}

/** The files of a dropped entry; a folder lists at most a hundred at a time. */
async function filesOf(entry, folder) {
  if (entry instanceof File) return [{ file: entry, path: entry.name }];
  const path = folder + entry.name;
  if (entry.isFile)
    return new Promise((resolve) =>
      entry.file(
        (file) => resolve([{ file, path }]),
        () => resolve([]),
      ),
    );
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const entries = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!entries.length) return (await Promise.all(found)).flat();
    found.push(...entries.map((inner) => filesOf(inner, `${path}/`)));
  }
}

async function upload(files) {
  if (!files.length || sending) return;
  const { name } = target;
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  const abort = new AbortController();
  sending = { done: 0, total, files: files.length, abort };
  fail(null, name);
  let sent = 0;
  const refused = [];
  for (const part of parts(files)) {
    const form = new FormData();
    for (const { file, path } of part) form.append("files", file, path);
    const answer = await send(`api/images?${new URLSearchParams({ collection: name })}`, form, {
      onprogress: (loaded) => showSending((sending.done = Math.min(total, sent + loaded))),
      signal: abort.signal,
    });
    if (answer.error) {
      if (answer.error.code !== "cancelled") fail(answer.error.message, name);
      break;
    }
    refused.push(...answer.refused);
    sent += part.reduce((sum, { file }) => sum + file.size, 0);
    watchJobs({ isNew: true });
  }
  sending = null;
  showSending();
  if (refused.length) fail(`${count(refused.length, "file")} not taken. ${refused[0].message}`, name);
}

function* parts(files) {
  let part = [];
  let size = 0;
  for (const entry of files) {
    if (part.length && (part.length >= PART_FILES || size + entry.file.size > PART_BYTES)) {
      yield part;
      [part, size] = [[], 0];
    }
    part.push(entry);
    size += entry.file.size;
  }
  if (part.length) yield part;
}

function showSending() {
  const place = panel?.querySelector(".sending");
  if (!place) return;
  place.replaceChildren();
  if (!sending) return;
  const { done, total, files, abort } = sending;
  place.append(
    h("p", {}, `Sending ${count(files, "file")}: ${bytes(done)} of ${bytes(total)}`),
    h("progress", { max: total || 1, value: done, "aria-label": "Sent so far" }),
    h("button", { type: "button", class: "text-button", onclick: () => abort.abort() }, "Cancel"),
  );
}

/** Beside what was tried, or where another collection's panel is open by now, as a notice. */
function fail(message, name) {
  if (name !== target.name || !panel.isConnected) return message && notify(`“${name}”: ${message}`);
  const place = panel.querySelector(".ask-error");
  place.hidden = !message;
  place.textContent = message ?? "";
}
