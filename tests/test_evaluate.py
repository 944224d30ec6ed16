"""Figures with values worked out by hand, and the command on a judged set that the test makes."""

import json
import math
import shutil

import numpy as np
import pytest
from PIL import Image

from recommender.__main__ import main
from recommender.evaluate.ablations import ablations
from recommender.evaluate.command import evaluate_judged
from recommender.evaluate.judged import read_judged, vocabulary_figures
from recommender.evaluate.ranking_metrics import (
    Labels,
    Resampling,
    average_precision,
    grade,
    graded_figures,
    pair_figures,
)
from recommender.rank import CatalogueSong
from recommender.release import load_release

from .releases import WORDS


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


def test_ranks_of_partners_in_both_directions():
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


def test_an_interval_is_moved_to_the_value_without_resampling():
    draws = np.linspace(0.2, 0.6, 1001)
    assert Resampling.interval(draws, 0.3) == [0.11, 0.49]  # 95 % of a width of .4, around .3 instead of .4


def test_resampled_rankings_share_their_draws_and_spread_less_with_more_photos():
    rng = np.random.default_rng(1)
    truth = rng.choice([0.0, 3.0], size=(200, 20), p=[0.8, 0.2])
    scores = truth + rng.normal(0, 3, truth.shape)
    many = Resampling(200, 20, draws=200).ndcg({"a": scores, "b": scores * 2}, truth)
    few = Resampling(20, 20, draws=200).ndcg({"a": scores[:20]}, truth[:20])
    assert (many["a"] == many["b"]).all()
    assert many["a"].std() < few["a"].std()
    assert abs(many["a"].mean() - graded_figures(scores, truth).ndcg.mean()) < 0.1


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


def run(folder, releases, *more):
    arguments = ["--photos", folder / "photos", "--labels", folder / "labels.jsonl", "--songs", folder / "songs.jsonl"]
    return main(["evaluate", *map(str, arguments), "--release", "small", "--releases", str(releases), *more])


@pytest.fixture
def captions(judged):
    """Write captions of training photos and of the judged ones."""
    folder = judged / "captions"
    (folder / "images").mkdir(parents=True)
    rows = [{"image": f"{name}.png", "split": "test", "captions": [f"a {name}"]} for name in ("sea", "snow", "dog")]
    for number in range(4):
        Image.radial_gradient("L").rotate(number).convert("RGB").save(folder / "images" / f"{number}.png")
        rows.append({"image": f"{number}.png", "split": "train", "captions": ["a road", "a tree"]})
    for name in ("sea", "snow", "dog"):
        shutil.copy(judged / "photos" / f"{name}.png", folder / "images")
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_the_command_prints_tables_and_json(judged, releases, captions, capsys):
    assert run(judged, releases, "--beside", "small") == 0
    *tables, last = capsys.readouterr().out.strip().split("\n")
    found = json.loads(last)
    assert "BM25" in "".join(tables)
    expected = {"model", "stage one alone", "BM25, tags as query", "mean word vectors", "popularity (oracle)", "random"}
    assert expected <= set(found["image2song"])
    for figures in found["image2song"].values():
        low, high = figures["interval"]
        assert low <= figures["nDCG@10"] <= high
    assert found["image2song"]["model"]["lead"] == 0
    assert found["ablations"]["small"]["lead"] == 0
    assert {"no attention (mean of the lines)", "no MLP (cosine of v and l(v))", "no attributes"} <= set(
        found["ablations"]
    )
    assert set(found["song2image"]) == set(found["image2song"]) - {"popularity (oracle)"}
    assert 0 <= found["confidence"]["false silent"] <= 1
    assert found["vocabulary"]["vocabulary"] == len(WORDS)


def test_words_that_the_training_did_not_know_are_counted(model):
    songs = [CatalogueSong("1", "a", "b", "The sea\nthe zeppelin"), CatalogueSong("2", "c", "d", "Snow")]
    assert vocabulary_figures(model, songs) == {"words": 5, "vocabulary": len(WORDS), "unknown": 0.2}


def test_an_oracle_of_popularity_knows_the_other_photos_alone(judged, releases):
    found = read_judged(load_release("small", folder=releases), **paths(judged))
    assert found.truth.tolist() == [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]]
    assert found.popularity().tolist() == [[0.0, 1.5, 1.5], [1.5, 0.0, 1.5], [1.5, 1.5, 0.0]]


def test_an_ablation_changes_its_part_alone(judged, releases):
    model = load_release("small", folder=releases)
    found = read_judged(model, **paths(judged))
    before = found.relevance(model)
    parts = dict(ablations(model, found))
    assert len(parts) > 3
    for name, without in parts.items():
        assert np.abs(without - before).max() > 1e-4, name
    assert (found.relevance(model) == before).all()


def test_tables_are_put_where_the_document_has_a_place(judged, releases, tmp_path, capsys):
    document = tmp_path / "page.md"
    names = ["image2song", "song2image", "ablations", "tags", "confidence", "lines", "vocabulary"]
    document.write_text(
        "Before\n" + "".join(f"<!-- figures: {n} -->\nstale\n<!-- /figures -->\n" for n in names) + "After"
    )
    assert run(judged, releases, "--write", str(document)) == 0
    text = document.read_text()
    assert text.startswith("Before")
    assert text.endswith("After")
    assert "stale" not in text
    assert "| stage one alone |" in text
    assert (tmp_path / "page-rankings.png").exists()
    assert (tmp_path / "page-tags.png").exists()
    document.write_text("nothing")
    assert run(judged, releases, "--write", str(document)) == 2
    assert "no place for 'image2song'" in capsys.readouterr().err


def test_the_sentence_encoder_is_compared_on_tags_and_on_captions(judged, releases, captions, capsys):
    model = load_release("small", folder=releases)
    found = evaluate_judged(model, read_judged(model, **paths(judged)), captions)
    assert {"sentence encoder on ten tags", "sentence encoder on ten tags, means removed"} <= set(found["image2song"])
    human = found["captions"]["human captions through the sentence encoder, means removed"]
    assert human["nDCG@10"] == 1.0  # the captions name the songs' themes


def test_it_rejects_half_a_judged_set(judged, releases, capsys):
    assert main(["evaluate", "--photos", str(judged), "--release", "small", "--releases", str(releases)]) == 2
    assert "--labels" in capsys.readouterr().err
    assert main(["evaluate", "--release", "small", "--releases", str(releases)]) == 2
    assert "Nothing to evaluate" in capsys.readouterr().err


def paths(folder):
    return {"photos": folder / "photos", "labels": folder / "labels.jsonl", "songs": folder / "songs.jsonl"}


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
