"""LRC in all its forms."""

import time

import pytest

from socialsongs.lrc import is_synced, parse, start_of
from socialsongs.services.lyrics import normalised

TEXT = "[ar:Somebody]\n[00:01.50]One\n[00:10.00][01:02.5]Again\nno stamp\n[2:03]Three\n"


def test_it_reads_stamps_in_order_of_time():
    assert parse(TEXT) == [(1500, "One"), (10000, "Again"), (62500, "Again"), (123000, "Three")]


def test_it_finds_when_a_line_is_sung():
    assert start_of(TEXT, "again ") == 10000
    assert start_of(TEXT, "Again", occurrence=1) == 62500
    assert start_of(TEXT, "Again", occurrence=7) == 62500
    assert start_of(TEXT, "Never") is None


# What LRC has become. Each of these is one song of two lines, at 5 and at 9 seconds.

LINES = ["The ferry leaves", "We wave goodbye"]
WRITTEN = {
    "word stamps": "[00:05.00] <00:05.00> The <00:05.20> ferry <00:05.60> leaves\n"
    "[00:09.00]<00:09.00>We <00:09.30>wave <00:09.50>goodbye",
    "word stamps with an end": "[00:05.00]<00:05.00>The ferry <00:05.60>leaves<00:06.00>\n"
    "[00:09.00]<00:09.10>We wave goodbye <00:10.10>",
    "word stamps alone": "<00:05.00>The <00:05.20>ferry <00:05.60>leaves\n<00:09.00>We <00:09.30>wave goodbye",
    "stamps in brackets within": "[00:05.00]The [00:05.20]ferry [00:05.60]leaves\n"
    "[00:09.00]We [00:09.30]wave [00:09.50]goodbye",
    "no spaces at all": "[00:05.00]The[00:05.20]ferry[00:05.60]leaves\n[00:09.00]We[00:09.30]wave[00:09.50]goodbye",
    "within words": "[00:05.00]The <00:05.20>fer<00:05.40>ry <00:05.60>leaves\n[00:09.00]We wave good<00:09.50>bye",
    "end stamps": "[00:05.000]The ferry leaves[00:07.500]\n[00:09.000] We wave goodbye [00:10.500]",
    "byte order mark": "\ufeff[00:05.00]The ferry leaves\n[00:09.00]We wave goodbye",
    "offset earlier": "[offset:+2000]\n[00:07.00]The ferry leaves\n[00:11.00]We wave goodbye",
    "offset later": "[Offset: -2000]\n[00:03.00]The ferry leaves\n[00:07.00]We wave goodbye",
    "offset without a sign": "[00:05.50]The ferry leaves\n[00:09.50]We wave goodbye\n[offset:500ms]",
    "hours": "[00:00:05.00]The ferry leaves\n[00:00:09.00]We wave goodbye",
    "hours without a fraction": "[00:00:05]The ferry leaves\n[00:00:09]We wave goodbye",
    "commas": "[00:05,00]The ferry leaves\n[00:09,000]We wave goodbye",
    "no fraction, spaces": " [ 0:05 ] The ferry leaves\n[0:9]We wave goodbye",
    "microseconds": "[00:05.000000]The ferry leaves\n[00:09.000000]We wave goodbye",
    "voices": "[00:05.00]v1: The ferry leaves\n[00:09.00]V2000: We wave goodbye",
    "voices, one letter": "[00:05.00]F: The ferry leaves\n[00:09.00] D:We wave goodbye",
    "Windows' ends of lines": "[ar:Ferry]\r\n[00:05.00]The ferry leaves\r\n\r\n[00:09.00]We wave goodbye\r\n",
    "out of order": "[00:09.00]We wave goodbye\n[00:05.00]The ferry leaves",
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_every_dialect_gives_the_same_words_and_times(text):
    assert parse(text) == [(5000, LINES[0]), (9000, LINES[1])]
    assert is_synced(text)
    assert [start_of(text, line) for line in LINES] == [5000, 9000]


def test_a_line_with_several_times_is_sung_at_each():
    both = parse("[00:05.00] [01:05.00]  [02:05.5] Row\n[00:09.00][00:09.00]On")
    assert both == [(5000, "Row"), (9000, "On"), (65_000, "Row"), (125_500, "Row")]


def test_a_stamp_before_the_beginning_is_moved_to_the_beginning():
    assert parse("[-00:01.00]One\n[00:-02.00]Two\n[00:05.00]Three") == [(0, "One"), (0, "Two"), (5000, "Three")]
    assert parse("[offset:+9000]\n[00:05.00]One\n[00:10.00]Two") == [(0, "One"), (1000, "Two")]
    assert parse("[offset:-2000]\n[-00:01.00]One") == [(1000, "One")]


def test_translations_stay_behind_what_they_translate():
    text = "[00:05.00]Zarpa\n[00:05.00]All aboard\n[00:09.00]Remamos\n[00:09.00]A boat"
    assert [line for _, line in parse(text)] == ["Zarpa", "All aboard", "Remamos", "A boat"]


def test_hundredths_after_a_colon_are_no_hours():
    assert parse("[00:05:50]One\n[01:10:25]Two") == [(5500, "One"), (70_250, "Two")]


def test_background_voices_are_sung_too():
    text = "[00:05.00]Row [bg: <00:06.00>row <00:06.50>on]\n[bg:<00:08.00>ooh]\n[bg: untimed]"
    assert parse(text) == [(5000, "Row row on"), (8000, "ooh")]


def test_a_colon_within_a_line_is_no_voice():
    assert parse("[00:05.00]And he said: row\n[00:06.00]d: row") == [(5000, "And he said: row"), (6000, "row")]


@pytest.mark.parametrize(
    "text", ["", "One\nTwo", "[Chorus]\nOne", "[ar:Somebody]\nOne", "Call [555:12\nOne <3", "One\n[0:45 solo]"]
)
def test_what_has_no_stamps_is_not_synced(text):
    assert not is_synced(text)
    assert parse(text) == []


@pytest.mark.parametrize(
    ("line", "synced"),
    [
        ("We’re ridin’ on", "We're ridin' on"),
        ("WE RIDE ON!", "We ride on"),
        ("Caf\u00e9, by the sea", "Cafe\u0301 by the sea"),
        ("We ride on", "We  ride-on"),
        ("\uff37\uff45 ride on", "We ride on"),
        ("We ride on (x2)", "We ride on"),
        ("We ride on", "<00:05.00>We <00:05.30>ride <00:05.60>on"),
        ("Straße", "STRASSE"),
    ],
)
def test_the_line_is_found_though_it_is_written_in_another_way(line, synced):
    assert start_of(f"[00:01.00]Another one\n[00:05.00]{synced}", line) == 5000


def test_vowel_signs_tell_lines_apart():
    assert start_of("[00:01.00]\u0915\u0940\n[00:05.00]\u0915\u093e", "\u0915\u093e") == 5000


@pytest.mark.parametrize(
    "part",
    ["[", "<00:01.00>", "[00:01.00]", "[bg:", "[bg:[", "[00:01.", " ", "v1:", "&amp;", "<b", "Chorus:", "(", " x2"],
)
def test_a_long_run_of_one_character_is_parsed_in_linear_time(part):
    text = part * (100_000 // len(part))
    began = time.process_time()
    start_of(text, text)
    normalised(lyrics=text, synced_lyrics=text)
    normalised(lyrics=f"Chorus {text} x", synced_lyrics="")
    assert time.process_time() - began < 5
