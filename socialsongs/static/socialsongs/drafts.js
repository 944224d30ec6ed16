// Keeps what was typed in this tab while its person logs in again or reloads the page. Files cannot be kept.
const { complain, ours, text } = socialsongs;
const KEPT = "socialsongs.draft";
const fields = () => [...document.querySelectorAll(".socialsongs [data-keep]")];
const uploads = () => [...document.querySelectorAll(".socialsongs [data-upload] input[type=file]")];
const person = document.querySelector(".socialsongs[data-person]")?.dataset.person;

const keep = () => {
  const texts = Object.fromEntries(fields().map((field) => [field.id, field.value]));
  const files = uploads().some((input) => input.files.length);
  sessionStorage.setItem(KEPT, JSON.stringify({ person, place: location.pathname, texts, files }));
};

const restore = () => {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) || "null");
  if (!kept || kept.place !== location.pathname || !person) return;
  sessionStorage.removeItem(KEPT);
  if (kept.person !== person) return;  // somebody else has logged in
  for (const field of fields()) if (kept.texts[field.id]) field.value = kept.texts[field.id];
  const files = kept.files && uploads()[0];
  if (files) complain(files, text("filesLost"));
};

// The login has ended: htmx goes to the login page, which leads back to this one.
document.addEventListener("htmx:beforeOnLoad", (event) => { if (event.detail.xhr.status === 401) keep(); });
document.addEventListener("click", (event) => {
  if (!ours(event.target, "[data-reload]")) return;
  event.preventDefault();
  keep();
  location.reload();
});
restore();
