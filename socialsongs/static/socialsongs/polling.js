"use strict";

// A page that waits for songs polls until they are there, or the post is gone (410): after a failed answer it polls again, with growing pauses, and at once when
// the network or the person is back.
{
  const FIRST = 1000;
  const LONGEST = 30_000;
  let failures = 0;
  let timer = null;

  const ask = () => {
    clearTimeout(timer);
    timer = null;
    const waiting = document.querySelector("[data-poll]");
    if (!waiting) return;
    const ignore = () => {};  // the listeners below handle it
    htmx.ajax("GET", waiting.getAttribute("hx-get"), { source: waiting, target: "#result" }).catch(ignore);
  };

  const later = (event) => {
    if (!event.target.matches("[data-poll]")) return;
    const most = Math.min(LONGEST, FIRST * 2 ** failures);
    failures += 1;
    clearTimeout(timer);
    timer = setTimeout(ask, most * (0.5 + Math.random() / 2));  // so that not all pages poll at the same moment
    page.say(`${page.reason(event)} The photo is safe: this page asks again by itself.`, { trouble: true });
  };

  for (const kind of ["responseError", "sendError", "timeout", "sendAbort"]) document.addEventListener(`htmx:${kind}`, later);
  document.addEventListener("htmx:afterSwap", () => { failures = 0; });
  window.addEventListener("online", () => {
    failures = 0;
    if (timer) ask();
  });
  document.addEventListener("visibilitychange", () => { if (timer && !document.hidden) ask(); });
}
