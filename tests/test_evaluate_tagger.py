"""Figures of the tagger, with values worked out by hand."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from recommender.evaluate.boxes import box_figures, shape_figures
from recommender.evaluate.calibration import (
    cross_fitted_error,
    expected_calibration_error,
    fit_calibration,
)
from recommender.evaluate.tagger import evaluate_tagger, label_figures, mean_precision, tagger_sections, tags_of
from recommender.inputs import InputError
from recommender.release import load_release
from recommender.tagger import Tagged
from recommender.train.data import Photo, TagSpec, read_labelled

from .releases import TAGS


def test_the_calibration_error_is_the_mean_distance_of_score_and_truth_over_equal_bins():
    scores, truth = np.array([0.1, 0.2, 0.9, 0.8]), np.array([False, True, True, True])
    # Bins {.1, .2} with truth .5 and {.8, .9} with truth 1: (|.15 - .5| + |.85 - 1|) / 2.
    assert expected_calibration_error(scores, truth, bins=2) == pytest.approx(0.25)


@pytest.fixture
def simulated():
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, (3000, 6))
    slope, shift = np.array([0.5, 0.7, 1.0, 1.2, 1.5, 1.0]), np.array([-1.0, 0.5, 0.0, 1.0, -0.5, 0.0])
    truth = rng.random(logits.shape) < 1 / (1 + np.exp(-(slope * logits + shift)))
    known = np.ones(logits.shape, bool)
    known[:, 5] = False
    known[:12, 5] = True
    return logits, truth, known, slope, shift


def test_platt_scaling_finds_slope_and_shift_where_labels_are_many(simulated):
    logits, truth, known, slope, shift = simulated
    found, moved, calibrated = fit_calibration(logits, truth, known)
    assert calibrated.tolist() == [True] * 5 + [False]
    assert found[:5] == pytest.approx(slope[:5], abs=0.15)
    assert moved[:5] == pytest.approx(shift[:5], abs=0.2)
    assert found[5] > 0  # what the others share


def test_scaling_lowers_the_error_on_photos_it_was_not_fitted_on(simulated):
    logits, truth, known, *_ = simulated
    errors = cross_fitted_error(logits, truth, known)
    assert errors["calibrated tags"] == 5
    assert errors["calibration error, after"] < errors["calibration error, before"] / 2


def test_without_labels_scores_stay_as_they_are():
    slope, shift, calibrated = fit_calibration(np.zeros((4, 2)), np.zeros((4, 2), bool), np.zeros((4, 2), bool))
    assert (slope.tolist(), shift.tolist(), calibrated.tolist()) == ([1, 1], [0, 0], [False, False])


def test_mean_precision_leaves_out_what_is_never_shown():
    scores = np.array([[3.0, 1], [2, 1], [1, 1]])
    assert mean_precision(scores, np.array([[True, False], [False, False], [True, False]])) == pytest.approx(5 / 6)


class Redness(torch.nn.Module):
    """A tagger with one score: how red each of 7 x 7 regions is."""

    backbone = torch.nn.Identity()

    def forward(self, photos):
        return self.classify(self.backbone(photos))

    def classify(self, photos):
        red = torch.nn.functional.adaptive_avg_pool2d(photos[:, :1] - photos[:, 1:2], 7)
        regions = torch.cat([4 * red, torch.full((len(red), len(TAGS) - 1, 7, 7), -9.0)], 1)
        return Tagged(regions, regions.mean((2, 3)), torch.zeros(len(red), 1280))


@pytest.fixture
def redness(releases):
    model = load_release("small", folder=releases)
    model.network.tagger = Redness()
    return model


def square(x, y, size=(120, 120)):
    image = Image.new("RGB", size, (90, 90, 90))
    ImageDraw.Draw(image).rectangle((x, y, x + 30, y + 30), fill=(255, 0, 0))
    return image


def test_masking_the_box_of_a_tag_costs_more_than_masking_another_place(redness, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        square(5 + 15 * number, 80 - 12 * number).save(path)
    found = box_figures(redness, paths)
    assert (found["photos"], found["boxes"]) == (6, 6)
    assert found["logit lost, own box masked"] > 3 * max(0.0, found["logit lost, random box masked"])
    assert found["difference, 95 %"][0] > 0
    assert found["median box, share of the photo"] < 0.5


def tag(name, *labels):
    return TagSpec(name, "object", frozenset(), frozenset(labels), ())


def test_labelled_photos_are_evaluated_within_their_set(redness, tmp_path):
    photos = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        (square(40, 40) if number % 2 else Image.new("RGB", (50, 50), "gray")).save(path)
        photos.append(Photo(path, "set", "dev", labels=frozenset({"red"} if number % 2 else {"other"})))
    tags = [tag("red", "red"), *(tag(str(n)) for n in range(len(TAGS) - 1))]
    assert label_figures(redness, tags, photos)["set"] == {"photos": 12, "tags": 1, "mAP": 1.0, "best tag right": 1.0}


def test_a_label_that_all_photos_of_a_set_have_is_left_out(redness, tmp_path):
    square(40, 40).save(tmp_path / "0.png")
    photos = [Photo(tmp_path / "0.png", "set", "dev", labels=frozenset({"red"}))] * 6
    tags = [tag("red", "red"), *(tag(str(n)) for n in range(len(TAGS) - 1))]
    assert label_figures(redness, tags, photos) == {}


def test_tags_are_found_by_name_in_a_release_with_others(model):
    tags = tags_of(model)
    assert [tag.name for tag in tags] == list(TAGS)
    assert "dogs" in tags[1].words


def test_a_folder_without_captions_is_named(model, tmp_path):
    with pytest.raises(InputError, match=r"captions\.jsonl"):
        evaluate_tagger(model, tmp_path, None, None)


def test_ways_to_square_photos_are_compared_on_long_photos_alone(redness, tmp_path):
    photos = []
    for number in range(12):
        square(10, 10, (200, 60) if number < 10 else (100, 100)).save(tmp_path / f"{number}.png")
        photos.append(Photo(tmp_path / f"{number}.png", "set", "dev", labels=frozenset({"red"} if number % 2 else ())))
    tags = [tag("red", "red"), *(tag(str(n)) for n in range(len(TAGS) - 1))]
    found = shape_figures(redness, tags, photos)
    assert set(found) == {"squashing", "letterbox", "centre crop"}
    assert {row["photos"] for row in found.values()} == {10}
    assert shape_figures(redness, tags, photos[10:]) == {}


@pytest.fixture
def folders(tmp_path):
    """Captions of trees and dogs, labels of beaches."""
    (tmp_path / "images").mkdir()
    (tmp_path / "set").mkdir()
    told, labelled = [], []
    for number in range(100):
        split = "train" if number < 80 else ("dev", "test")[number % 2]
        Image.linear_gradient("L").rotate(3 * number).convert("RGB").resize((40, 40)).save(
            tmp_path / "images" / f"{number}.jpg"
        )
        told.append({"image": f"{number}.jpg", "split": split, "captions": ["a tree" if number % 4 < 2 else "a dog"]})
    for number in range(60):
        Image.radial_gradient("L").rotate(number).convert("RGB").resize((40, 20)).save(
            tmp_path / "set" / f"{number}.jpg"
        )
        labelled.append({"file": f"set/{number}.jpg", "labels": ["beach"]})
    for name, rows in (("captions", told), ("labels", labelled)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_a_share_of_the_labelled_photos_is_held_out_by_name(folders):
    held_out = [photo for photo in read_labelled(folders) if photo.split == "dev"]
    assert 1 <= len(held_out) <= 15
    assert [photo.path.name for photo in held_out] == [
        photo.path.name for photo in read_labelled(folders) if photo.split == "dev"
    ]


def test_the_tagger_is_measured_beside_a_frozen_head(folders, trained_tags, tmp_path):
    from safetensors.torch import save_file
    from torchvision.models import mobilenet_v2

    torch.manual_seed(0)
    save_file(mobilenet_v2(weights=None).state_dict(), tmp_path / "start.safetensors")
    figures = evaluate_tagger(trained_tags, folders, None, tmp_path / "start.safetensors")
    row = figures["captions"]["all"]
    assert row["tags"] == 2
    assert 0 < row["tagger"] <= 1
    assert row["95 %"][0] <= row["ratio"] <= row["95 %"][1]
    assert set(figures["pooling"]) >= {"mean", "noisy-or", "maximum"}
    assert {section.name for section in tagger_sections(figures)} == {
        "tagger-captions",
        "tagger-pooling",
        "tagger-boxes",
    }


@pytest.fixture
def trained_tags(tmp_path):
    """Random weights for the tags that captions are read for."""
    from recommender.model import Image2Song
    from recommender.network import Network
    from recommender.train.data import read_tags

    from .releases import card

    tags = read_tags()
    made = card()
    torch.manual_seed(0)
    network = Network(tags=len(tags), vocabulary=["a"], references=2, architecture=made["architecture"])
    made["tags"] = [{"name": tag.name, "kind": tag.kind} for tag in tags]
    return Image2Song(network=network, card=made, sha256="", device="cpu")
