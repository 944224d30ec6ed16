"use strict";

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
  page.complain(button, "");
  player.play().catch((error) => {
    if (playing !== button) return;
    stopPlaying();
    if (error.name !== "AbortError") page.complain(button, "The clip cannot be played now. Try again in a moment.");
  });
  const ignore = () => {};
  htmx.ajax("POST", button.dataset.told, { source: button, swap: "none" }).catch(ignore);
});
document.addEventListener("htmx:afterSwap", () => { if (playing && !playing.isConnected) stopPlaying(); });
