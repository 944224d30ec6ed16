"use strict";

// What was typed, kept in this tab while somebody logs in again or reloads the page. Files cannot be kept.
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

  // Not logged in any more: htmx goes to the login, which leads back.
  document.addEventListener("htmx:beforeOnLoad", (event) => { if (event.detail.xhr.status === 401) keep(); });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-reload]")) return;
    event.preventDefault();
    keep();
    location.reload();
  });
  restore();
}
