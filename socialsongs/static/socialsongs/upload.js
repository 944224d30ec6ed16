"use strict";

// The upload form: thumbnails, a size check before anything is sent, drag and drop, progress.
function prepareUpload(form) {
  const input = form.querySelector("input[type=file]");
  const drop = form.querySelector("[data-drop]");
  const previews = form.querySelector("[data-previews]");
  const bar = form.querySelector("[data-progress]");
  const maxBytes = Number(form.dataset.maxBytes);
  const maxPhotos = Number(form.dataset.maxPhotos);

  function refusal(files) {
    if (files.length > maxPhotos) return `Choose at most ${maxPhotos} photos.`;
    const big = [...files].find((file) => file.size > maxBytes);
    if (big) return `${big.name} is ${(big.size / 1048576).toFixed(1)} MB; the largest photo accepted is ${maxBytes / 1048576} MB.`;
    return "";
  }

  function show() {
    previews.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    previews.replaceChildren();
    drop.classList.toggle("filled", input.files.length > 0);
    for (const file of input.files) {
      const image = document.createElement("img");
      image.alt = file.name;
      image.src = URL.createObjectURL(file);
      image.onerror = () => {  // HEIC: most browsers cannot show it
        const name = document.createElement("span");
        name.textContent = file.name;
        URL.revokeObjectURL(image.src);
        image.replaceWith(name);
      };
      previews.append(image);
    }
    page.complain(form, refusal(input.files));
  }

  input.addEventListener("change", show);
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    drop.addEventListener(kind, () => drop.classList.remove("over"));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    show();
  });

  form.addEventListener("htmx:beforeRequest", (event) => {
    const text = refusal(input.files);
    if (text) {
      event.preventDefault();
      page.complain(form, text);
      return;
    }
    bar.hidden = false;
    bar.value = 0;
  });
  form.addEventListener("htmx:xhr:progress", (event) => {
    if (event.detail.lengthComputable) bar.value = (100 * event.detail.loaded) / event.detail.total;
  });
  form.addEventListener("htmx:afterRequest", () => { bar.hidden = true; });
}

document.querySelectorAll("[data-upload]").forEach(prepareUpload);

// When somebody goes back and sends the same form again, it is the same post: the browser's history keeps the form's key.
{
  const keys = document.querySelectorAll("input[name=idempotency_key]");
  const [navigation] = performance.getEntriesByType("navigation");
  const kept = history.state && history.state.idempotencyKey;
  if (kept && navigation && navigation.type === "back_forward") keys.forEach((input) => { input.value = kept; });
  document.addEventListener("submit", (event) => {
    const key = event.target.querySelector("input[name=idempotency_key]");
    if (key) history.replaceState({ ...history.state, idempotencyKey: key.value }, "");
  });
}
