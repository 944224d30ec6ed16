"""From utilities to a list: the best song first, then relevant and different ones, sometimes an explored one."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.choose import artist_key, choose, directions, explore

ALIKE = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]  # the first two songs are the same one
UTILITY = np.array([2.0, 1.9, 1.5, 0.5])
NOBODY = [""] * 4


def test_without_strength_it_is_the_order_of_utility():
    assert choose(UTILITY, ALIKE, NOBODY, limit=3, strength=0) == [0, 1, 2]


def test_another_version_of_a_song_waits_until_there_is_nothing_else():
    assert choose(UTILITY, ALIKE, NOBODY, limit=4, strength=0.01) == [0, 2, 3, 1]


NEAR = np.array([[1, 0], [0.9, 0.436], [0, 1]], np.float32)


def test_a_song_like_those_of_the_list_waits():
    utility = np.array([2.0, 1.5, 1.0])
    assert choose(utility, NEAR, NOBODY[:3], limit=2, strength=0.5) == [0, 1]
    assert choose(utility, NEAR, NOBODY[:3], limit=2, strength=0.6) == [0, 2]  # .9 of .6 is more than .5
    assert choose(utility, NEAR, NOBODY[:3], limit=3, strength=0.6) == [0, 1, 2]  # over two places it counts half


def test_songs_that_stand_in_the_list_already_count():
    utility = np.array([2.0, 1.5, 1.4])
    assert choose(utility, NEAR, ["a", "b", "c"], limit=1, strength=0, listed=[0], listed_artists=["a"]) == [1]
    assert choose(utility, NEAR, ["a", "b", "c"], limit=1, strength=0.6, listed=[0], listed_artists=["a"]) == [2]
    assert choose(utility, NEAR, ["a", "b", "c"], limit=1, strength=0, listed_artists=["a", "b"]) == [2]
    assert choose(utility, NEAR, ["a", "b", "c"], limit=-1, strength=0) == []


def test_an_artist_comes_once_while_there_are_others():
    artists = ["abba", "abba", "", ""]
    assert choose(UTILITY, np.eye(4, dtype=np.float32), artists, limit=3, strength=0) == [0, 2, 3]
    assert choose(UTILITY, np.eye(4, dtype=np.float32), artists, limit=4, strength=0) == [0, 2, 3, 1]
    assert choose(UTILITY, np.eye(4, dtype=np.float32), artists, limit=3, strength=0, per_artist=2) == [0, 1, 2]


def test_nothing_to_choose_from_is_an_empty_list():
    assert choose(np.zeros(0), np.zeros((0, 4), np.float32), [], limit=5, strength=0.3) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 50), st.floats(0, 3), st.integers(1, 3))
def test_a_list_is_never_shorter_than_asked_while_there_are_songs(seed, songs, limit, strength, per_artist):
    random = np.random.default_rng(seed)
    utility, vectors = random.normal(size=songs), directions(random.normal(size=(songs, 8)))
    artists = [str(name) for name in random.choice(["", "a", "b", "c"], songs)]
    chosen = choose(utility, vectors, artists, limit=limit, strength=strength, per_artist=per_artist)
    assert len(chosen) == len(set(chosen)) == min(limit, songs)
    if chosen:
        assert chosen[0] == utility.argmax()
    counts = Counter(artists[row] for row in chosen)
    open_to = [row for row in range(songs) if not artists[row] or counts[artists[row]] < per_artist]
    if any(artists[row] and counts[artists[row]] > per_artist for row in chosen):
        assert set(open_to) <= set(chosen)  # there was nobody else left


def test_artists_are_told_apart_by_their_words():
    assert artist_key("The Ferry Hands") == artist_key("the ferry  hands!")
    assert {artist_key(name) for name in ("", "Traditional", "trad.", "Anonymous", "Various Artists")} == {""}
    assert artist_key("Bj\u00f6rk") == "bj\u00f6rk"


def test_in_a_share_of_the_lists_one_place_after_the_first_goes_to_another_song():
    lists = [explore([1, 2, 3], [10, 11], share=0.25, rng=Random(seed)) for seed in range(4000)]
    tried = [(listed, propensities, place) for listed, propensities, place in lists if place is not None]
    assert len(tried) / len(lists) == pytest.approx(0.25, abs=0.03)
    assert {place for _, _, place in tried} == {1, 2}
    for listed, propensities, place in tried:
        assert listed[0] == 1
        assert listed[place] in (10, 11)
        assert propensities[place] == pytest.approx(0.25 / 2 / 2)
    # Propensities equal the frequencies with which a song gets a place.
    shown = Counter(listed[1] for listed, _, _ in lists)
    assert shown[10] / len(lists) == pytest.approx(0.0625, abs=0.015)
    assert shown[2] / len(lists) == pytest.approx(0.875, abs=0.02)


@pytest.mark.parametrize(
    ("chosen", "rest", "share"), [([1], [2], 1.0), ([1, 2], [], 1.0), ([1, 2], [3], 0.0), ([], [], 1)]
)
def test_nothing_is_explored_without_a_position_or_a_song(chosen, rest, share):
    listed, propensities, place = explore(chosen, rest, share=share, rng=Random(0))
    assert (listed, place) == (chosen, None)
    assert propensities == [1.0] * len(chosen)


def test_the_same_seed_gives_the_same_list():
    assert explore([1, 2, 3], [4, 5], share=0.9, rng=Random("a")) == explore(
        [1, 2, 3], [4, 5], share=0.9, rng=Random("a")
    )
