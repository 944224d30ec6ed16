"""What choices are made by while the matcher is trained: photos and songs that no step learned from.

theme    our own songs for held-out photos: does a main theme show, by the photos' captions and labels?
evoked   held-out described songs for held-out photos, by how near the teacher finds their captions to each other
caption  each caption of a held-out described song in a photo's place: is its song among the first five?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..evaluate.ranking_metrics import graded_figures, pair_figures
from ..lyrics import Encoded
from ..matcher import pad
from ..model import Network
from .data import Photo, TagSpec, tag_targets
from .songs import Song, relevance, relevance_scale

THEME_PHOTOS = 600


@dataclass
class Check:
    own: list[Song]
    unseen: list[Song]
    by_theme: Tensor  # (P,) rows of held-out photos
    theme_grades: Tensor  # (P, own): 2 for a main theme that the photo shows, 1 for a side one
    told: Tensor  # (Q,) rows of held-out photos with captions
    evoked_grades: Tensor  # (Q, unseen)


def development(
    photos: Sequence[Photo],
    tags: Sequence[TagSpec],
    views: Tensor,
    dev: Tensor,
    own: Sequence[Song],
    unseen: Sequence[Song],
) -> Check:
    """``views``: the teacher's of all photos (N, D); ``dev``: the rows held out."""
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
    told = torch.tensor([row for row in dev.tolist() if photos[row].captions])
    means, deviations = relevance_scale(views[dev], unseen)
    near = (relevance(views[told], unseen) - means) / deviations
    return Check(list(own), list(unseen), rows[asked], themes[asked], told, near.clamp(0, 5).cpu())


@torch.inference_mode()
def development_figures(network: Network, logits: Tensor, features: Tensor, check: Check) -> dict[str, float]:
    """From the tag logits (N, T) and pooled features (N, F) of all photos."""
    network.eval()
    photo = network.matcher.photo
    shown, told = (photo(logits[rows].sigmoid(), features[rows]) for rows in (check.by_theme, check.told))
    own, unseen = (network.lyrics([song.lyric for song in songs]) for songs in (check.own, check.unseen))
    spoken = torch.cat([song.views for song in check.unseen])
    belongs = torch.arange(len(check.unseen)).repeat_interleave(torch.tensor([len(s.views) for s in check.unseen]))
    return {
        "theme nDCG@10": ndcg(attended(network, shown, own), check.theme_grades),
        "theme nDCG@10, stage one": ndcg(at_first(network, shown, own), check.theme_grades),
        "evoked nDCG@10": ndcg(attended(network, told, unseen), check.evoked_grades),
        "evoked nDCG@10, stage one": ndcg(at_first(network, told, unseen), check.evoked_grades),
        **_without_attention(network, shown, own, told, unseen, check),
        "caption recall@5": pair_figures(attended(network, spoken, unseen).numpy(), belongs.numpy())["R@5"],
    }


def _without_attention(
    network: Network, shown: Tensor, own: Encoded, told: Tensor, unseen: Encoded, check: Check
) -> dict[str, float]:
    attends, network.matcher.attends = network.matcher.attends, False
    found = {
        "theme nDCG@10, lines alike": ndcg(attended(network, shown, own), check.theme_grades),
        "evoked nDCG@10, lines alike": ndcg(attended(network, told, unseen), check.evoked_grades),
    }
    network.matcher.attends = attends
    return found


def attended(network: Network, photos: Tensor, songs: Encoded) -> Tensor:
    """(B, N) relevances, each song's mean over these photos removed."""
    return without_means(every_relevance(network, photos, songs)).cpu()


def every_relevance(network: Network, photos: Tensor, songs: Encoded) -> Tensor:
    """(B, N), a few photos at a time."""
    states, mask = pad(songs.states.split(songs.lines))
    return torch.cat([network.matcher(part, states, mask) for part in photos.split(16)])


def at_first(network: Network, photos: Tensor, songs: Encoded) -> Tensor:
    """The same by stage one."""
    return without_means(network.matcher.query(photos) @ songs.pooled.T).cpu()


def without_means(scores: Tensor) -> Tensor:
    return scores - scores.mean(0, keepdim=True)


def ndcg(scores: Tensor, grades: Tensor) -> float:
    return float(graded_figures(scores.double().numpy(), grades.double().numpy()).ndcg.mean())
