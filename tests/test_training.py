"""The training commands on a few drawn photos: they finish, resume from checkpoints, and save a release."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torchvision.models import get_model

from recommender.__main__ import main
from recommender.backbones import BACKBONES, feature_maps, halves, load_backbone, whole_network
from recommender.evaluate.bm25 import rank_by_tags
from recommender.rank import CatalogueSong
from recommender.release import load_release
from recommender.results import EncodedLyric
from recommender.tagger import Tagger
from recommender.train.data import difference_hash, read_photos

THEMES = ["dog", "beach", "snow", "car", "flower", "boat"]
SIZES = ["--size", "64", "--tuning-size", "64", "--epochs", "1", "--probe-epochs", "1", "--batch", "8"]


def drawn(seed):
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (80, 60), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = rng.integers(0, 60, 2).tolist()
        draw.ellipse((x, y, x + 20, y + 20), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write captioned photos, labelled photos, old lyrics, described lyrics and songs with themes."""
    root = tmp_path_factory.mktemp("data")
    (root / "captions" / "images").mkdir(parents=True)
    (root / "labels" / "set").mkdir(parents=True)
    told, labelled, described = [], [], []
    for number in range(24):
        theme = THEMES[number % len(THEMES)]
        split = ("train", "train", "dev", "test")[number // len(THEMES)]
        drawn(number).save(root / "captions" / "images" / f"{number}.jpg")
        captions = [f"A {theme} in the sun.", f"Somebody looks at a red {theme}."]
        told.append({"image": f"{number}.jpg", "split": split, "captions": captions})
        drawn(100 + number).save(root / "labels" / "set" / f"{number}.jpg")
        labelled.append({"file": f"set/{number}.jpg", "labels": [theme]})
        described.append({"lyrics": f"My {theme}, my {theme}\nyou shine all day\nand I am yours", "captions": captions})
    songs = [{"id": t, "lyrics": f"Oh the {t}\nthe old {t} again", "themes": [t], "side_themes": []} for t in THEMES]
    old = [{"id": str(n), "lyrics": "O praise the morning\nthe morning of old"} for n in range(4)]
    rows = {"captions/captions": told, "labels/labels": labelled, "described": described, "songs": songs, "old": old}
    for name, lines in rows.items():
        (root / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return root


def weights(name, path):
    torch.manual_seed(1)
    state = whole_network(name).state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


def train_tagger(data, out, name, file, *more):
    given = ["--captions", data / "captions", "--labels", data / "labels", "--backbone", name, "--weights", file]
    return main(["train", "tagger", *map(str, given), "--out", str(out), *SIZES, *more])


@pytest.fixture(scope="module")
def tagger(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("tagger")
    assert train_tagger(data, out, "mobilenet_v2", weights("mobilenet_v2", out / "start.safetensors")) == 0
    return out


def train_matcher(data, tagger, out, *more):
    folders = {"captions": "captions", "labels": "labels", "described": "described.jsonl", "songs": "songs.jsonl"}
    given = [part for key, name in folders.items() for part in (f"--{key}", str(data / name))]
    steps = ["--lyric-epochs", "1", "--photo-epochs", "5", "--match-steps", "12"]
    lyrics = ["--lyrics", str(data / "old.jsonl")]
    return main(["train", "matcher", *given, *lyrics, "--tagger", str(tagger), "--out", str(out), *steps, *more])


@pytest.fixture(scope="module")
def trained(data, tagger, tmp_path_factory):
    out = tmp_path_factory.mktemp("matcher")
    assert train_matcher(data, tagger, out, "--name", "tiny") == 0
    return out


def figures(path):
    with path.open() as file:
        return {(phase, name) for phase, _, name, _ in csv.reader(file)}


def test_every_weight_of_the_backbone_is_trained(tagger):
    torch.manual_seed(1)
    start = halves("mobilenet_v2", get_model("mobilenet_v2", weights=None))[0].state_dict()
    trained = torch.load(tagger / "tagger.pt", weights_only=True)
    still = {key for key, value in start.items() if (trained[f"backbone.{key}"] == value).all()}
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert {key for key in still if not key.endswith(statistics)} == set()


def test_curves_are_left_as_csv_and_png(tagger, trained):
    assert {("probe", "mAP"), ("tuning", "loss"), ("tuned", "view recall@10")} <= figures(tagger / "tagger.csv")
    assert {("lyrics", "line cosine"), ("photos", "view cosine"), ("match", "theme nDCG@10")} <= figures(
        trained / "matcher.csv"
    )
    for picture in (tagger / "tagger.png", trained / "matcher.png"):
        with Image.open(picture) as image:
            assert image.size[0] > 100


def test_the_release_ranks_and_its_card_describes_it(trained):
    model = load_release("tiny", folder=trained)
    view = model.analyse([drawn(1)])[0]
    encoded = model.encode(["The dog runs\nall day long", "Snow on the car"])
    assert all(isinstance(song, EncodedLyric) for song in encoded)
    assert np.isfinite(model.relevance(view.embedding, encoded)).all()
    assert 0 <= model.confidence(view, 1.0) <= 1
    assert 0 <= model.no_match <= 1
    card = model.card
    assert {"licence", "training", "not for", "known misses", "figures", "preprocessing"} <= set(card)
    assert "research" in card["training"]["photos"]
    assert {tag["calibrated"] for tag in card["tags"]} <= {True, False}
    assert np.isfinite(rank_by_tags(model, [CatalogueSong("1", "a", "b", "dog day")])(view)).all()


def test_the_same_command_goes_on_where_it_stopped(data, tagger, trained, capsys):
    before = (trained / "tiny" / "card.json").read_text()
    (trained / "match.pt").unlink()
    capsys.readouterr()
    assert train_matcher(data, tagger, trained, "--name", "tiny") == 0
    said = capsys.readouterr().out
    assert "match 12" in said
    assert "lyrics 1" not in said.replace("lyrics 1/1", "")
    assert json.loads((trained / "tiny" / "card.json").read_text())["sha256"] == json.loads(before)["sha256"]


def test_the_tuning_goes_on_from_its_checkpoint(data, tagger, tmp_path, capsys):
    (tmp_path / "tuning.pt").write_bytes((tagger / "tuning.pt").read_bytes())
    assert train_tagger(data, tmp_path, "mobilenet_v2", tagger / "start.safetensors") == 0
    assert "tuning" not in capsys.readouterr().out


@pytest.mark.parametrize("cell", ["gru", "none"])
def test_the_lyric_encoder_can_do_with_another_cell_and_without_attention(data, tagger, trained, tmp_path, cell):
    for cache in trained.glob("teacher-*.npy"):
        (tmp_path / cache.name).symlink_to(cache)
    assert train_matcher(data, tagger, tmp_path, "--cell", cell, "--no-attention", "--name", cell) == 0
    model = load_release(cell, folder=tmp_path)
    assert (model.card["architecture"]["cell"], model.network.matcher.attends) == (cell, False)
    lines = model.attend(model.analyse([drawn(1)])[0].embedding, "The dog runs\nall day long")
    assert [line.weight for line in lines] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("name", sorted(set(BACKBONES) - {"mobilenet_v2", "efficientnet_lite1", "efficientnet_lite2"}))
def test_other_backbones_are_trained_by_the_same_command(data, tmp_path, name):
    assert train_tagger(data, tmp_path, name, weights(name, tmp_path / "start.pth")) == 0
    tagger = Tagger(933, backbone=name).eval()
    tagger.load_state_dict(torch.load(tmp_path / "tagger.pt", weights_only=True))
    with torch.inference_mode():
        seen = tagger(torch.rand(2, 3, 96, 96))
    assert seen.features.shape == (2, BACKBONES[name])
    assert seen.logits.shape == (2, 933)
    assert seen.regions.shape[2:] == (3, 3)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_backbone_is_cut_without_a_change(tmp_path, suffix):
    whole = get_model("resnet50", weights=None).eval()
    path = tmp_path / f"weights{suffix}"
    save_file(whole.state_dict(), path) if suffix == ".safetensors" else torch.save(whole.state_dict(), path)
    maps, head = load_backbone("resnet50", path)
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(head.eval()(maps.eval()(pixels)), whole(pixels))


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(feature_maps("swin_t").state_dict(), tmp_path / "other.pth")
    with pytest.raises(RuntimeError, match="ResNet"):
        load_backbone("resnet50", tmp_path / "other.pth")


def test_two_processes_train_together(data, tmp_path):
    file = weights("mobilenet_v2", tmp_path / "start.safetensors")
    given = ["--captions", data / "captions", "--labels", data / "labels", "--weights", file, "--out", tmp_path / "out"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += ["-m", "recommender", "train", "tagger", *map(str, given), *SIZES]
    subprocess.run(command, check=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
    with (tmp_path / "out" / "tagger.csv").open() as file:
        losses = [row for row in csv.reader(file) if row[2] == "loss"]
    assert len(losses) == 1  # the first process alone writes
    assert (tmp_path / "out" / "tagger.pt").exists()


def test_near_duplicates_of_excluded_photos_are_left_out(data, tmp_path):
    drawn(0).resize((160, 120)).save(tmp_path / "copy.png")
    every = read_photos(data / "captions", data / "labels")
    kept = read_photos(data / "captions", data / "labels", [tmp_path])
    assert {photo.path.name for photo in every if "captions" in str(photo.path)} - {
        photo.path.name for photo in kept if "captions" in str(photo.path)
    } == {"0.jpg"}


def test_the_difference_hash_of_a_photo_outlives_size_format_and_light(tmp_path):
    def hash_of(image, name):
        image.save(tmp_path / name)
        return difference_hash(tmp_path / name)

    slope = Image.linear_gradient("L").rotate(90)  # darker to the left
    assert hash_of(slope, "lighter to the right.png") == 2**64 - 1
    assert hash_of(slope.rotate(180), "darker to the right.png") == 0
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 9), np.uint8)).resize((320, 240))
    others = {
        "small.png": photo.resize((160, 120)),
        "compressed.jpg": photo,
        "brighter.png": photo.point(lambda level: 30 + level * 0.8),
    }
    known = hash_of(photo, "photo.png")
    for name, image in others.items():
        assert (hash_of(image, name) ^ known).bit_count() <= 5, name  # as many as `unlike` takes for the same
    assert (hash_of(photo.transpose(Image.Transpose.FLIP_TOP_BOTTOM), "another.png") ^ known).bit_count() > 5
