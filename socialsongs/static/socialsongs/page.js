"use strict";

// What the other scripts share: messages for people, on the screen and for screen readers.
const page = {
  // Write into the status line. It exists from the start, so that screen readers read what changes in it; it is visible
  // only when there is trouble.
  say(text, { trouble = false } = {}) {
    const status = document.getElementById("status");
    if (!status) return;
    status.className = trouble ? "trouble" : "visually-hidden";
    if (status.textContent !== text) status.textContent = text;
  },

  // Show a problem beside the element, in place of an earlier one, also one of the server. An empty text removes it.
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

  // Return why a request failed.
  reason(event) {
    if (!navigator.onLine) return "You are offline.";
    if (event.type === "htmx:timeout") return "The server takes too long to answer.";
    const status = event.detail.xhr ? event.detail.xhr.status : 0;
    if (status && status < 400) return "The answer did not come from this page; perhaps you were logged out.";
    return status ? `The server had a problem (${status}).` : "The server could not be reached.";
  },
};

// After the songs changed, have screen readers say so in a few words instead of reading all of them.
document.addEventListener("htmx:afterSwap", (event) => {
  const message = event.detail.target.querySelector("[data-say]");
  if (message) page.say(message.dataset.say);
});

// Ignore the second click of a double click: it would press the button that replaced the first.
document.addEventListener("click", (event) => {
  if (event.detail > 1 && event.target.closest("form button:not([type=button])")) event.preventDefault();
}, true);
