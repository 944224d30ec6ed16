"use strict";

// What the other scripts share: telling people something, on the screen and by a screen reader.
const page = {
  // Into the status line, which is there from the start, so that screen readers tell what comes into it. It is seen
  // only while there is trouble.
  say(text, { trouble = false } = {}) {
    const status = document.getElementById("status");
    if (!status) return;
    status.className = trouble ? "trouble" : "visually-hidden";
    if (status.textContent !== text) status.textContent = text;
  },

  // Beside what was clicked, in the place of what was said there before, also by the server. An empty text says nothing.
  complain(element, text, { reload = false } = {}) {
    const place = element.closest("[data-tell]") || element.parentElement;
    place.querySelectorAll(".problem").forEach((old) => old.remove());
    if (!text) return;
    const line = document.createElement("p");
    line.className = "problem";
    line.setAttribute("role", "alert");
    line.textContent = text;
    if (reload) {
      const link = document.createElement("a");
      link.href = location.href;
      link.dataset.reload = "";
      link.textContent = "Reload the page";
      line.append(" ", link);
    }
    (place.querySelector("[data-problem]") || place).append(line);
  },

  // Why a request failed.
  reason(event) {
    if (!navigator.onLine) return "You are offline.";
    if (event.type === "htmx:timeout") return "The server takes too long to answer.";
    const status = event.detail.xhr ? event.detail.xhr.status : 0;
    if (status && status < 400) return "The answer did not come from this page; perhaps you were logged out.";
    return status ? `The server answered ${status}.` : "The server could not be reached.";
  },
};

// After the part about the songs changed, a screen reader says so in a few words instead of reading all of it.
document.addEventListener("htmx:afterSwap", (event) => {
  const told = event.detail.target.querySelector("[data-say]");
  if (told) page.say(told.dataset.say);
});

// The second click of a double click would press the button that took the place of the first.
document.addEventListener("click", (event) => {
  if (event.detail > 1 && event.target.closest("form button:not([type=button])")) event.preventDefault();
}, true);
