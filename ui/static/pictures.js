// Pictures from outside, dropped, pasted or chosen, and results dragged onto the box: all become parts of the query.

import { toSignIn } from "./http.js";
import { addItems, addParts, notify, session } from "./session.js";

export const ITEM = "application/x-sightline-item"; // what a dragged result carries

/** Makes the whole page take dropped and pasted pictures, and `box` the results of the grid. */
export function acceptPictures(target, box) {
  const onSearch = () => !!box.offsetParent;
  let depth = 0;
  const kind = (event) => [...event.dataTransfer.types];
  const isItem = (event) => kind(event).includes(ITEM);
  const isOutside = (event) =>
    !isItem(event) && (kind(event).includes("Files") || kind(event).includes("text/uri-list"));
  const leave = () => {
    depth = 0;
    target.hidden = true;
    box.classList.remove("is-target");
  };
  document.addEventListener("dragenter", (event) => {
    depth += 1;
    if (!onSearch()) return;
    if (isOutside(event)) target.hidden = false;
    if (isItem(event)) box.classList.add("is-target");
  });
  document.addEventListener("dragleave", () => (depth -= 1) <= 0 && leave());
  document.addEventListener("dragend", leave);
  document.addEventListener("dragover", (event) => {
    if (isOutside(event) || (isItem(event) && box.contains(event.target))) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    leave();
    if (isItem(event)) return box.contains(event.target) && dropItem(event);
    if (!isOutside(event)) return;
    event.preventDefault(); // the browser would leave the page for the file
    if (!onSearch()) return;
    const files = [...event.dataTransfer.files];
    files.length ? addPictures(files) : explainAddress();
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length || !onSearch()) return;
    event.preventDefault();
    addPictures(files);
  });
}

function dropItem(event) {
  event.preventDefault();
  const id = event.dataTransfer.getData(ITEM);
  const hit = session.answer?.hits.find((hit) => hit.id === id);
  if (hit) addItems([hit], event.altKey);
}

function explainAddress() {
  notify(
    "That site sent only the picture's address, and addresses are not opened here. Copy the picture there and paste it here, or save it and drop the file.",
  );
}

/** Sends the pictures to the server, which names each by its hash; those become chips. */
export async function addPictures(files) {
  const parts = [];
  for (const file of files) {
    const answer = await send(file);
    if (answer.error) notify(answer.error.message);
    else parts.push({ image_hash: answer.hash, label: file.name, minus: false, thumb: answer.thumb });
  }
  if (parts.length) addParts(parts);
}

async function send(file) {
  const collection = session.query.collection;
  const address = `api/query-images?${new URLSearchParams(collection ? { collection } : {})}`;
  try {
    // The server looks at the bytes whatever they are called; it only wants to be told that they are a picture.
    const response = await fetch(address, { method: "POST", body: file, headers: { "content-type": "image/jpeg" } });
    if (response.status === 401) toSignIn();
    return await response.json();
  } catch {
    return { error: { message: `“${file.name}” could not be sent: no connection to the server. Try again.` } };
  }
}
