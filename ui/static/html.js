// Builds elements; every text becomes a text node, so names and captions from outside can never become markup.

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// 20 × 20, drawn with 1.6 px strokes.
const PATHS = {
  search: "M9 15a6 6 0 1 0 0-12 6 6 0 0 0 0 12ZM13.5 13.5 17 17",
  filter: "M3 6h14M6 10h8M8.5 14h3",
  picture: "M3.5 4.5h13v11h-13zM3.5 13l4-4 3.5 3.5 2-2 3.5 3M12.5 7.6v.01",
  plus: "M10 4.5v11M4.5 10h11",
  minus: "M4.5 10h11",
  close: "M5.5 5.5l9 9M14.5 5.5l-9 9",
  check: "M4.5 10.5l3.5 3.5 7.5-8",
  similar: "M3.5 3.5h8v8h-8zM8.5 11.5v5h8v-8h-5",
  previous: "M12.5 4.5 7 10l5.5 5.5",
  next: "M7.5 4.5 13 10l-5.5 5.5",
  copy: "M7 7h9v9H7zM13 7V4H4v9h3",
  download: "M10 3.5v9M6 9l4 4 4-4M4 16.5h12",
  warn: "M10 3 18 16.5H2L10 3ZM10 8.5v3.5M10 14.2v.01",
  offline:
    "M3 3l14 14M6.2 10.8a6 6 0 0 1 2-1.3M3.4 8a10 10 0 0 1 2.7-1.7M9 5.2a10 10 0 0 1 7.6 2.8M12.6 9.9l1.2.9M10 14.5v.01",
  folder: "M2.5 5.5h5l1.5 2h8.5v8h-15z",
  file: "M5 3h7l3.5 3.5V17H5zM12 3v3.5h3.5",
  trash: "M4 6h12M8 6V4h4v2M5.5 6l.7 10.5h7.6L14.5 6",
  keyboard: "M2.5 5.5h15v9h-15zM5.5 8.3h.01M8.5 8.3h.01M11.5 8.3h.01M14.5 8.3h.01M6.5 11.8h7",
  leave: "M8 4H4v12h4M8.5 10H17M13.5 6.5 17 10l-3.5 3.5",
  archive: "M3 4h14v3.5H3zM4.5 7.5V16h11V7.5M8.5 10.5h3",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Puts the named icons into a template's `<i data-icon="…">`. */
export function drawIcons(element) {
  for (const place of element.querySelectorAll("i[data-icon]")) place.replaceWith(icon(place.dataset.icon));
}

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

export function bytes(number) {
  if (number < 1000) return `${number} B`;
  if (number < 1e6) return `${Math.round(number / 1e3)} kB`;
  return number < 1e9 ? `${(number / 1e6).toFixed(1)} MB` : `${(number / 1e9).toFixed(1)} GB`;
}
