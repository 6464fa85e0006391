// Requests to the HTTP API whose answers are never exceptions: `{error: {code, message}}` says what went wrong, and
// `retry_after_s` in it when to ask again.

const UNREACHABLE = { code: "unreachable", message: "No connection to Sightline: is it still running?" };

/** Where nobody is signed in any more; afterwards this page comes back as it is. */
export function toSignIn() {
  const base = new URL(".", document.baseURI).pathname;
  const next = `/${location.pathname.slice(base.length)}${location.search}`;
  location.assign(new URL(`sign-in?${new URLSearchParams({ next })}`, document.baseURI));
}

export async function request(method, address, body) {
  try {
    const response = await fetch(address, {
      method,
      headers: body ? { "content-type": "application/json" } : {},
      body: body && JSON.stringify(body),
    });
    if (response.status === 401) toSignIn();
    const answer = await response.json();
    const after = Number(response.headers.get("retry-after"));
    if (answer.error && after) answer.error.retry_after_s = after;
    return answer;
  } catch {
    return { error: UNREACHABLE };
  }
}

/** Sends a form, telling how much of it is on its way: fetch can't. */
export function send(address, form, { onprogress, signal }) {
  return new Promise((resolve) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", address);
    sending.responseType = "json";
    sending.upload.addEventListener("progress", (event) => onprogress(event.loaded));
    sending.addEventListener("load", () => resolve(sending.response ?? { error: UNREACHABLE }));
    sending.addEventListener("error", () => resolve({ error: UNREACHABLE }));
    sending.addEventListener("abort", () => resolve({ error: { code: "cancelled", message: "Cancelled." } }));
    signal.addEventListener("abort", () => sending.abort());
    sending.send(form);
  });
}
