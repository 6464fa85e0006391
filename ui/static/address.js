// The query in the page's address, there and back; pictures that were dropped live in the history entry alone.

export function toAddress(query) {
  const address = new URLSearchParams();
  if (query.text) address.set("q", query.text);
  for (const part of query.parts) {
    if (part.text !== undefined) address.append(part.minus ? "not" : "and", part.text);
    if (part.id !== undefined) address.append(part.minus ? "unlike" : "like", part.id);
  }
  if (Object.keys(query.where).length) address.set("where", JSON.stringify(query.where));
  if (query.collection) address.set("collection", query.collection);
  if (query.open) address.set("open", query.open);
  if (query.view) address.set("view", query.view);
  const text = address.toString();
  return text ? `?${text}` : location.pathname;
}

export function fromAddress(search) {
  const address = new URLSearchParams(search);
  const parts = [];
  for (const [name, value] of address) {
    if (name === "and") parts.push({ text: value, minus: false });
    if (name === "not") parts.push({ text: value, minus: true });
    if (name === "like") parts.push({ id: value, minus: false });
    if (name === "unlike") parts.push({ id: value, minus: true });
  }
  return {
    text: address.get("q") ?? "",
    parts,
    where: whereOf(address.get("where")),
    collection: address.get("collection"),
    open: address.get("open"),
    view: address.get("view"), // the tab; none is Search
  };
}

function whereOf(text) {
  try {
    const where = JSON.parse(text ?? "{}");
    return where && typeof where === "object" && !Array.isArray(where) ? where : {};
  } catch {
    return {}; // an address that somebody typed
  }
}
