// The panel on the right (the whole screen on phones): one picture, its facts, and why it was found.

import { set as setFilter, label, named } from "./filters.js";
import { bytes, h, icon } from "./html.js";
import { mountLarge } from "./large.js";
import { holding } from "./place.js";
import { addItems, details, notify, open, select, session, similar, watch } from "./session.js";

export function mount(element) {
  const panel = element.querySelector(".detail");
  const dialog = element.querySelector("dialog.large");
  const showLarge = mountLarge(dialog, panel);
  let shown = null;
  let image = null; // of what is shown, as the server told it
  const isFilled = () => shown && panel.firstChild;
  watch(["open"], async () => {
    const id = session.query.open;
    holding(id ?? shown, () => document.body.classList.toggle("detail-open", !!id));
    if (!id) {
      dialog.close();
      if (shown) focusTile(shown);
      shown = null;
      return panel.replaceChildren();
    }
    if (id === shown) return isFilled() && showPlace(panel, id);
    const isFirst = !shown;
    shown = id;
    image = null;
    const focused = document.activeElement;
    const hit = hitOf(id);
    if (hit) show(panel, hit, { image: hit, shares: [] });
    const answer = await details(id);
    if (shown !== id) return;
    if (answer.error) {
      notify(answer.error.message);
      return open(null);
    }
    ({ image } = answer);
    show(panel, { ...hitOf(id), ...image }, answer);
    if (dialog.open) showLarge(image);
    const hasStayed = document.activeElement === focused || document.activeElement === document.body;
    if (isFirst && hasStayed && !dialog.open) panel.querySelector("[data-close]").focus({ preventScroll: true });
  });
  watch(["answer"], () => {
    if (!isFilled()) return;
    showPlace(panel, shown);
    if (image) panel.querySelector("[data-facts]").replaceWith(facts({ ...hitOf(shown), ...image }, image));
  });
  watch(["selected"], () => {
    if (!isFilled()) return;
    showSelected(panel, shown);
    if (dialog.open && image) showLarge(image);
  });
  panel.addEventListener("click", (event) => {
    if (!image || !event.target.closest(".picture") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (matchMedia("(hover: none)").matches) return; // fingers enlarge what is in a tab of its own
    event.preventDefault();
    showLarge(image);
  });
}

/** Its figures belong to the answer that is there: to one on its way they would be wrong. */
function hitOf(id) {
  const hit = session.answer?.hits.find((hit) => hit.id === id);
  return hit && session.status === "loading" ? { ...hit, fit: undefined, score: undefined } : hit;
}

const focusTile = (id) =>
  [...document.querySelectorAll(".tile")]
    .find((tile) => tile.hit?.id === id)
    ?.querySelector(".tile-open")
    .focus({ preventScroll: true });

function show(panel, hit, { image, shares }) {
  const tool = (name, title, drawing, run) =>
    h(
      "button",
      { type: "button", class: "icon-button", [`data-${name}`]: true, "aria-label": title, title, onclick: run },
      icon(drawing),
    );
  const action = (name, title, drawing, run) =>
    h("button", { type: "button", class: "button small", [`data-${name}`]: true, onclick: run }, icon(drawing), title);
  const focused = panel.contains(document.activeElement) && Object.keys(document.activeElement.dataset)[0];
  panel.replaceChildren(
    h(
      "header",
      {},
      tool("previous", "Previous (←)", "previous", () => step(-1)),
      h("p", { class: "place" }),
      tool("next", "Next (→)", "next", () => step(1)),
      tool("close", "Close (Esc)", "close", () => open(null)),
    ),
    picture(image),
    h(
      "div",
      { class: "detail-body" },
      h("h2", {}, image.caption || image.name),
      h(
        "div",
        { class: "detail-actions" },
        action("similar", "Similar", "similar", () => similar(hit)),
        action("plus", "Add", "plus", () => addItems([hit], false)),
        action("minus", "Subtract", "minus", () => addItems([hit], true)),
        action("select", "Select", "check", () => select([hit], !session.selected.has(hit.id))),
      ),
      shares.length > 0 && why(withNames(shares)),
      facts(hit, image),
      metadata(image.metadata ?? {}),
    ),
  );
  showPlace(panel, image.id);
  showSelected(panel, image.id);
  if (focused) panel.querySelector(`[data-${focused}]`)?.focus({ preventScroll: true });
}

function picture({ image, thumb, width, height, caption, name }) {
  const large = h("img", { src: image ?? thumb, alt: caption || name, width, height });
  const frame = h(
    "a",
    {
      class: "picture",
      href: image,
      target: "_blank",
      rel: "noopener",
      title: "Larger (f)",
      style: `--shape: ${width / height || 1}`,
    },
    large,
  );
  if (image) frame.style.backgroundImage = `url("${new URL(thumb, document.baseURI).href.replaceAll('"', "%22")}")`;
  return frame;
}

/** What pictures from outside are called is only known here; they stand in the order of the query. */
function withNames(shares) {
  const names = session.query.parts.filter((part) => part.image_hash).map((part) => part.label);
  return shares.map((share) => (share.kind === "image" ? { ...share, label: names.shift() || share.label } : share));
}

function why(shares) {
  const widest = Math.max(...shares.map(({ share }) => Math.abs(share)), 0.01);
  return h(
    "section",
    {},
    h("h3", {}, "Why it was found"),
    h(
      "ul",
      { class: "shares" },
      shares.map(({ label, share, weight, cosine }) =>
        h(
          "li",
          { class: share < 0 ? "minus" : "", title: `weight ${weight} × cosine ${cosine.toFixed(3)}` },
          h("span", { class: "share-label" }, weight < 0 ? `without ${label}` : label),
          h(
            "span",
            { class: "share-bar" },
            h("i", { style: `inline-size: ${((Math.abs(share) / widest) * 100).toFixed(0)}%` }),
          ),
          h("span", { class: "share-figure" }, signed(share)),
        ),
      ),
    ),
  );
}

const signed = (number) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2).replace(/^0/, "")}`;

function facts(hit, image) {
  const day = (text) => text && new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  const rows = [
    [
      "File",
      h("span", { class: "uri" }, image.uri),
      h(
        "button",
        {
          type: "button",
          class: "icon-button small",
          "aria-label": "Copy the path",
          title: "Copy the path",
          onclick: () => copy(image.uri),
        },
        icon("copy"),
      ),
    ],
    ["Size", `${image.width} × ${image.height} px${image.size_bytes ? ` · ${bytes(image.size_bytes)}` : ""}`],
    ["Taken", day(image.taken_at)],
    ["Added", day(image.added_at)],
    ["Fit", hit.fit !== undefined && inWords(hit.fit)],
    ["Cosine", hit.score?.toFixed(3)],
  ];
  return h(
    "section",
    { "data-facts": true },
    h("h3", {}, "Facts"),
    h(
      "dl",
      { class: "facts" },
      rows.filter((row) => row[1]).map(([name, ...value]) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value))),
    ),
  );
}

function inWords(fit) {
  const share = `better than ${Math.min(99.9, fit * 100).toFixed(1)} % of this collection`;
  return session.answer.weak ? `${share}, where nothing fits well` : share;
}

/** Every value filters by itself. */
function metadata(fields) {
  const rows = Object.entries(fields);
  if (!rows.length) return null;
  return h(
    "section",
    {},
    h("h3", {}, "Metadata"),
    h(
      "dl",
      { class: "facts" },
      rows.map(([field, value]) =>
        h(
          "div",
          {},
          h("dt", {}, label(field)),
          h(
            "dd",
            {},
            h(
              "button",
              {
                type: "button",
                class: "value",
                title: `Show only ${label(field)}: ${named(value)}`,
                onclick: () => setFilter(field, { in: [value] }),
              },
              named(value),
            ),
          ),
        ),
      ),
    ),
  );
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    notify("Copied.");
  } catch {
    notify("The browser does not allow copying here.");
  }
}

function step(by) {
  const hits = session.answer?.hits ?? [];
  const next = hits[hits.findIndex(({ id }) => id === session.query.open) + by];
  if (next) open(next.id);
}

function showPlace(panel, id) {
  const hits = session.answer?.hits ?? [];
  const at = hits.findIndex((hit) => hit.id === id);
  const all = session.answer?.most.toLocaleString("en");
  panel.querySelector(".place").textContent = at < 0 ? "" : `${(at + 1).toLocaleString("en")} of ${all}`;
  panel.querySelector("[data-previous]").disabled = at <= 0;
  panel.querySelector("[data-next]").disabled = at < 0 || at >= hits.length - 1;
}

function showSelected(panel, id) {
  const button = panel.querySelector("[data-select]");
  const isSelected = session.selected.has(id);
  button.classList.toggle("is-on", isSelected);
  button.setAttribute("aria-pressed", isSelected);
}
