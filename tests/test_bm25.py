"""The baseline, against values worked out by hand. k1 = 1.2, b = 0.75."""

import json
from math import inf, log

import numpy as np
import pytest

from recommender.__main__ import main
from recommender.evaluate.bm25 import rank_by_tags
from recommender.rank import CatalogueSong
from recommender.results import PhotoView, Tag


@pytest.fixture
def scores(model):
    def scores(lyrics, **tags):
        songs = [CatalogueSong(str(row), "", "", text) for row, text in enumerate(lyrics)]
        view = PhotoView([Tag(name, "object", score, (0, 0, 1, 1)) for name, score in tags.items()], np.zeros(128))
        return rank_by_tags(model, songs)(view).tolist()

    return scores


def test_it_counts_rarity_frequency_and_length(scores):
    # 4, 2 and 0 words, 2 on average: the first song is twice as long as that, the second just as long.
    lyrics = ["Red boat\nred sea", "Boat home", ""]
    rare, common = log(1 + 2.5 / 1.5), log(1 + 1.5 / 2.5)  # in one song of three, in two
    assert scores(lyrics, red=1.0) == pytest.approx([rare * 2 * 2.2 / (2 + 1.2 * 1.75), 0, -inf])
    assert scores(lyrics, boat=1.0) == pytest.approx([common * 2.2 / (1 + 1.2 * 1.75), common, -inf])
    assert scores(lyrics, red=1.0) == pytest.approx([1.052597, 0, -inf], rel=1e-5)
    assert scores(lyrics, boat=1.0) == pytest.approx([0.333551, 0.470004, -inf], rel=1e-5)


def test_tags_count_by_their_scores_and_add_up(scores):
    lyrics = ["Red boat\nred sea", "Boat home", ""]
    assert scores(lyrics, red=0.5, boat=0.25) == pytest.approx([0.5 * 1.052597 + 0.25 * 0.333551, 0.117501, -inf])


@pytest.mark.parametrize("tag", ["traffic light", "traffic-light"])
def test_each_word_of_a_tag_is_a_query_word(scores, tag):
    lyrics = ["Red light", "Traffic jam", "My dog"]
    one = log(1 + 2.5 / 1.5)
    assert scores(lyrics, **{tag: 1.0}) == pytest.approx([one, one, 0])


def test_words_count_whole_and_in_any_case(scores):
    assert scores(["Boats", "BOAT"], boat=1.0) == pytest.approx([0, log(2)])


def test_without_tags_all_songs_with_words_are_equal(scores):
    assert scores(["Red light", "?!", "Boat home"]) == [0, -inf, 0]


def test_lyrics_without_any_word_are_scored(scores):
    assert scores(["", "?!"], boat=1.0) == [-inf, -inf]


def test_the_command_writes_a_run(releases, model, tmp_path, photo_bytes):
    photos, songs, out = tmp_path / "photos", tmp_path / "songs.jsonl", tmp_path / "run.jsonl"
    photos.mkdir()
    (photos / "slope.jpg").write_bytes(photo_bytes())
    lyrics = {"none": "", "neither": "Nothing at all", "all": " ".join(name for name, _ in model.tags)}
    rows = ({"id": id, "title": "", "artist": "", "lyrics": text} for id, text in lyrics.items())
    songs.write_text("\n".join(map(json.dumps, rows)))
    where = ["--photos", str(photos), "--songs", str(songs), "--out", str(out), "--releases", str(releases)]
    assert main(["bm25", *where, "--release", "small"]) == 0
    assert json.loads(out.read_text()) == {"photo": "slope", "songs": ["all", "neither", "none"]}
