// One clip at a time, from where the line is sung.
const { complain, ours, text } = socialsongs;
const player = new Audio();
let playing = null;

function stopPlaying() {
  player.pause();
  if (playing) playing.setAttribute("aria-pressed", "false");
  playing = null;
}

player.addEventListener("ended", stopPlaying);
document.addEventListener("click", (event) => {
  const button = ours(event.target, "[data-play]");
  if (!button) return;
  const again = button === playing;
  stopPlaying();
  if (again) return;
  playing = button;
  button.setAttribute("aria-pressed", "true");
  player.src = button.dataset.play;
  player.currentTime = Number(button.dataset.start) || 0;
  complain(button, "");
  player.play().catch((error) => {
    if (playing !== button) return;
    stopPlaying();
    if (error.name !== "AbortError") complain(button, text("noClip"));
  });
  const ignore = () => {};
  if (button.dataset.told) htmx.ajax("POST", button.dataset.told, { source: button, swap: "none" }).catch(ignore);
});
document.addEventListener("htmx:afterSwap", () => { if (playing && !playing.isConnected) stopPlaying(); });
