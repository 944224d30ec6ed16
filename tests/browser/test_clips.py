"""A clip of the site's own starts at its line. Real server, real Chromium."""

from django.core.files.base import ContentFile

from socialsongs.models import Song, Suggestion

from ..test_ranges import clip
from .conftest import BROWSER, wait_for_truth

pytestmark = BROWSER
WATCHED = """
const Plain = window.Audio;
window.Audio = function (...given) {
  const player = new Plain(...given);
  player.addEventListener("playing", () => { window.startedAt ??= player.currentTime; });
  return player;
};
"""


def test_it_plays_from_its_line_and_not_from_the_beginning(page, site, ready_post):
    song = Song.objects.get(title="Song 1")
    song.preview_start_ms = 5_000  # of the song, so the line is 40 s into the clip
    song.preview_file.save("clip.wav", ContentFile(clip(seconds=120)))
    Suggestion.objects.filter(song=song).update(clip_start_ms=45_000)
    page.add_init_script(WATCHED)
    page.goto(f"{site}/posts/{ready_post.pk}")
    with page.expect_response(lambda response: response.url.endswith("/preview")) as asked:
        page.get_by_role("button", name="Play Song 1").click()
    assert asked.value.status == 206
    wait_for_truth(page, "window.startedAt !== undefined")
    assert 39.5 <= page.evaluate("window.startedAt") < 60
