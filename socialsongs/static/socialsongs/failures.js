"use strict";

// Shows beside the button that a request failed, and what to do. Not for polling, which has messages of its own, and not
// for the report that a clip was played, which nobody waits for.
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

// Parts of a page take the place of parts of this one. What is a whole page (a proxy's, a login) is not one of them; and
// in the place of the songs goes nothing but songs, or that there are none yet.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = event.detail;
  const whole = /^\s*<(!doctype|html)/i.test(xhr.responseText);
  const strange = target.id === "result" && xhr.status !== 204 && !xhr.responseText.includes("data-say");
  if (!whole && !strange) return;
  event.detail.shouldSwap = false;
  event.detail.isError = true;
});
