// Shows beside the button that a request failed, and what to do. Polling has messages of its own; nobody waits for the
// request that records a play.
const { complain, ours, reason, text } = socialsongs;
const quiet = (element) => !ours(element, "*") || element.matches("[data-poll], [data-play]");

function tellFailure(event) {
  const element = event.target;
  if (quiet(element)) return;
  const status = event.detail.xhr ? event.detail.xhr.status : 0;
  if (status && status < 400) {
    complain(element, reason(event), { reload: true });
  } else if (status === 403) {
    complain(element, text("outdated"), { reload: true });
  } else if (status === 404) {
    complain(element, text("gone"), { reload: true });
  } else {
    complain(element, text(navigator.onLine ? "nothingLost" : "nothingLostOffline", { reason: reason(event) }));
  }
}
for (const kind of ["responseError", "sendError", "timeout"]) document.addEventListener(`htmx:${kind}`, tellFailure);

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!event.defaultPrevented && !quiet(event.target)) complain(event.target, "");
});

// Answers that say what was wrong with a request are shown, whatever the page's htmx does with them otherwise. Only a part
// of our page may be swapped in: not a whole page (of a proxy, or a login), and in the place of the songs only an answer of
// our own, which has data-say.
const SHOWN = [400, 410, 411, 413, 415, 422, 429, 503];
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = event.detail;
  if (!ours(target, "*")) return;
  const whole = /^\s*<(!doctype|html)/i.test(xhr.responseText);
  const strange = target.matches(".socialsongs-result") && xhr.status !== 204 && !xhr.responseText.includes("data-say");
  if (whole || strange) {
    event.detail.shouldSwap = false;
    event.detail.isError = true;
  } else if (SHOWN.includes(xhr.status)) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});
