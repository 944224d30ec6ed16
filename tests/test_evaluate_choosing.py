"""Figures of lists: diversity, hubness, and whether the shown line matches the photo's tags."""

import json

import numpy as np
import pytest
from PIL import Image

from recommender.evaluate.diversity import change, hubness, list_ndcg, similarity
from recommender.evaluate.judged import read_judged
from recommender.evaluate.lines import line_figures, line_overlap, stem, words_of
from recommender.release import load_release


def test_how_alike_the_songs_of_a_list_are():
    directions = np.array([[1, 0], [0, 1], [-1, 0], [0.6, 0.8]], np.float32)
    assert similarity([0, 1], directions) == pytest.approx(0)
    assert similarity([0, 2], directions) == pytest.approx(-1)
    assert similarity([3, 0, 1], directions) == pytest.approx((0.6 + 0.8 + 0) / 3)


def test_ndcg_of_lists_follows_their_order():
    truth = np.array([[0, 2, 3, 0], [0, 2, 3, 0]], float)
    # Gains 2^2 - 1 = 3 and 2^3 - 1 = 7; the best order gives 7 + 3 / log2(3) = 8.8928.
    found = list_ndcg([[2, 1], [0, 1]], truth)
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx((3 / np.log2(3) + 7 / 2) / 8.8928, abs=1e-4)  # then the others: 2, 3


def test_a_hub_is_in_most_lists():
    found = hubness([[0, 1], [0, 2], [3, 0], [0, 1]], songs=6)
    # In 4, 2, 1, 1, 0 and 0 lists: mean 4/3, variance 17/9.
    assert found.most == 1
    assert found.never == pytest.approx(2 / 6)
    assert found.skewness == pytest.approx(np.mean((np.array([4, 2, 1, 1, 0, 0]) - 4 / 3) ** 3) / (17 / 9) ** 1.5)
    assert hubness([[0, 1], [2, 3]], songs=4).skewness == 0


def test_a_change_is_relative_and_paired():
    before = np.random.default_rng(0).uniform(0.2, 0.9, 50)
    assert change(before * 0.8, before) == pytest.approx((-0.2, -0.2, -0.2))
    found = change(before - 0.1 * np.arange(50) / 50, before)
    assert found.low < found.value < found.high < 0


@pytest.mark.parametrize(
    "words",
    [
        ("dance", "dances", "danced", "dancing"),
        ("run", "runs", "running"),
        ("baby", "babies", "baby's"),
        ("beach", "beaches"),
        ("carry", "carries", "carried", "carrying"),
        ("fall", "falls", "falling"),
        ("kiss", "kisses", "kissed"),
        ("boat", "boat's", "boats"),
        ("wave", "waves", "waving"),
    ],
)
def test_inflections_share_their_stem(words):
    assert len({stem(word) for word in words}) == 1


def test_other_words_do_not_share_a_stem():
    apart = ["sing", "red", "king", "spring", "bus", "sun", "sea", "see", "bed", "beach", "thing", "glass"]
    assert len({stem(word) for word in apart}) == len(apart)


def test_words_of_tags_that_say_nothing_are_left_out():
    assert words_of(["riding a horse", "black-and-white", "city at night"]) == {
        stem(word) for word in ("riding", "horse", "black", "white", "city", "night")
    }


def test_a_line_is_compared_with_all_lines_of_its_lyric():
    lines = [{"sea", "gull"}, {"road"}, {"sea"}, set()]
    assert line_overlap(lines, 0, {"sea", "boat"}) == (1.0, 0.5)
    assert line_overlap(lines, 1, {"sea", "boat"}) == (0.0, 0.5)
    assert line_overlap(lines, 1, set()) == (0.0, 0.0)


@pytest.fixture
def judged(tmp_path, releases):
    (tmp_path / "photos").mkdir()
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "photos" / "sea.png")
    lyrics = {
        "sea": "The sea\nThe Seas\n\nmy sea",
        "road": "the road\nlove",
        "mixed": "sea\nroad\nlove\nwe",
        "none": "",
    }
    songs = [
        {"id": name, "title": name, "artist": "a", "lyrics": text, "main": ["sea"]} for name, text in lyrics.items()
    ]
    photos = [{"id": "sea", "main": ["sea"], "side": ["boat"]}]
    for name, rows in (("labels", photos), ("songs", songs)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    model = load_release("small", folder=releases)
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("labels", "songs")}
    return model, read_judged(model, photos=tmp_path / "photos", **paths)


def test_the_line_that_is_shown_beside_a_random_one(judged):
    model, found = judged
    figures = line_figures(model, found, found.relevance(model))["labels"]
    mixed = model.explain([], found.tagger_output.vectors(model)[0], model.encode([found.songs[2].lyrics]))[0].line
    attended = (1 + 0 + (mixed == 0)) / 3  # sea, road, mixed; the song without lyrics does not count
    assert figures["songs"] == 3
    assert figures["with such a line"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["attended line"] == pytest.approx(attended, abs=1e-4)
    assert figures["random line"] == pytest.approx((1 + 0 + 1 / 4) / 3, abs=1e-4)
    assert figures["difference"] == pytest.approx(attended - 1.25 / 3, abs=1e-4)
