"""The cards of trained releases: of one trained anew, and of one that started from another release."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ..backbones import starting_input
from ..model import Image2Song
from .data import TagSpec
from .matcher_config import MatcherConfig


def derived_card(
    model: Image2Song, *, name: str, training: Mapping[str, Any], figures: Mapping[str, float]
) -> dict[str, Any]:
    """Return the card of the release that training started from, with new name and figures and ``training`` added."""
    started = copy.deepcopy(model.card)
    origin = {"name": model.name, "sha256": model.sha256}
    trained = {**started.get("training", {}), "started_from": origin, **training}
    rounded = {key: round(value, 5) for key, value in figures.items()}
    return {**started, "name": name, "training": trained, "figures": rounded}


def new_card(
    config: MatcherConfig, tags: Sequence[TagSpec], calibrated: Sequence[bool], figures: Mapping[str, float]
) -> dict[str, Any]:
    """Return a card without confidence; ``calibrated``: whether each tag has a calibration of its own."""
    preprocessing = starting_input(config.backbone)
    return {
        "name": config.name,
        "sha256": "",
        "licence": "Apache-2.0",
        "description": "Image2song: a CNN tags photos, a recurrent network reads lyrics, tag attention joins them.",
        "language": "English lyrics; songs in other languages are flagged as unsupported",
        "architecture": config.architecture(),
        "preprocessing": {
            "size": preprocessing.size,
            "mean": preprocessing.mean,
            "std": preprocessing.std,
            "shape": "squashed to a square",
        },
        "training": {
            "backbone": f"started from an ImageNet {config.backbone} (Apache-2.0); every weight was trained on",
            "teacher": "all-MiniLM-L6-v2 (sentence embeddings), in training only",
            "photos": "Flickr8k and labelled photo sets, for research use only; none is part of this release",
            "lyrics": "public-domain songbooks, and lyrics with photo descriptions written for this project (CC0)",
            "seed": config.seed,
        },
        "not for": [
            "statements about people: who they are, what they feel, their origin, faith or health",
            "moderation, surveillance, advertising by what photos show of their owners",
            "commercial use without own advice on the training photos' research-only licences",
        ],
        "known misses": [
            "what hardly any training photo shows: microscopes, rockets, screenshots, text in pictures",
            "moods that only a face or the occasion tells; irony",
            "small things in crowded photos",
        ],
        "figures": figures,
        "confidence": {},
        "tags": [
            {"name": tag.name, "kind": tag.kind, "calibrated": known}
            for tag, known in zip(tags, calibrated, strict=True)
        ],
    }
