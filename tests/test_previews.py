"""Previews of songs: accepted by content, stored and sent as audio only."""

import re

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import TestCase

from socialsongs.models import Song

from .clips import flac, keep, mp3, wav
from .test_admin import save

pytestmark = pytest.mark.django_db
HTML = b"<!doctype html><script>document.title = 'mine'</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'
SAFE = "default-src 'none'; sandbox"


@pytest.fixture
def desk(client, staff):
    client.force_login(staff)
    return client


def served(api, song):
    answer = api.get(f"/api/v1/songs/{song.pk}/preview")
    return answer, b"".join(answer)


CLIPS = {
    "wav": (wav, "clip.wav", "audio/wav", ".wav"),
    "mp3": (mp3, "clip.mp3", "audio/mpeg", ".mp3"),
    "mp3 with a tag": (lambda: b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10) + mp3(), "a.mp3", "audio/mpeg", ".mp3"),
    "flac": (flac, "clip.flac", "audio/flac", ".flac"),
    "wav called html": (wav, "page.html", "audio/wav", ".wav"),
    "mp3 called wav": (mp3, "clip.wav", "audio/mpeg", ".mp3"),
    "without an ending": (mp3, "clip", "audio/mpeg", ".mp3"),
}


@pytest.mark.parametrize("door", ["service", "admin"])
@pytest.mark.parametrize(("made", "name", "kind", "ending"), CLIPS.values(), ids=CLIPS)
def test_audio_is_taken_and_served_as_what_it_is(desk, api_of, alice, make_song, door, made, name, kind, ending):
    clip = made()
    if door == "service":
        song = make_song(preview_file=ContentFile(clip, name))
    else:
        song = make_song()
        # A browser derives the type from the name.
        assert save(desk, song, preview_file=SimpleUploadedFile(name, clip, "text/html")).status_code == 302
        song.refresh_from_db()
    assert re.fullmatch(rf"previews/[0-9a-f]{{32}}\{ending}", song.preview_file.name)
    answer, content = served(api_of(alice), song)
    assert content == clip
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == SAFE


REFUSED = {
    "html": (HTML, "clip.html"),
    "html called mp3": (HTML, "clip.mp3"),
    "svg": (SVG, "clip.svg"),
    "html behind a tag of mp3": (b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10) + HTML, "clip.mp3"),
    "html behind one frame's head": (b"\xff\xfb\x90\xc4" + HTML, "clip.mp3"),
    "html behind Ogg's mark": (b"OggS" + HTML, "clip.ogg"),
    "html behind FLAC's mark": (b"fLaC" + HTML, "clip.flac"),
    "html in a wave file without sound": (b"RIFF\x40\0\0\0WAVE" + HTML, "clip.wav"),
    "html behind MP4's mark": (b"\0\0\0\x18ftypM4A \0\0\0\0" + HTML, "clip.m4a"),
    "nothing": (b"", "clip.mp3"),
    "javascript": (b"alert(1)", "clip.js"),
}


