"""Figures with values worked out by hand, and the command on a judged set that the test makes."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from recommender.__main__ import main
from recommender.evaluate.metrics import (
    Labels,
    average_precision,
    grade,
    graded_figures,
    interval,
    pair_figures,
)


def labels(main=(), side=(), mood=()):
    return Labels("x", frozenset(main), frozenset(side), frozenset(mood))


PHOTO = labels(["beach"], ["dog", "sun"], ["calm"])


@pytest.mark.parametrize(
    ("song", "points"),
    [
        (labels(["beach"]), 3.0),
        (labels(["beach"], mood=["calm", "joyful"]), 3.5),
        (labels(["dog"], ["beach"]), 2.0),  # one of each is the other's side label
        (labels(["dog", "sun"], ["beach"]), 2.0),  # three such, two count
        (labels(["snow"], ["dog", "sun"]), 0.5),
        (labels(["beach", "dog"], ["beach", "sun", "dog"], ["calm"]), 5.0),  # 3 + 2 + 0.5 + 0.5, capped
        (labels(["snow"], ["rain"], ["dark"]), 0.0),
    ],
)
def test_the_grade_of_a_song_for_a_photo(song, points):
    assert grade(PHOTO, song) == points


def test_ndcg_precision_and_rank_of_one_ranking():
    # Ranked: grades 0, 2, 3.5. Gains 0, 3, 2^3.5 - 1 = 10.3137.
    # DCG = 3 / log2(3) + 10.3137 / 2 = 1.8928 + 5.1569; ideal = 10.3137 + 3 / log2(3) = 12.2065.
    found = graded_figures(np.array([[0.1, 0.9, 0.5]]), np.array([[3.5, 0.0, 2.0]]))
    assert found.ndcg[0] == pytest.approx(7.0497 / 12.2065, abs=1e-4)
    assert found.precision[0] == 1 / 5
    assert (found.rank[0], found.reciprocal[0]) == (3, 1 / 3)


def test_only_ten_places_count():
    truth = np.zeros((1, 12))
    truth[0, 11] = 3.0
    scores = -np.arange(12.0)[None]
    found = graded_figures(scores, truth)
    assert (found.ndcg[0], found.rank[0]) == (0.0, 12)
    scores[0, 11] = -8.5  # tenth place: 1 / log2(11)
    assert graded_figures(scores, truth).ndcg[0] == pytest.approx(1 / math.log2(11))


def test_nothing_relevant_is_no_division_by_zero():
    found = graded_figures(np.array([[1.0, 2.0]]), np.zeros((1, 2)))
    assert (found.ndcg[0], found.rank[0], found.reciprocal[0]) == (0.0, math.inf, 0.0)


def test_pairs():
    # The partner is first, second, and last of eleven.
    scores = np.zeros((3, 11))
    scores[0, 0] = 1
    scores[1, :2] = [1, 2]
    scores[2] = np.arange(11, 0, -1)
    found = pair_figures(scores, np.array([0, 0, 10]))
    assert found["R@1"] == pytest.approx(1 / 3)
    assert found["R@5"] == found["R@10"] == pytest.approx(2 / 3)
    assert found["Med r"] == 2
    assert found["MRR"] == pytest.approx((1 + 1 / 2 + 1 / 11) / 3)


def test_a_tie_counts_against_the_ranking():
    assert pair_figures(np.ones((1, 4)), np.array([0]))["Med r"] == 4


def test_average_precision():
    # Hits at places 1 and 3: (1 + 2/3) / 2.
    assert average_precision(np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])) == pytest.approx(5 / 6)
    assert math.isnan(average_precision(np.array([1.0]), np.array([False])))


def test_an_interval_holds_the_mean_and_shrinks_with_more_photos():
    values = np.random.default_rng(1).normal(5, 1, 400)
    low, high = interval(lambda photos, songs: values[photos].mean(), 400, 3)
    wide = interval(lambda photos, songs: values[:25][photos].mean(), 25, 3)
    assert low < values.mean() < high
    assert high - low < (wide[1] - wide[0]) / 2


@pytest.fixture
def judged(tmp_path):
    (tmp_path / "photos").mkdir()
    photos, songs = [], []
    for number, theme in enumerate(["sea", "snow", "dog"]):
        Image.linear_gradient("L").rotate(90 * number).convert("RGB").save(tmp_path / "photos" / f"{theme}.png")
        photos.append({"id": theme, "main": [theme], "side": [], "mood": ["calm"]})
        songs.append({"id": theme, "title": theme, "artist": "a", "lyrics": f"the {theme}\nmy {theme} of love"}
                     | {"main": [theme], "side": [], "mood": ["dark"]})  # fmt: skip
    photos += [{"id": "unlabelled", "main": ["car"]}, {"id": "left-out", "main": ["sea"], "keep": False}]
    for name, rows in (("labels", photos), ("songs", songs)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def run(folder, releases):
    arguments = ["--photos", folder / "photos", "--labels", folder / "labels.jsonl", "--songs", folder / "songs.jsonl"]
    return main(["evaluate", *map(str, arguments), "--release", "small", "--releases", str(releases)])


def test_the_command_prints_a_table_and_json(judged, releases, capsys):
    assert run(judged, releases) == 0
    *table, last = capsys.readouterr().out.strip().split("\n")
    found = json.loads(last)
    assert "BM25" in "".join(table)
    assert set(found) == {"model", "stage one alone", "BM25, tags as query", "random"}
    for figures in found.values():
        low, high = figures["interval"]
        assert low <= figures["nDCG@10"] <= high
    assert found["model"]["lead"] == 0


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("labels.jsonl", '{"main": ["sea"]}', "line 1"),
        ("labels.jsonl", '{"id": "lost", "main": ["sea"]}', "1 labelled photos are not there, such as lost"),
        ("labels.jsonl", '{"id": "sea", "main": ["car"]}', "no photo shares a main label"),
        ("labels.jsonl", "nothing", "line 1"),
        ("labels.jsonl", "", "labels.jsonl"),
    ],
)
def test_wrong_files_are_named(judged, releases, capsys, file, text, says):
    (judged / file).write_text(text) if text else (judged / file).unlink()
    assert run(judged, releases) == 2
    assert says in capsys.readouterr().err
