"""A release with random weights, small enough to be made in every run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import normalize

from recommender.network import Network
from recommender.release import load_release, save_release

if TYPE_CHECKING:
    from socialsongs.models import ModelRelease

TAGS = {
    "person": "object",
    "dog": "object",
    "boat": "object",
    "tree": "object",
    "traffic light": "object",
    "red": "attribute",
    "old": "attribute",
    "dancing": "action",
    "walking": "action",
    "beach": "scene",
    "harbor": "scene",
    "snow": "scene",
}
TEXT = """
    a all and at away back boat by come comes count dance day dog don't down every far for go gold green gulls harbour
    home i in it light lights long love masts me moon morning my never night no of on one rain red road sea snow street
    sun the tide till tree under water we wind you
"""
WORDS = TEXT.split()

torch.set_num_threads(1)  # the network is too small for more


def network() -> Network:
    """Return a network with the same random weights in every run."""
    torch.manual_seed(21)
    made = Network(tags=len(TAGS), vocabulary=WORDS, references=8, architecture=card()["architecture"])
    made.reference.copy_(normalize(torch.randn_like(made.reference), dim=1))
    for layer in made.tagger.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    made.tagger(torch.rand(8, 3, 64, 64))  # without statistics, all photos look the same to random weights
    return made.eval()


def card(name: str = "small") -> dict[str, Any]:
    return {
        "name": name,
        "architecture": {
            "backbone": "mobilenet_v2",
            "dim": 128,
            "hidden": 32,
            "buckets": 512,
            "sharpness": 0.0,
            "cell": "lstm",
            "attention": True,
        },
        "confidence": {"offset": -2.0, "standing": 1.0, "certainty": 2.0, "threshold": 0.2},
        "preprocessing": {"size": 96},
        "tags": [{"name": tag, "kind": kind} for tag, kind in TAGS.items()],
    }


def registered(folder: Path, *names: str) -> list[ModelRelease]:
    """Save releases with random weights and register them; the first one is active."""
    from socialsongs.services.releases import register

    found = []
    for name in names:
        save_release(network(), card(name), folder)
        found.append(register(name=name, sha256=load_release(name, folder=folder).sha256, card={}))
    return found