@pytest.mark.parametrize("door", ["service", "admin"])
@pytest.mark.parametrize(("content", "name"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_audio_is_refused_and_nothing_is_stored(desk, make_song, door, content, name):
    song = make_song()
    if door == "service" and content:
        with pytest.raises(ValidationError, match="not an MP3, M4A, Ogg, FLAC or WAV clip"):
            make_song(title="New", preview_file=ContentFile(content, name))
    response = save(desk, song, preview_file=SimpleUploadedFile(name, content, "audio/mpeg"))
    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == ["preview_file"]
    assert not Song.objects.exclude(preview_file="").exists()


def test_large_clips_are_refused(desk, make_song, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_PREVIEW_BYTES": 5000}
    song = make_song()
    assert save(desk, song, preview_file=SimpleUploadedFile("a.mp3", mp3(11))).status_code == 302
    page = save(desk, song, preview_file=SimpleUploadedFile("a.mp3", mp3(12)))
    assert "at most 0 MB are accepted" in page.content.decode()


def test_a_song_with_an_old_preview_can_still_be_edited(make_song):
    """A clip that was stored before clips were checked."""
    from socialsongs.services.catalogue import save_song

    song = make_song()
    keep(song, "old.html", HTML)
    song = Song.objects.get()
    song.title = "New"
    save_song(song=song)
    assert Song.objects.get().title == "New"


def test_the_form_links_to_the_clip(desk, make_song):
    song = make_song(preview_file=ContentFile(mp3(11), "a.mp3"))
    page = desk.get(f"/admin/socialsongs/song/{song.pk}/change/").content.decode()
    link = re.search(rf'<a href="([^"]*)">{song.preview_file.name}</a>', page)[1]
    assert desk.get(link).getvalue() == mp3(11)


@pytest.mark.parametrize(
    ("name", "status"), [("a.html", 404), ("a.HTM", 404), ("a.svg", 404), ("a", 404), ("a.mp3", 200), ("a.MP3", 200)]
)
def test_an_old_preview_is_served_as_audio_or_not_at_all(api_of, alice, make_song, name, status):
    song = make_song()
    keep(song, name, HTML)
    answer, _ = served(api_of(alice), song)
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["Content-Type"] == "audio/mpeg"
        assert answer.headers["Content-Security-Policy"] == SAFE


@pytest.mark.parametrize("stored", ["by the field", "with the row", "many at once"])
def test_code_that_goes_round_the_service_stores_no_page_either(make_song, stored):
    def store(content):
        song, file = make_song(), ContentFile(content, "page.html")
        if stored == "by the field":
            song.preview_file.save("page.html", file)
        elif stored == "with the row":
            song.preview_file = file
            song.save()
        else:
            (song,) = Song.objects.bulk_create([Song(title="New", artist="x", preview_file=file)])
        return song.preview_file.name

    assert re.fullmatch(r"previews/[0-9a-f]{32}\.mp3", store(mp3()))
    with pytest.raises(ValidationError, match="not an MP3"):
        store(HTML)


def test_previews_of_earlier_versions_get_the_name_of_their_content(make_song, api_of, alice, capsys):
    odd, page, lost, good = (make_song(title) for title in ("Odd", "Page", "Lost", "Good"))
    for song, name in ((odd, "a.html"), (page, "b.svg"), (lost, "c"), (good, "d.mp3")):
        keep(song, name, SVG if song == page else mp3())
    lost.preview_file.storage.delete(lost.preview_file.name)
    call_command("socialsongs_previews", "--list")
    assert sorted(line.partition(" - ")[0] for line in capsys.readouterr().out.splitlines()) == ["Lost", "Odd", "Page"]
    before = {song: song.preview_file.name for song in (odd, page, good)}
    with TestCase.captureOnCommitCallbacks(execute=True):
        call_command("socialsongs_previews")
    assert "1 previews were renamed, 2 removed." in capsys.readouterr().out
    songs = {song: Song.objects.get(pk=song.pk).preview_file for song in (odd, page, lost, good)}
    assert re.fullmatch(r"previews/[0-9a-f]{32}\.mp3", songs[odd].name)
    with songs[odd] as file:
        assert file.read() == mp3()
    assert (songs[page].name, songs[lost].name, songs[good].name) == ("", "", before[good])
    storage = songs[good].storage
    assert [storage.exists(before[song]) for song in (odd, page, good)] == [False, False, True]
    call_command("socialsongs_previews")
    assert "0 previews were renamed, 0 removed." in capsys.readouterr().out


def test_no_address_serves_a_stored_file_by_its_name(client, staff, ready_post, make_song):
    """The folder of stored files is no part of the site, for anybody."""
    client.force_login(staff)
    song = make_song(preview_file=ContentFile(wav(), "a.wav"))
    for name in (ready_post.photos.get().image.name, song.preview_file.name):
        for prefix in ("/", "/media/", "/static/", "/static/../media/"):
            assert client.get(f"{prefix}{name}").status_code == 404
