"""Training the image encoder ("eyes") on a few drawn photos: targets, figures, and resuming after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recommender.__main__ import main
from recommender.backbones import whole_network
from recommender.evaluate.eyes import captioned_tags
from recommender.images import Preprocessing
from recommender.inputs import InputError
from recommender.tagger import Tagger
from recommender.train.data import Photo, Pixels, read_described_photos, read_tags, split_by_name, tag_vocabulary
from recommender.train.eyes_evaluation import HeldOutEvaluation
from recommender.train.eyes_examples import epoch_rows, prepare_eyes_examples
from recommender.train.features import cached_features_and_classes
from recommender.train.records import save_checkpoint

SMALL = ["--backbone", "efficientnet_lite0", "--size", "64", "--probe-epochs", "8", "--batch", "16", "--device", "cpu"]
TUNING = ["--sizes", "32", "64", "--epochs", "1", "1", "--save-every", "1"]
MOODS = 20


def drawn(number, warm):
    """Draw a red dog or a blue boat, which a random network can tell apart by colour."""
    rng = np.random.default_rng(number)
    colour = [200, 40, 40] if warm else [40, 40, 200]
    pixels = rng.normal(colour, 30, (48, 64, 3)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """72 captioned photos, 24 labelled ones, 12 others. All are described but four of the labelled ones."""
    root = tmp_path_factory.mktemp("photos")
    for folder in ("captions/images", "labels/set", "others"):
        (root / folder).mkdir(parents=True)
    told, labelled, described = [], [], []

    def describe(name, warm):
        shows = "a red dog by an island" if warm else "a blue boat beside a chimney"
        moods = ["joyful", "tender"] if warm else ["calm"]
        described.append({"image": name, "shows": shows, "evokes": f"{moods[0]} days", "moods": moods})

    for number in range(72):
        warm = number % 3 > 0
        split = "train" if number < 60 else "dev"
        drawn(number, warm).save(root / "captions" / "images" / f"{number}.jpg")
        captions = ["A red dog."] * 5 if warm else ["A blue boat."] * 5
        told.append({"image": f"{number}.jpg", "split": split, "captions": captions})
        describe(f"captions/images/{number}.jpg", warm)
    told.append({"image": "kept apart.jpg", "split": "test", "captions": ["A red dog."]})
    describe("captions/images/kept apart.jpg", True)
    for number in range(24):
        warm = number % 2 > 0
        drawn(100 + number, warm).save(root / "labels" / "set" / f"{number}.jpg")
        labelled.append({"file": f"set/{number}.jpg", "labels": ["dog" if warm else "boat"]})
        if number >= 4:
            describe(f"labels/set/{number}.jpg", warm)
    for number in range(12):
        drawn(200 + number, False).save(root / "others" / f"{number}.jpg")
        describe(f"others/{number}.jpg", False)
    for name, rows in (("captions/captions", told), ("labels/labels", labelled), ("described", described)):
        (root / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name in ("efficientnet_lite0", "mobilenet_v2"):
        torch.save(start(name).state_dict(), root / f"{name}.pth")
    return root


def start(name):
    """Return random weights with batch statistics, without which all photos look the same to them."""
    torch.manual_seed(1)
    network = whole_network(name)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    network(torch.stack([Preprocessing(64)(drawn(400 + number, number % 2 > 0)) for number in range(16)]))
    return network


def command(data, out, *more):
    folders = {"described": "described.jsonl", "images": ".", "captions": "captions", "labels": "labels"}
    given = [part for key, name in folders.items() for part in (f"--{key}", str(data / name))]
    weights = ["--weights", str(data / "efficientnet_lite0.pth")]
    return ["train", "eyes", *given, *weights, "--out", str(out), *SMALL, *more]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("eyes")
    assert main(command(data, out, *TUNING, "--beside", str(data / "mobilenet_v2.pth"))) == 0
    return out


def photos_of(data):
    return read_described_photos(data / "described.jsonl", data, data / "captions", data / "labels")


def figures(out):
    return [json.loads(line) for line in (out / "figures.jsonl").read_text().splitlines()]


@pytest.fixture
def examples(data, trained):
    photos = photos_of(data)
    return prepare_eyes_examples(photos, tag_vocabulary(photos), torch.zeros(len(photos), 1000), trained / "teacher")


def test_every_stage_leaves_its_figures(trained):
    found = figures(trained)
    assert [row["stage"] for row in found] == ["frozen", "epoch 1 of 2", "epoch 2 of 2", "heads again"]
    assert [row["size"] for row in found] == [64, 32, 64, 64]
    for row in found:
        assert row["captioned photos"] == 12
        assert row["captioned tags"] == 2  # dog and red: of blue boats there are too few
        assert row["ratio"] == pytest.approx(row["captioned mAP"] / row["linear head on MobileNetV2"], abs=1e-3)
        assert {"object mAP", "attribute mAP", "mood mAP", "photos/s"} <= set(row)
        assert any(name.startswith("evokes R@10 of") for name in row)


def test_the_heads_learn_colours_from_a_network_of_random_weights(trained):
    first, *_, last = figures(trained)
    for row, least in ((first, 0.7), (last, 0.95)):
        assert {row[f"{kind} mAP"] > least for kind in ("object", "attribute", "mood", "captioned")} == {True}


def test_every_weight_of_the_backbone_is_trained(data, trained):
    start = whole_network("efficientnet_lite0")
    start.load_state_dict(torch.load(data / "efficientnet_lite0.pth", weights_only=True))
    after = torch.load(trained / "tagger.pt", weights_only=True)
    still = {key for key, value in start.features.named_parameters() if (after[f"backbone.{key}"] == value).all()}
    assert still == set()


def test_the_files_that_a_training_leaves_fit_together(trained):
    card = json.loads((trained / "card.json").read_text())
    square = Preprocessing.of(card["preprocessing"])
    assert (square.size, square.mean[0]) == (64, pytest.approx(0.498, abs=1e-3))
    tagger = Tagger(len(card["tags"]), backbone=card["architecture"]["backbone"]).eval()
    tagger.load_state_dict(torch.load(trained / "tagger.pt", weights_only=True))
    names = [tag["name"] for tag in card["tags"]]
    with torch.inference_mode():
        warm, cold = tagger(torch.stack([square(drawn(300, True)), square(drawn(301, False))])).logits
    assert warm[names.index("dog")] > cold[names.index("dog")]
    assert warm[names.index("joyful")] > cold[names.index("joyful")]
    stored = np.load(trained / "tuned.npz")
    assert stored["features"].shape == (len(stored["photos"]), 1280)


def test_the_vocabulary_is_todays_with_words_said_often_enough_and_moods_last(data):
    tags = tag_vocabulary(photos_of(data))
    today = read_tags()
    assert [(tag.name, tag.kind) for tag in tags[: len(today)]] == [(tag.name, tag.kind) for tag in today]
    more = [tag.name for tag in tags[len(today) : -MOODS]]
    assert more == ["island", "chimney"]
    assert {tag.kind for tag in tags[-MOODS:]} == {"mood"}
    fewer = [photo for photo in photos_of(data) if photo.split == "dev"]
    assert [tag.name for tag in tag_vocabulary(fewer)[len(today) : -MOODS]] == []


def test_descriptions_give_negatives_and_labels_do_not(data, examples):
    column = {tag.name: place for place, tag in enumerate(examples.tags)}
    row = {photo.path.relative_to(data).as_posix(): place for place, photo in enumerate(examples.photos)}
    told, labelled = row["labels/set/4.jpg"], row["labels/set/0.jpg"]  # boats; the first is described, too
    for photo in (told, labelled):
        assert examples.targets[photo, column["boat"]] == 1
        assert examples.weights[photo, column["boat"]] == 1
    assert (examples.targets[told, column["chimney"]], examples.targets[told, column["island"]]) == (1, 0)
    assert (examples.weights[told, column["man"]], examples.weights[told, column["calm"]]) == (1, 1)
    assert examples.weights[labelled, column["island"]] == 0
    assert examples.weights[labelled, column["man"]] < 0.1
    assert examples.weights[labelled, column["calm"]] == 0
    assert examples.targets[told, column["calm"]] == 1
    assert examples.targets[row["captions/images/1.jpg"], column["calm"]] == 0
    assert examples.shows[told].norm() == pytest.approx(1)
    assert not examples.shows[labelled].any()


def test_the_same_photos_are_held_out_whatever_else_is_given(data):
    every = photos_of(data)
    assert "kept apart.jpg" not in {photo.path.name for photo in every}
    names = [photo.path.relative_to(data).as_posix() for photo in every]
    assert {"labels", "others"} <= {name.partition("/")[0] for name in names}
    for photo, name in zip(every, names, strict=True):
        if name.startswith("labels"):
            assert photo.split == split_by_name(name.removeprefix("labels/"))
        if name.startswith("others"):
            assert photo.split == split_by_name(name)
    assert {photo.split for photo in every} == {"train", "dev"}


def test_rare_tags_come_up_more_often_and_held_out_photos_never(data, examples):
    rare = examples.train[:4]
    examples.targets = torch.zeros_like(examples.targets)
    examples.targets[rare, 7] = 1.0
    rows = torch.cat([epoch_rows(examples, rare=0.9, seed=0, epoch=epoch) for epoch in range(20)])
    assert not set(rows.tolist()) & set(examples.dev.tolist())
    assert len(rows) == pytest.approx(20 * len(examples.train), rel=0.05)
    times = torch.bincount(rows, minlength=len(examples.photos))
    assert times[rare].float().mean() > 2 * times[examples.train[4:]].float().mean()
    assert (epoch_rows(examples, rare=0.9, seed=0, epoch=3) == epoch_rows(examples, rare=0.9, seed=0, epoch=3)).all()


def test_how_a_photo_is_varied_depends_on_seed_and_row_alone(data):
    photos = [Photo(data / "others" / f"{number}.jpg", "others", "train") for number in range(3)]
    pixels = [Pixels(photos, Preprocessing(32), augment=True, seed=seed) for seed in (7, 7, 8)]
    torch.rand(5)
    assert (pixels[0][1][0] == pixels[1][1][0]).all()
    assert (pixels[0][1][0] != pixels[2][1][0]).any()


def test_killed_in_the_middle_it_goes_on_to_the_same_weights(data, trained, tmp_path):
    given = command(data, tmp_path, *TUNING, "--beside", str(data / "mobilenet_v2.pth"), "--cache", str(trained))
    threads = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-m", "recommender", *given], env=threads, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not (tmp_path / "tuning.pt").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "eyes.pt").exists()
    assert main(given) == 0
    want, found = (torch.load(folder / "eyes.pt", weights_only=True) for folder in (trained, tmp_path))
    for key, value in want.items():
        torch.testing.assert_close(found[key], value, msg=key)
    assert [row["stage"] for row in figures(tmp_path)] == [row["stage"] for row in figures(trained)]


def test_when_all_is_done_the_same_command_does_nothing_more(data, trained):
    before = (trained / "figures.jsonl").read_text()
    weights = torch.load(trained / "tagger.pt", weights_only=True)
    assert main(command(data, trained, *TUNING, "--beside", str(data / "mobilenet_v2.pth"))) == 0
    assert (trained / "figures.jsonl").read_text() == before
    for key, value in torch.load(trained / "tagger.pt", weights_only=True).items():
        assert (value == weights[key]).all()


def test_half_a_file_is_never_left(tmp_path):
    save_checkpoint({"a": torch.zeros(2)}, tmp_path / "state.pt")
    with pytest.raises(AttributeError):
        save_checkpoint({"a": lambda: None}, tmp_path / "state.pt")
    assert (torch.load(tmp_path / "state.pt", weights_only=True)["a"] == 0).all()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"image": "others/0.jpg", "shows": "a dog", "evokes": "joy", "moods": ["gloomy"]}, "gloomy"),
        ({"image": "others/0.jpg", "shows": "a dog", "evokes": "joy", "moods": []}, "one or more of"),
        ({"image": "others/0.jpg", "shows": "a dog", "evokes": "joy", "moods": "calm"}, "one or more of"),
        ({"image": "others/0.jpg", "shows": " ", "evokes": "joy", "moods": ["calm"]}, "texts image, shows and evokes"),
        ({"image": 3, "shows": "a dog", "evokes": "joy", "moods": ["calm"]}, "texts image, shows and evokes"),
        (["others/0.jpg"], "texts image, shows and evokes"),
    ],
)
def test_a_line_that_is_no_description_is_named(data, tmp_path, capsys, row, said):
    good = {"image": "others/0.jpg", "shows": "a dog", "evokes": "joy", "moods": ["calm"]}
    (tmp_path / "described.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(row)}\n")
    given = command(data, tmp_path / "out")
    given[given.index("--described") + 1] = str(tmp_path / "described.jsonl")
    assert main(given) == 2
    error = capsys.readouterr().err
    assert "described.jsonl, line 2" in error
    assert said in error


def test_photos_that_are_not_there_are_named(data, tmp_path, capsys):
    good = {"image": "others/gone.jpg", "shows": "a dog", "evokes": "joy", "moods": ["calm"]}
    (tmp_path / "described.jsonl").write_text(json.dumps(good))
    given = command(data, tmp_path / "out")
    given[given.index("--described") + 1] = str(tmp_path / "described.jsonl")
    assert main(given) == 2
    assert "others/gone.jpg" in capsys.readouterr().err


def test_sizes_and_epochs_must_be_equally_many(data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(command(data, tmp_path, "--sizes", "32", "--epochs", "1", "2"))
    assert "equally many" in capsys.readouterr().err


def test_the_starting_backbones_predictions_are_not_used_as_truth_in_the_evaluation(data, trained, tmp_path):
    photos, tags = photos_of(data), tag_vocabulary(photos_of(data))
    sure = prepare_eyes_examples(photos, tags, torch.ones(len(photos), 1000), trained / "teacher")
    found = HeldOutEvaluation(sure, captioned_tags([], []), tmp_path / "figures.jsonl").truth
    column = [bool(tag.classes) and not tag.words & {"dog", "boat"} for tag in tags]
    assert (sure.targets[:, column] >= 1).all()
    assert not found[:, column].any()
    assert found.any()


def test_without_a_described_photo_to_measure_on_nothing_is_trained(data, tmp_path, capsys):
    row = {"image": "captions/images/0.jpg", "shows": "a boat", "evokes": "calm days", "moods": ["calm"]}
    (tmp_path / "described.jsonl").write_text(json.dumps(row))
    given = command(data, tmp_path / "out")
    given[given.index("--described") + 1] = str(tmp_path / "described.jsonl")
    assert main(given) == 2
    assert "none of its photos is held out" in capsys.readouterr().err


def test_a_photo_that_cannot_be_read_is_named(data, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(InputError, match="replace the photo"):
        Pixels([Photo(tmp_path / "broken.jpg", "", "train")], Preprocessing(32), augment=False)[0]


def test_the_name_of_a_cached_piece_stays_the_same(tmp_path, monkeypatch):
    """Otherwise a training that was begun with older code would compute all features again."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("a.png")
    backbone = torch.nn.Conv2d(3, 2, 1)
    torch.nn.init.ones_(backbone.weight)
    torch.nn.init.zeros_(backbone.bias)
    classifier = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(2, 2))
    photos = [Photo(Path("a.png"), "set", "train")]
    given = (backbone, classifier, photos, Preprocessing(16), tmp_path / "features", torch.device("cpu"))
    features, classes = cached_features_and_classes(*given)
    assert (features.shape, classes.shape) == ((1, 2), (1, 2))
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["features-1023739438733d61.npz"]
