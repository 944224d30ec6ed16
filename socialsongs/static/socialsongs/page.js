// What the other scripts share: messages for people, on the screen and for screen readers. The scripts are modules, so
// that each runs once in a page however often it is named; they act inside elements of the class "socialsongs" only.
const texts = JSON.parse(document.getElementById("socialsongs-texts").textContent);

window.socialsongs = {
  // Return a text in the language of the page; {name} stands for a value.
  text(key, values = {}) {
    return texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  },

  // Return the element itself, or the nearest one around it, that matches, where that is part of SocialSongs.
  ours(element, selector) {
    const found = element.closest?.(selector);
    return found?.closest(".socialsongs") ? found : null;
  },

  // Write into the status line beside an element. The line exists from the start, so that screen readers read what
  // changes in it; it is visible only when there is trouble.
  say(element, text, { trouble = false } = {}) {
    const status = element.closest(".socialsongs")?.querySelector("[data-status]");
    if (!status) return;
    status.className = trouble ? "socialsongs-trouble" : "socialsongs-visually-hidden";
    if (status.textContent !== text) status.textContent = text;
  },

  // Show a problem beside the element, in place of an earlier one, also one of the server. An empty text removes it.
  complain(element, text, { reload = false } = {}) {
    const place = element.closest("[data-tell]") || element.parentElement;
    place.querySelectorAll(".socialsongs-problem").forEach((old) => old.remove());
    if (!text) return;
    const line = document.createElement("p");
    line.className = "socialsongs-problem";
    line.setAttribute("role", "alert");
    line.textContent = text;
    if (reload) {
      const link = document.createElement("a");
      link.href = location.href;
      link.dataset.reload = "";
      link.textContent = texts.reload;
      line.append(" ", link);
    }
    (place.querySelector("[data-problem]") || place).append(line);
  },

  // Return why a request failed.
  reason(event) {
    if (!navigator.onLine) return texts.offline;
    if (event.type === "htmx:timeout") return texts.timeout;
    const status = event.detail.xhr ? event.detail.xhr.status : 0;
    if (status && status < 400) return texts.strange;
    return status ? socialsongs.text("serverError", { status }) : texts.unreachable;
  },
};

// After the songs changed, have screen readers say so in a few words instead of reading all of them.
document.addEventListener("htmx:afterSwap", (event) => {
  const message = socialsongs.ours(event.detail.target, "*")?.querySelector("[data-say]");
  if (message) socialsongs.say(message, message.dataset.say);
});

// Ignore the second click of a double click: it would press the button that replaced the first.
document.addEventListener("click", (event) => {
  if (event.detail > 1 && socialsongs.ours(event.target, "form button:not([type=button])")) event.preventDefault();
}, true);
