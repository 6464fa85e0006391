// How large the pictures of the grid are: chosen once, kept by the browser.

import { keep, kept } from "./kept.js";
import { holding } from "./place.js";

const SIZES = [0.75, 1, 1.5]; // times the usual height of a row; thumbnails have no more pixels than the last one shows

export function mountSize(range) {
  const show = () => {
    document.body.style.setProperty("--size", SIZES[range.value]);
    document.body.classList.toggle("is-dense", range.value === "0");
  };
  range.max = SIZES.length - 1;
  range.value = kept("size") ?? SIZES.indexOf(1);
  show();
  range.addEventListener("input", () => {
    holding(null, show);
    keep("size", range.value);
  });
}
