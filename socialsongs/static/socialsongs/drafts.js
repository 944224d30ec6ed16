"use strict";

// Keeps what was typed in this tab while its person logs in again or reloads the page. Files cannot be kept.
{
  const KEPT = "socialsongs.draft";
  const person = document.body.dataset.person;

  const keep = () => {
    const texts = {};
    for (const field of document.querySelectorAll("[data-keep]")) texts[field.id] = field.value;
    const files = [...document.querySelectorAll("input[type=file]")].some((input) => input.files.length);
    sessionStorage.setItem(KEPT, JSON.stringify({ person, place: location.pathname, texts, files }));
  };

  const restore = () => {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) || "null");
    if (!kept || kept.place !== location.pathname || !person) return;
    sessionStorage.removeItem(KEPT);
    if (kept.person !== person) return;  // somebody else has logged in
    for (const [id, text] of Object.entries(kept.texts)) {
      const field = document.getElementById(id);
      if (field && text) field.value = text;
    }
    const files = kept.files && document.querySelector("input[type=file]");
    if (files) page.complain(files, "What you typed was kept. Choose the photo again: a page cannot keep files.");
  };

  // The login has ended: htmx goes to the login page, which leads back to this one.
  document.addEventListener("htmx:beforeOnLoad", (event) => { if (event.detail.xhr.status === 401) keep(); });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-reload]")) return;
    event.preventDefault();
    keep();
    location.reload();
  });
  restore();
}
