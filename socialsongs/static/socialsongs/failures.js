"use strict";

// Shows beside the button that a request failed, and what to do. Polling has messages of its own; nobody waits for the
// request that records a play.
function tellFailure(event) {
  const element = event.target;
  if (element.matches("[data-poll], [data-play]")) return;
  const status = event.detail.xhr ? event.detail.xhr.status : 0;
  if (status && status < 400) {
    page.complain(element, page.reason(event), { reload: true });
  } else if (status === 403) {
    page.complain(element, "This page is out of date, perhaps because you logged in again in another tab. What you typed is kept.", { reload: true });
  } else if (status === 404) {
    page.complain(element, "This no longer exists.", { reload: true });
  } else {
    const when = navigator.onLine ? "in a moment" : "when you are back";
    page.complain(element, `${page.reason(event)} Nothing is lost: try again ${when}.`);
  }
}
for (const kind of ["responseError", "sendError", "timeout"]) document.addEventListener(`htmx:${kind}`, tellFailure);

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!event.defaultPrevented && !event.target.matches("[data-poll], [data-play]")) page.complain(event.target, "");
});

// Only a part of our page may be swapped in: not a whole page (of a proxy, or a login), and in the place of the songs only
// an answer of our own, which has data-say.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = event.detail;
  const whole = /^\s*<(!doctype|html)/i.test(xhr.responseText);
  const strange = target.id === "result" && xhr.status !== 204 && !xhr.responseText.includes("data-say");
  if (!whole && !strange) return;
  event.detail.shouldSwap = false;
  event.detail.isError = true;
});
