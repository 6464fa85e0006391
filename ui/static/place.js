// Keeps what is looked at where it is on the screen while the rows of pictures break anew.

let held = null; // the tile that was held last: where it is still in sight, opening and closing end where they began

/**
 * Runs `change`; the picture of that id stays where it is, or where that is out of sight one that is in sight.
 * At the top of the page it may move within sight: half a line on top of the page would be cut.
 */
export function holding(id, change) {
  const tiles = [...document.querySelectorAll(".tile")].filter(isInSight);
  held = tiles.find((tile) => tile.hit?.id === id) ?? (tiles.includes(held) ? held : tiles[0]);
  const before = held?.getBoundingClientRect().top;
  const isOnTop = window.scrollY === 0;
  change();
  if (held && !(isOnTop && isInSight(held))) window.scrollBy(0, held.getBoundingClientRect().top - before);
}

function isInSight(tile) {
  const { top, bottom } = tile.getBoundingClientRect();
  return bottom > document.querySelector("#query_box").getBoundingClientRect().bottom && top < window.innerHeight;
}
