"""The release that ships: it is complete and small, and its suggestions follow the photo."""

import json
from pathlib import Path

import pytest

from recommender.card import RELEASES
from recommender.evaluate.textures import textures
from recommender.images import load_photo
from recommender.rank import CatalogueSong, rank_by_relevance
from recommender.release import load_release
from recommender.train.data import read_tags
from socialsongs.models import EMBEDDING_DIM

from .skips import import_or_skip

SAMPLE = Path(__file__).resolve().parents[1] / "socialsongs" / "sample" / "catalogue.jsonl"
ROWS = [json.loads(line) for line in SAMPLE.read_text().splitlines()]


@pytest.fixture(scope="module")
def starter():
    return load_release()


@pytest.fixture(scope="module")
def score(starter):
    return rank_by_relevance(
        starter, [CatalogueSong(row["id"], row["title"], row["artist"], row["lyrics"]) for row in ROWS]
    )


def sample(place):
    package, _, name = place.partition("/")
    return load_photo(Path(import_or_skip(package).__file__).parent / name)


def test_it_fits_the_repository_and_the_database(starter):
    assert sum(path.stat().st_size for path in RELEASES.rglob("*.safetensors")) < 40e6
    assert starter.dim == EMBEDDING_DIM
    assert starter.tags == [(tag.name, tag.kind) for tag in read_tags()]


@pytest.mark.parametrize(
    ("photo", "tags", "themes"),
    [
        ("skimage/data/chelsea.png", {"cat"}, {"cat", "dog", "bird"}),
        ("skimage/data/motorcycle_left.png", {"motorcycle"}, {"motorcycle"}),
        ("sklearn/datasets/images/flower.jpg", {"flower"}, {"flowers", "garden"}),
    ],
)
def test_tags_and_songs_follow_the_photo(starter, score, photo, tags, themes):
    view = starter.analyse([sample(photo)])[0]
    assert {tag.name for tag in view.tags} & tags
    best = score(view).argsort()[::-1][:10]
    assert any(themes & {*ROWS[row]["themes"], *ROWS[row]["side_themes"]} for row in best)


def test_different_photos_get_different_songs(starter, score):
    photos = ["skimage/data/coffee.png", "skimage/data/chelsea.png", "skimage/data/rocket.jpg",
              "sklearn/datasets/images/flower.jpg", "sklearn/datasets/images/china.jpg"]  # fmt: skip
    firsts = {int(score(starter.analyse([sample(photo)])[0]).argmax()) for photo in photos}
    assert len(firsts) >= 4


@pytest.mark.parametrize("unseen", [False, True])
def test_pictures_of_nothing_have_no_tags_and_no_confident_match(starter, unseen):
    views = starter.analyse(textures(2, seed=7, unseen=unseen))
    assert [view.tags for view in views] == [[]] * len(views)
    assert {float(starter.confidence(view, 100.0)) for view in views} == {0.0}
