"""The development set and its figures: held-out photos and songs, for choices during the matcher's training.

theme    songs of ``--songs`` for held-out photos; graded by whether captions or labels say a theme of the song
evoked   held-out described songs for held-out photos; graded by the teacher's relevance
caption  each description of a held-out described song in place of a photo: is its song among the first five?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..evaluate.judged import TaggerOutput
from ..evaluate.ranking_metrics import graded_figures, pair_figures
from ..lyrics import Encoded
from ..network import Network
from .data import Photo, TagSpec, tag_targets
from .songs import TrainingSong, teacher_relevance, teacher_relevance_scale

THEME_PHOTOS = 600
PHOTOS_AT_ONCE = 16


@dataclass
class DevelopmentSet:
    own: list[TrainingSong]  # of --songs
    unseen: list[TrainingSong]  # held-out described songs
    by_theme: Tensor  # (P,) rows of held-out photos
    theme_grades: Tensor  # (P, own): 2 if the photo shows a main theme, 1 for a side theme
    captioned: Tensor  # (Q,) rows of held-out photos with captions
    evoked_grades: Tensor  # (Q, unseen)


def development_set(
    photos: Sequence[Photo],
    tags: Sequence[TagSpec],
    vectors: Tensor,
    dev: Tensor,
    own: Sequence[TrainingSong],
    unseen: Sequence[TrainingSong],
) -> DevelopmentSet:
    """``vectors`` (N, D): the teacher's vectors of all photos. ``dev``: rows of the held-out photos."""
    rows = dev[:: max(1, len(dev) // THEME_PHOTOS)]
    chosen = [photos[row] for row in rows.tolist()]
    targets, _ = tag_targets(chosen, tags, torch.zeros(len(rows), 1000))
    shown = [{tags[i].name for i in row.nonzero().flatten().tolist()} for row in targets >= 0.6]
    themes = torch.zeros(len(rows), len(own))
    for place, names in enumerate(shown):
        for column, song in enumerate(own):
            main, side = names.intersection(song.themes), names.intersection(song.side_themes)
            themes[place, column] = 2.0 if main else float(bool(side))
    asked = themes.amax(1) >= 2
    captioned = torch.tensor([row for row in dev.tolist() if photos[row].captions])
    means, deviations = teacher_relevance_scale(vectors[dev], unseen)
    near = (teacher_relevance(vectors[captioned], unseen) - means) / deviations
    return DevelopmentSet(list(own), list(unseen), rows[asked], themes[asked], captioned, near.clamp(0, 5).cpu())


@torch.inference_mode()
def development_figures(network: Network, output: TaggerOutput, development: DevelopmentSet) -> dict[str, float]:
    """``output``: of the tagger, for all photos."""
    network.eval()
    themed, captioned = (
        network.embed_photos(output.logits[rows], output.features[rows])
        for rows in (development.by_theme, development.captioned)
    )
    own, unseen = (network.lyrics([song.lyric for song in songs]) for songs in (development.own, development.unseen))
    spoken = torch.cat([song.vectors for song in development.unseen])
    belongs = torch.arange(len(development.unseen)).repeat_interleave(
        torch.tensor([len(s.vectors) for s in development.unseen])
    )
    return {
        "theme nDCG@10": ndcg(stage_two_scores(network, themed, own), development.theme_grades),
        "theme nDCG@10, stage one": ndcg(stage_one_scores(network, themed, own), development.theme_grades),
        "evoked nDCG@10": ndcg(stage_two_scores(network, captioned, unseen), development.evoked_grades),
        "evoked nDCG@10, stage one": ndcg(stage_one_scores(network, captioned, unseen), development.evoked_grades),
        **_figures_without_attention(network, themed, own, captioned, unseen, development),
        "caption recall@5": pair_figures(stage_two_scores(network, spoken, unseen).numpy(), belongs.numpy())["R@5"],
    }


def _figures_without_attention(
    network: Network, themed: Tensor, own: Encoded, captioned: Tensor, unseen: Encoded, development: DevelopmentSet
) -> dict[str, float]:
    attends, network.matcher.attends = network.matcher.attends, False
    figures = {
        "theme nDCG@10, lines alike": ndcg(stage_two_scores(network, themed, own), development.theme_grades),
        "evoked nDCG@10, lines alike": ndcg(stage_two_scores(network, captioned, unseen), development.evoked_grades),
    }
    network.matcher.attends = attends
    return figures


def stage_two_scores(network: Network, photos: Tensor, songs: Encoded) -> Tensor:
    """Return stage two's relevances (B, N), each song's mean over these photos subtracted."""
    return without_means(all_relevances(network, photos, songs)).cpu()


def all_relevances(network: Network, photos: Tensor, songs: Encoded) -> Tensor:
    """(B, N), a few photos at a time."""
    return torch.cat([network.relevance(part, songs.states, songs.lines) for part in photos.split(PHOTOS_AT_ONCE)])


def stage_one_scores(network: Network, photos: Tensor, songs: Encoded) -> Tensor:
    """Return stage one's relevances (B, N), each song's mean over these photos subtracted."""
    return without_means(network.stage_one(photos, songs.pooled)).cpu()


def without_means(scores: Tensor) -> Tensor:
    return scores - scores.mean(0, keepdim=True)


def ndcg(scores: Tensor, grades: Tensor) -> float:
    return float(graded_figures(scores.double().numpy(), grades.double().numpy()).ndcg.mean())
