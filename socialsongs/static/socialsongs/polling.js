// A part that waits for songs polls until they are there, or the post is gone (410): after a failed answer it polls again,
// with growing pauses, and at once when the network or the person is back.
const { ours, reason, say, text } = socialsongs;
const FIRST = 1000;
const LONGEST = 30_000;
const parts = new WeakMap();  // by the element that holds the songs: failures in a row, and the timer
const waiting = () => [...document.querySelectorAll(".socialsongs [data-poll]")];
const part = (element) => {
  const place = element.closest(".socialsongs-result");
  if (!parts.has(place)) parts.set(place, { failures: 0, timer: null });
  return parts.get(place);
};

const ask = (element) => {
  clearTimeout(part(element).timer);
  part(element).timer = null;
  const ignore = () => {};  // the listeners below handle it
  htmx.ajax("GET", element.getAttribute("hx-get"), { source: element, target: element.closest(".socialsongs-result") }).catch(ignore);
};

const later = (event) => {
  const element = event.target;
  if (!ours(element, "*") || !element.matches("[data-poll]")) return;
  const its = part(element);
  const most = Math.min(LONGEST, FIRST * 2 ** its.failures);
  its.failures += 1;
  clearTimeout(its.timer);
  // So that not all pages poll at the same moment.
  its.timer = setTimeout(() => { if (element.isConnected) ask(element); }, most * (0.5 + Math.random() / 2));
  say(element, text("pollsOn", { reason: reason(event) }), { trouble: true });
};

for (const kind of ["responseError", "sendError", "timeout", "sendAbort"]) document.addEventListener(`htmx:${kind}`, later);
document.addEventListener("htmx:afterSwap", (event) => { parts.delete(event.detail.target); });
window.addEventListener("online", () => {
  for (const element of waiting()) {
    part(element).failures = 0;
    if (part(element).timer) ask(element);
  }
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const element of waiting()) if (part(element).timer) ask(element);
});
