// The upload form: thumbnails, a size check before anything is sent, drag and drop, progress.
const { complain, ours, text } = socialsongs;

function prepareUpload(form) {
  const input = form.querySelector("input[type=file]");
  const drop = form.querySelector("[data-drop]");
  const previews = form.querySelector("[data-previews]");
  const bar = form.querySelector("[data-progress]");
  const maxBytes = Number(form.dataset.maxBytes);
  const maxPhotos = Number(form.dataset.maxPhotos);

  const megabytes = (bytes) => (bytes / 1048576).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 });

  function refusal(files) {
    if (files.length > maxPhotos) return form.dataset.tooMany;
    const big = [...files].find((file) => file.size > maxBytes);
    if (big) return text("tooLarge", { name: big.name, size: megabytes(big.size), most: megabytes(maxBytes) });
    return "";
  }

  function show() {
    previews.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    previews.replaceChildren();
    drop.classList.toggle("socialsongs-filled", input.files.length > 0);
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
    complain(form, refusal(input.files));
  }

  input.addEventListener("change", show);
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("socialsongs-over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    drop.addEventListener(kind, () => drop.classList.remove("socialsongs-over"));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    show();
  });

  form.addEventListener("htmx:beforeRequest", (event) => {
    const problem = refusal(input.files);
    if (problem) {
      event.preventDefault();
      complain(form, problem);
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

document.querySelectorAll(".socialsongs [data-upload]").forEach(prepareUpload);

// When somebody goes back and sends the same form again, it is the same post: the browser's history keeps the form's key.
const KEY = "input[name=idempotency_key]";
const [navigation] = performance.getEntriesByType("navigation");
const kept = history.state?.socialsongsKey;
if (kept && navigation?.type === "back_forward") {
  document.querySelectorAll(`.socialsongs ${KEY}`).forEach((input) => { input.value = kept; });
}
document.addEventListener("submit", (event) => {
  const key = ours(event.target, "form")?.querySelector(KEY);
  if (key) history.replaceState({ ...history.state, socialsongsKey: key.value }, "");
});
