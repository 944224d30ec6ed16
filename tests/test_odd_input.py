"""Odd photos, odd lyrics and other languages: each has a sensible result or a named error."""

import json
import struct
import time
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.english import unsupported_language
from recommender.images import PhotoError, load_photo
from recommender.lyrics import MAX_LINES, MAX_WORDS, parse_lyric
from recommender.packing import unpack
from recommender.rank import CatalogueSong, rank_by_relevance
from recommender.release import load_release
from recommender.results import EncodedLyric, Refusal

from . import photos
from .languages import ENGLISH, FOREIGN
from .releases import WORDS

SAMPLE = Path(__file__).resolve().parents[1] / "socialsongs" / "sample" / "catalogue.jsonl"
SECONDS = 10  # with a machine that does other things, too


# Photos


def written(image, format, **options):
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def slope(mode="L", size=(64, 48)):
    return Image.linear_gradient("L").resize(size).convert(mode)


def png_of_16_bits(*levels, width=20, height=10):
    """Return a PNG of 16 bits, which Pillow does not write: one level for grey, three for a colour."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    kind = {1: 0, 3: 2}[len(levels)]
    rows = (b"\0" + struct.pack(f">{len(levels)}H", *levels) * width) * height
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def transparent_palette():
    image = Image.new("P", (30, 30), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, 15, 30))
    return written(image, "PNG", transparency=0)


def animation():
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    return written(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)


PHOTOS = {
    "one pixel": (written(Image.new("RGB", (1, 1), "teal"), "PNG"), (1, 1)),
    "all black": (written(Image.new("RGB", (320, 240)), "JPEG"), (320, 240)),
    "panorama": (written(slope("RGB", (20_000, 10)), "JPEG"), (20_000, 10)),
    "greyscale": (written(slope(), "JPEG"), (64, 48)),
    "black and white": (written(slope("1"), "PNG"), (64, 48)),
    "CMYK": (written(slope("CMYK"), "JPEG"), (64, 48)),
    "palette with transparency": (transparent_palette(), (30, 30)),
    "16-bit grey": (png_of_16_bits(32768), (20, 10)),
    "16-bit colour": (png_of_16_bits(65535, 32768, 0), (20, 10)),
    "animation": (animation(), (30, 20)),
}


@pytest.mark.parametrize(("content", "size"), PHOTOS.values(), ids=PHOTOS)
def test_an_odd_photo_is_analysed_like_any_other(model, content, size):
    photo = load_photo(BytesIO(content))
    assert (photo.size, photo.mode) == (size, "RGB")
    (view,) = model.analyse([photo])
    assert np.isfinite(view.embedding).all()
    assert np.linalg.norm(view.embedding) == pytest.approx(1, abs=1e-5)
    assert view.tags
    for tag in view.tags:
        assert 0 <= tag.score <= 1
        assert 0 <= tag.box[0] < tag.box[2] <= 1
        assert 0 <= tag.box[1] < tag.box[3] <= 1
    assert np.isfinite(model.relevance(view.embedding, model.encode(["Snow on the road"]))).all()


@pytest.mark.parametrize(
    ("content", "place", "colour"),
    [
        (written(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"), (0, 0), (255, 255, 255)),
        (transparent_palette(), (0, 0), (0, 0, 255)),
        (transparent_palette(), (20, 0), (255, 255, 255)),
        (png_of_16_bits(32768), (0, 0), (128, 128, 128)),
        (png_of_16_bits(65535, 32768, 0), (0, 0), (255, 128, 0)),
        (animation(), (0, 0), (255, 0, 0)),
    ],
    ids=["CMYK", "palette", "transparent is white", "16-bit grey", "16-bit colour", "first frame"],
)
def test_an_odd_photo_keeps_its_colours(content, place, colour):
    assert np.abs(np.subtract(load_photo(BytesIO(content)).getpixel(place), colour)).max() <= 2


@pytest.mark.parametrize(
    "odd",
    [(0x8825, 2, 4, b"2.3\0"), (0x011A, 2, 4, b"abc\0"), (0x0100, 99, 1, b""), (0x0132, 2, 2**31, b"\xff\xff\xff\x7f")],
    ids=["GPS that is a text", "a string for a number", "a type that does not exist", "longer than the file"],
)
@pytest.mark.filterwarnings("ignore:Tag data larger than file")  # Pillow says so, and reads on
def test_odd_metadata_leave_a_photo_readable_and_upright(odd):
    exif = photos.exif(photos.tiff([odd, photos.ROTATED]))
    assert load_photo(BytesIO(photos.with_segments(written(slope("RGB"), "JPEG"), exif))).size == (48, 64)


@pytest.mark.parametrize(
    "content",
    [
        written(slope("RGB"), "JPEG")[:600],
        written(slope("RGB"), "PNG")[:-60],
        written(slope("RGB"), "WEBP")[:40],
        b"",
        b"no photo, just words\n",
        b"\xff\xd8\xff" + bytes(500),
    ],
    ids=["cut JPEG", "cut PNG", "cut WebP", "empty", "text", "zeros"],
)
def test_a_file_that_is_no_photo_is_refused(tmp_path, content):
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    with pytest.raises(PhotoError, match="not a readable photo"):
        load_photo(file)


# Lyrics

SHORT = ["Snow on the road", "The tide comes in"]
MANY_WORDS = WORDS * (50_000 // len(WORDS) + 1)
ENCODED = {
    "one word": "Snow",
    "50,000 words": "\n".join(" ".join(MANY_WORDS[start : start + 8]) for start in range(0, 50_000, 8)),
    "5,000 lines of one word": "\n".join(MANY_WORDS[:5000]),
    "one line of 50,000 words": " ".join(MANY_WORDS[:50_000]),
    "a word of 100,000 letters": "snow " + "la" * 50_000,
    "control characters": "The\0 tide\a\x1b[31m comes\x7f in\r\n\u202eSnow\v on\f the\u2028 road",
    "half of a surrogate pair": "Snow \ud83d on the road",
    "stacked accents": "S" + "\u0301" * 5000 + "now on the road",
}
REFUSED = {
    "empty": ("", "no_lyrics"),
    "blank lines": (" \n\r\n\t\n", "no_lyrics"),
    "only control characters": ("\0\a\x1b\x7f\u202e\u200b\ufeff", "no_lyrics"),
    "only emoji": ("🌊🔥\n❤️ 👩‍👩‍👧 🏳️‍🌈", "no_lyrics"),
    "only punctuation": ("?!\n... — «»\n___", "no_lyrics"),
    "Hebrew": (FOREIGN["he"], "unsupported_language"),
    "Arabic": (FOREIGN["ar"], "unsupported_language"),
    "one word of Hebrew": ("שלום", "unsupported_language"),
    "one Arabic letter, 100,000 times": ("م" * 100_000, "unsupported_language"),
}


@pytest.mark.parametrize("lyrics", ENCODED.values(), ids=ENCODED)
def test_odd_lyrics_are_encoded(model, lyrics):
    began = time.monotonic()
    (song,) = model.encode([lyrics])
    assert time.monotonic() - began < SECONDS
    assert isinstance(song, EncodedLyric)
    assert len(song.line_states) == len(song.line_offsets) <= MAX_LINES
    assert set(song.line_offsets) <= set(range(len(lyrics.split("\n"))))
    assert np.isfinite(unpack(song.line_states)).all()
    assert np.isfinite(song.stage_one).all()
    assert np.isfinite(song.mean_score)
    assert np.isfinite(model.relevance(model.view_text("snow").embedding, [song])).all()


@pytest.mark.parametrize(("lyrics", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused_lyrics_have_a_reason(model, lyrics, reason):
    (refused,) = model.encode([lyrics])
    assert isinstance(refused, Refusal)
    assert refused.reason == reason
    assert bool(refused.language) == (reason == "unsupported_language")


@pytest.mark.parametrize("name", ["50,000 words", "5,000 lines of one word", "one line of 50,000 words"])
def test_long_lyrics_are_parsed_up_to_a_limit(name):
    parsed = parse_lyric(ENCODED[name])
    assert len(parsed.lines) == MAX_LINES or sum(map(len, parsed.lines)) == MAX_WORDS
    assert len(parsed.lines) <= MAX_LINES
    assert sum(map(len, parsed.lines)) <= MAX_WORDS


def test_songs_that_cannot_be_encoded_come_last(model):
    lyrics = [*(text for text, _ in REFUSED.values()), *SHORT, ENCODED["control characters"], ENCODED["one word"]]
    score = rank_by_relevance(model, [CatalogueSong(str(i), "Tide", "Ferry", text) for i, text in enumerate(lyrics)])
    scores = score(model.analyse([slope("RGB")])[0])
    assert (scores[: len(REFUSED)] == -np.inf).all()
    assert np.isfinite(scores[len(REFUSED) :]).all()


def test_a_catalogue_of_unreadable_songs_is_ranked(model):
    score = rank_by_relevance(model, [CatalogueSong(id, "Tide", "Ferry", "?!") for id in "ab"])
    assert (score(model.analyse([slope("RGB")])[0]) == -np.inf).all()


# Languages


@pytest.fixture(scope="module")
def shipped():
    return load_release()


@pytest.mark.parametrize("language", FOREIGN)
def test_a_lyric_in_another_language_is_named(shipped, language):
    assert shipped.encode([FOREIGN[language]]) == [Refusal("unsupported_language", language)]


@pytest.mark.parametrize("lyrics", ENGLISH.values(), ids=ENGLISH)
def test_english_of_every_kind_is_encoded(shipped, lyrics):
    assert isinstance(shipped.encode([lyrics])[0], EncodedLyric)


def test_no_song_of_the_sample_catalogue_is_refused(shipped):
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    encoded = shipped.encode([row["lyrics"] for row in rows])
    assert [row["title"] for row, song in zip(rows, encoded, strict=True) if not isinstance(song, EncodedLyric)] == []


def words_of(text):
    return [word for line in parse_lyric(text).lines for word in line]


@pytest.mark.parametrize("language", FOREIGN)
def test_half_a_lyric_is_enough_to_name_the_language(language):
    lines = FOREIGN[language].strip().split("\n")
    assert unsupported_language(words_of("\n".join(lines[:4])), known=0.5) == language


@pytest.mark.parametrize("kind", ["interjections", "one interjection", "na na na", "woah", "doo wop", "patois"])
def test_sung_syllables_and_creole_are_no_other_language_though_no_word_is_known(kind):
    assert unsupported_language(words_of(ENGLISH[kind]), known=0) is None


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("one " * 20, None),
        ("buenas noches mi amor", None),
        ("24 7 " * 9, None),
        ("אהבה", "he"),
        ("사랑", "ko"),
        ("ᚠᚢᚦ", "und"),
    ],
    ids=["repeated", "too short to tell", "figures", "Hebrew", "Korean", "runes"],
)
def test_a_short_text_is_refused_for_its_letters_alone(words, language):
    assert unsupported_language(words_of(words), known=0) == language
