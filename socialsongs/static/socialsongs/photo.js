// A tag with a box shows its region on the photo while it is hovered or focused.
const { ours } = socialsongs;

function showRegion(tag) {
  const figure = document.querySelector(`.socialsongs-photo[data-photo="${tag.dataset.photo}"]`);
  if (!figure) return;
  const image = figure.querySelector("img");
  const region = figure.querySelector(".socialsongs-region");
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
  document.querySelectorAll(".socialsongs-region").forEach((region) => { region.hidden = true; });
}

for (const kind of ["mouseover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const tag = ours(event.target, "[data-box]");
    if (tag) showRegion(tag);
  });
}
for (const kind of ["mouseout", "focusout"]) {
  document.addEventListener(kind, (event) => { if (ours(event.target, "[data-box]")) hideRegions(); });
}

document.addEventListener("htmx:afterSwap", hideRegions);
