"use strict";

// The upload form: previews, a size check before anything is sent, drag and drop, progress.
function prepareUpload(form) {
  const input = form.querySelector("input[type=file]");
  const drop = form.querySelector("[data-drop]");
  const previews = form.querySelector("[data-previews]");
  const problem = form.querySelector("#upload-error");
  const bar = form.querySelector("[data-progress]");
  const maxBytes = Number(form.dataset.maxBytes);
  const maxPhotos = Number(form.dataset.maxPhotos);

  function complain(text) {
    problem.replaceChildren();
    if (!text) return;
    const line = document.createElement("p");
    line.className = "problem";
    line.setAttribute("role", "alert");
    line.textContent = text;
    problem.append(line);
  }

  function refusal(files) {
    if (files.length > maxPhotos) return `Choose at most ${maxPhotos} photos.`;
    const big = [...files].find((file) => file.size > maxBytes);
    if (big) return `${big.name} has ${(big.size / 1048576).toFixed(1)} MB; at most ${maxBytes / 1048576} MB are accepted.`;
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
        image.replaceWith(name);
      };
      previews.append(image);
    }
    complain(refusal(input.files));
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
      complain(text);
      return;
    }
    complain("");
    bar.hidden = false;
    bar.value = 0;
  });
  form.addEventListener("htmx:xhr:progress", (event) => {
    if (event.detail.lengthComputable) bar.value = (100 * event.detail.loaded) / event.detail.total;
  });
  form.addEventListener("htmx:afterRequest", () => { bar.hidden = true; });
  form.addEventListener("htmx:sendError", () => complain("The server could not be reached. Nothing is lost: try again."));
  form.addEventListener("htmx:responseError", (event) => {
    complain(`The server answered ${event.detail.xhr.status}. Nothing is lost: try again in a moment.`);
  });
}

// A reason tag shows its region on the photo while it is hovered or focused.
function showRegion(tag) {
  const figure = document.querySelector(`.photo[data-photo="${tag.dataset.photo}"]`);
  if (!figure) return;
  const image = figure.querySelector("img");
  const region = figure.querySelector(".region");
  const [x0, y0, x1, y1] = tag.dataset.box.split(",").map(Number);
  // The picture may be letterboxed in its element (object-fit: contain).
  const scale = Math.min(image.clientWidth / image.naturalWidth, image.clientHeight / image.naturalHeight);
  const width = image.naturalWidth * scale;
  const height = image.naturalHeight * scale;
  const left = image.offsetLeft + (image.clientWidth - width) / 2;
  const top = image.offsetTop + (image.clientHeight - height) / 2;
  region.style.left = `${left + x0 * width}px`;
  region.style.top = `${top + y0 * height}px`;
  region.style.width = `${(x1 - x0) * width}px`;
  region.style.height = `${(y1 - y0) * height}px`;
  region.hidden = false;
}

function hideRegions() {
  document.querySelectorAll(".region").forEach((region) => { region.hidden = true; });
}

for (const kind of ["mouseover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const tag = event.target.closest("[data-box]");
    if (tag) showRegion(tag);
  });
}
for (const kind of ["mouseout", "focusout"]) {
  document.addEventListener(kind, (event) => { if (event.target.closest("[data-box]")) hideRegions(); });
}

// One clip at a time, from where the line is sung.
const player = new Audio();
let playing = null;

function stopPlaying() {
  player.pause();
  if (playing) playing.setAttribute("aria-pressed", "false");
  playing = null;
}

player.addEventListener("ended", stopPlaying);
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-play]");
  if (!button) return;
  const again = button === playing;
  stopPlaying();
  if (again) return;
  playing = button;
  button.setAttribute("aria-pressed", "true");
  player.src = button.dataset.play;
  player.currentTime = Number(button.dataset.start) || 0;
  player.play().catch(stopPlaying);
  htmx.ajax("POST", button.dataset.told, { source: button, swap: "none" });
});

// When a song leaves the list, the keyboard goes on at the one that took its place.
let nextCard = null;
document.addEventListener("htmx:beforeRequest", (event) => {
  const card = event.target.matches("[data-hide]") ? event.target.closest(".card") : null;
  const neighbour = card && (card.nextElementSibling || card.previousElementSibling);
  if (card) nextCard = neighbour ? neighbour.id : "result";
});
document.addEventListener("htmx:afterSwap", () => {
  if (playing && !playing.isConnected) stopPlaying();
  hideRegions();
  const target = nextCard && document.getElementById(nextCard);
  nextCard = null;
  if (target) target.focus();
});

document.querySelectorAll("[data-upload]").forEach(prepareUpload);
