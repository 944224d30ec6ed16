"""Lyrics are stored in one normalised form."""

import pytest

from socialsongs.services.lyrics import normalise, normalised


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The tide\nthe gulls\n\nthe masts", "The tide\nthe gulls\n\nthe masts"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("Cafe\x07\u0301", "Caf\u00e9"),
        ("one\r\ntwo\rthree\u2028four\x0bfive\x85six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("one  \n  two\t\nthree\u00a0", "one\n  two\nthree"),
        ("one\n\n\n\ntwo\n \n\t\n\nthree", "one\n\ntwo\n\nthree"),
        ("\n\none\n\n", "one"),
        ("o\x00n\x07e\x1b[0m \x9ftwo", "one[0m two"),
        ("one\ttwo", "one two"),
        ("one \x07\ntwo", "one\ntwo"),
        (" \n\t\r\n", ""),
        ("नमस्ते\u200d", "नमस्ते\u200d"),
    ],
)
def test_every_form_of_lyrics_is_normalised(text, kept):
    assert normalise(text) == kept
    assert normalise(kept) == kept


def test_synced_lyrics_give_the_lines_in_the_order_of_time_where_there_are_no_others():
    synced = "[ti:Tide]\r\n[00:05.00]the gulls go home\r\n[00:01.00][00:09.00]The tide comes in \r\n[00:03.00]\r\n"
    assert normalised(lyrics=" \n", synced_lyrics=synced) == (
        "The tide comes in\n\nthe gulls go home\nThe tide comes in",
        "[ti:Tide]\n[00:05.00]the gulls go home\n[00:01.00][00:09.00]The tide comes in\n[00:03.00]",
    )


def test_plain_lyrics_stand_beside_synced_ones():
    assert normalised(lyrics="The masts", synced_lyrics="[00:01.00]The tide") == ("The masts", "[00:01.00]The tide")


def test_a_song_that_is_saved_by_hand_is_normalised_too(make_song):
    song = make_song(lyrics="Cafe\u0301 \r\nby the sea", synced_lyrics="")
    song.refresh_from_db()
    assert song.lyrics == "Caf\u00e9\nby the sea"
    song = make_song("Ebb", lyrics="", synced_lyrics="[00:01.00]The tide")
    song.refresh_from_db()
    assert song.lyrics == "The tide"
