"""A release on disk: half-precision weights and the card they belong to."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from recommender.card import CARD, REQUIRED, WEIGHTS, ReleaseError, read_card, shipped_releases
from recommender.model import Image2Song
from recommender.release import load_release, save_release

from .releases import WORDS, card, network

LYRICS = ["The gulls go home\nThe tide comes in", "Snow on the road", "Zither quux"]


@pytest.fixture
def folder(releases, tmp_path):
    """Return the folder of a copy of the release, to be damaged."""
    return shutil.copytree(releases, tmp_path / "releases")


@pytest.fixture
def edit(folder):
    def edit(**changes):
        file = folder / "small" / CARD
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return edit


def relevance(model):
    return model.relevance(model.view_text("Walking on the beach").embedding, model.encode(LYRICS))


def test_a_saved_release_gives_the_same_scores_when_loaded_again(model, tmp_path):
    save_release(model.network, card("again"), tmp_path)
    again = load_release("again", folder=tmp_path)
    assert again.name == "again"
    assert (relevance(again) == relevance(model)).all()
    assert np.ptp(relevance(model)) > 0.1


def test_half_precision_hardly_changes_the_scores(model):
    full = relevance(Image2Song(network=network(), card=card(), sha256="", device="cpu"))
    assert np.abs(full - relevance(model)).max() < 0.01 * np.ptp(full)


def test_the_weights_are_on_disk_in_half_precision_and_in_memory_in_full(releases, model):
    stored = load_file(releases / "small" / WEIGHTS)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16, torch.int64, torch.uint8, torch.int8}
    assert {weight.dtype for weight in model.network.parameters()} == {torch.float32}


def test_the_vocabulary_travels_with_the_weights(model):
    assert list(model.network.lyrics.words.index) == WORDS


def test_the_card_has_the_checksum_of_the_weights(releases, model):
    digest = hashlib.sha256((releases / "small" / WEIGHTS).read_bytes()).hexdigest()
    assert read_card("small", releases)["sha256"] == model.sha256 == digest


def test_a_changed_byte_is_refused(folder):
    file = folder / "small" / WEIGHTS
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ReleaseError, match=r"damaged") as refused:
        load_release("small", folder=folder)
    assert str(file) in str(refused.value)


def test_weights_of_another_format_are_refused(folder, edit):
    file = folder / "small" / WEIGHTS
    file.write_bytes(b"no tensors")
    edit(sha256=hashlib.sha256(b"no tensors").hexdigest())
    with pytest.raises(ReleaseError, match="does not hold the network") as refused:
        load_release("small", folder=folder)
    assert str(file) in str(refused.value)


def test_missing_weights_are_named(folder):
    file = folder / "small" / WEIGHTS
    file.unlink()
    with pytest.raises(ReleaseError, match="is missing") as refused:
        load_release("small", folder=folder)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": card()["tags"][1:]},
        {"architecture": card()["architecture"] | {"hidden": 64}},
        {"architecture": card()["architecture"] | {"buckets": 500}},
        {"architecture": {"dim": 128}},
    ],
    ids=["tag too few", "wider", "other buckets", "half a description"],
)
def test_weights_that_do_not_fit_the_card_are_refused(folder, edit, changes):
    edit(**changes)
    with pytest.raises(ReleaseError, match="does not hold the network its card describes"):
        load_release("small", folder=folder)


@pytest.mark.parametrize("text", ["", "name: small", '{"name": "small"', "\ufeff{}"])
def test_a_card_that_is_not_json_is_refused(folder, text):
    file = folder / "small" / CARD
    file.write_text(text)
    with pytest.raises(ReleaseError, match="is not JSON") as refused:
        read_card("small", folder)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize("text", ["[]", "7", "null", '"name sha256 architecture preprocessing tags"'])
def test_a_card_that_is_no_object_is_refused(folder, text):
    (folder / "small" / CARD).write_text(text)
    with pytest.raises(ReleaseError, match="is not a JSON object"):
        read_card("small", folder)


@pytest.mark.parametrize("key", REQUIRED)
def test_a_card_that_lacks_a_key_is_refused(folder, key):
    file = folder / "small" / CARD
    left = json.loads(file.read_text())
    del left[key]
    file.write_text(json.dumps(left))
    with pytest.raises(ReleaseError, match=rf"lacks {key}\.") as refused:
        read_card("small", folder)
    assert str(file) in str(refused.value)


def test_an_unknown_name_is_answered_with_the_known_ones(folder):
    shutil.copytree(folder / "small", folder / "other")
    (folder / "unfinished").mkdir()
    assert shipped_releases(folder) == ["other", "small"]
    with pytest.raises(ReleaseError, match=r"no release 'large' .*known releases: other, small\."):
        read_card("large", folder)


def test_without_any_release_none_is_known(tmp_path):
    file = tmp_path / "releases"
    file.touch()
    for folder in (tmp_path, file, tmp_path / "elsewhere"):
        with pytest.raises(ReleaseError, match=r"known releases: none\."):
            load_release("small", folder=folder)
