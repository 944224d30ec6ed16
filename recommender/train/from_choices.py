"""Train the matcher on the choices of people from the lists that they were shown, and compare it with the old one.

The tagger and the lyric encoder stay fixed: songs are encoded once, and only the matcher learns (photo encoder, tag
attention, relevance, stage one). The chosen song of a list should rank above the others of the list, and above the
songs that were chosen for other photos of the batch. Choices are weighted by the inverse of the chance that their rank
is examined (Joachims et al. 2017; as the weight of a listwise loss, Ai et al., "Unbiased learning to rank with unbiased
propensity estimation", SIGIR 2018). The newest lists are held out for the comparison.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..evaluate.click_model import (
    MOST,
    ClickLog,
    Estimate,
    Examination,
    difference,
    estimate_rates,
    fit_examination,
    reordered,
)
from ..evaluate.judged import TaggerOutput
from ..evaluate.ranking_metrics import pair_figures
from ..lyrics import Encoded, Lyric
from ..model import Image2Song
from ..network import Network
from .cards import derived_card
from .development import all_relevances, without_means
from .distributed import optimizer_step
from .from_pairs import contrastive_loss, first_lines
from .network_statistics import draw_reference, set_photo_statistics

Array = NDArray[np.float64]
LONGEST = 100  # lines of a song
SONGS_AT_ONCE = 64
JUDGED = 2000  # R@k is measured on so many of the newest held-out choices
DEPTH = 10
# R@10 may fall by this much. People can choose only songs that the old model ranked high, so the old R@10 is near 1 and
# that of a better model can be lower. A greater loss is a sign of a failed training.
LOST = 0.2


@dataclass(frozen=True)
class ShownList:
    """A list as it was shown.

    photos            rows of its photos
    songs             rows of its songs, best first
    ranks, scores     rank and relevance of each song
    chosen            index in ``songs`` of the chosen one
    """

    photos: Sequence[int]
    songs: Sequence[int]
    ranks: Sequence[int]
    scores: Sequence[float]
    chosen: int | None = None


@dataclass(frozen=True)
class ChoiceExamples:
    """``lists``: oldest first. ``inputs``: the tagger's, of all photos. ``songs``: as ``encode_songs`` returns them."""

    lists: Sequence[ShownList]
    inputs: TaggerOutput
    songs: Encoded


@dataclass(frozen=True)
class ChoicesConfig:
    test_share: float = 0.2
    epochs: int = 3
    lists_at_once: int = 16
    photo_rate: float = 1e-4
    rate: float = 3e-4  # of the rest of the matcher
    most: float = MOST  # greatest weight of a choice; 1: no correction for the rank
    seed: int = 0


@dataclass(frozen=True)
class ChoicesResult:
    """The new network, and its comparison with the old one on the held-out lists."""

    network: Network
    examination: Examination
    learned: int  # choices
    held_out: int  # choices
    figures: dict[str, dict[str, float]]  # R@1, R@5, R@10, Med r, MRR of "old" and "new"
    rates: dict[str, Estimate]  # estimated choose rate of "shown", "old" and "new"
    lead: Estimate  # new choose rate minus old one
    depth_lead: Estimate  # new R@10 minus old one

    @property
    def why_not(self) -> str:
        """Why the new network is not better; empty if it is: a higher choose rate, and no great loss of R@10."""
        if self.lead.low <= 0:
            return "the estimated choose rate is not higher beyond chance"
        if self.depth_lead.high < -LOST:
            return f"R@{DEPTH} fell by more than {LOST}"
        return ""

    @property
    def better(self) -> bool:
        return not self.why_not


@torch.no_grad()
def encode_songs(network: Network, lyrics: Sequence[Lyric]) -> Encoded:
    """Encode songs, a few at a time, without the lines after the first ``LONGEST``."""
    network.eval()
    none = network.reference[:0]
    parts = [Encoded(none, [], none)]
    parts += [network.lyrics([first_lines(lyric, LONGEST) for lyric in part]) for part in _parts(lyrics, SONGS_AT_ONCE)]
    states, lines, pooled = zip(*parts, strict=True)
    return Encoded(torch.cat(states), [count for part in lines for count in part], torch.cat(pooled))


def train_and_compare(network: Network, examples: ChoiceExamples, config: ChoicesConfig) -> ChoicesResult:
    """Train a copy of ``network``, and compare the two. Both sides of the split must have choices."""
    learned, held_out = split_lists(examples.lists, config.test_share)
    examination = fit_examination(click_log(examples.lists))
    new = copy.deepcopy(network)
    fit_matcher(new, examples, [shown for shown in learned if shown.chosen is not None], examination, config)
    new.eval()
    with torch.no_grad():
        photos = list_vectors(new, examples.inputs, learned)
    set_photo_statistics(new, photos, draw_reference(new, len(photos), config.seed).to(photos.device))
    return _compare(network, new, examples, learned, held_out, examination)


def split_lists(lists: Sequence[ShownList], share: float) -> tuple[Sequence[ShownList], Sequence[ShownList]]:
    """Return the training lists and the held-out ones: the newest, with this share of the choices."""
    chosen = [place for place, shown in enumerate(lists) if shown.chosen is not None]
    first = chosen[len(chosen) - round(share * len(chosen))] if round(share * len(chosen)) else len(lists)
    return lists[:first], lists[first:]


def click_log(lists: Sequence[ShownList]) -> ClickLog:
    """Return the lists as arrays."""
    longest = max((len(shown.songs) for shown in lists), default=0)
    ranks = np.zeros((len(lists), longest), np.int64)
    scores, chosen = np.zeros(ranks.shape), np.zeros_like(ranks, bool)
    for row, shown in enumerate(lists):
        ranks[row, : len(shown.ranks)] = shown.ranks
        scores[row, : len(shown.scores)] = shown.scores
        if shown.chosen is not None:
            chosen[row, shown.chosen] = True
    return ClickLog(ranks, scores, chosen)


# Training


def fit_matcher(
    network: Network,
    examples: ChoiceExamples,
    choices: Sequence[ShownList],
    examination: Examination,
    config: ChoicesConfig,
) -> None:
    """Train the matcher in place on ``choices``, the lists from which a song was chosen."""
    groups: list[dict[str, Any]] = [
        {"params": list(part.parameters()), "lr": config.photo_rate if name == "photo" else config.rate}
        for name, part in network.matcher.named_children()
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-3)
    steps = config.epochs * -(-len(choices) // config.lists_at_once)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [g["lr"] for g in groups], total_steps=steps + 1)
    torch.manual_seed(config.seed)
    network.eval()
    network.matcher.train()
    for _ in range(config.epochs):
        for rows in torch.randperm(len(choices)).split(config.lists_at_once):
            batch = [choices[row] for row in rows.tolist()]
            optimizer_step(choice_loss(network, examples, batch, examination, config.most), optimizer, limit=1.0)
            schedule.step()


def choice_loss(
    network: Network,
    examples: ChoiceExamples,
    batch: Sequence[ShownList],
    examination: Examination,
    most: float,
) -> Tensor:
    """Return the loss of stage two plus half of that of stage one.

    Each is a weighted cross-entropy over the songs of each list, plus the contrastive loss over the
    batch's chosen songs.
    """
    device = examples.songs.pooled.device
    shown = click_log(batch)
    there = torch.from_numpy(shown.ranks > 0).to(device)
    own = torch.from_numpy(shown.chosen.argmax(1)).to(device)
    weights = torch.from_numpy(examination.weights(shown.ranks[shown.chosen], most)).float().to(device)
    used, column = torch.tensor([row for one in batch for row in one.songs]).unique(return_inverse=True)
    columns = torch.zeros(there.shape, dtype=torch.long, device=device)
    columns[there] = column.to(device)
    chosen = columns.gather(1, own[:, None]).squeeze(1)
    together = chosen[:, None] == chosen[None]
    photos = list_vectors(network, examples.inputs, batch)
    songs = examples.songs.select(used.tolist())
    full = network.relevance(photos, songs.states, songs.lines)
    first = network.stage_one(photos, songs.pooled)
    losses = []
    for scores in (full, first):
        listed = without_means(scores).gather(1, columns).masked_fill(~there, -torch.inf)
        among = nn.functional.cross_entropy(listed, own, reduction="none")
        losses.append((weights * among).sum() / weights.sum() + contrastive_loss(scores[:, chosen], together, weights))
    return losses[0] + 0.5 * losses[1]


def list_vectors(network: Network, inputs: TaggerOutput, lists: Sequence[ShownList]) -> Tensor:
    """Return the mean v of the photos of each list, (N, D)."""
    rows = [row for shown in lists for row in shown.photos]
    each = network.embed_photos(inputs.logits[rows], inputs.features[rows])
    return torch.stack([part.mean(0) for part in each.split([len(shown.photos) for shown in lists])])


# Evaluation


@torch.no_grad()
def _compare(
    old: Network,
    new: Network,
    examples: ChoiceExamples,
    learned: Sequence[ShownList],
    held_out: Sequence[ShownList],
    examination: Examination,
) -> ChoicesResult:
    shown = click_log(held_out)
    rows = sorted({row for one in held_out for row in one.songs})  # the catalogue of R@k
    column = {row: place for place, row in enumerate(rows)}
    columns = np.zeros_like(shown.ranks)
    columns[shown.ranks > 0] = [column[row] for one in held_out for row in one.songs]
    chosen = np.flatnonzero(shown.chosen.any(1))[-JUDGED:]
    partner = columns[chosen, shown.chosen[chosen].argmax(1)]
    figures, hits = {}, {}
    orders = {"shown": shown.ranks}
    for name, network in (("old", old), ("new", new)):
        scores = relevances(network, list_vectors(network, examples.inputs, held_out), examples.songs, rows)
        orders[name] = reordered(np.take_along_axis(scores, columns, 1), shown.ranks)
        figures[name] = pair_figures(scores[chosen], partner)
        own = np.take_along_axis(scores[chosen], partner[:, None], 1)
        hits[name] = ((scores[chosen] >= own).sum(1) <= DEPTH).astype(np.float64)
    rates, leads = estimate_rates(shown, orders, examination, beside="old")
    return ChoicesResult(
        network=new,
        examination=examination,
        learned=sum(one.chosen is not None for one in learned),
        held_out=int(shown.chosen.any(1).sum()),
        figures=figures,
        rates=rates,
        lead=leads["new"],
        depth_lead=difference(hits["old"], hits["new"]),
    )


@torch.no_grad()
def relevances(network: Network, photos: Tensor, songs: Encoded, rows: Sequence[int]) -> Array:
    """Return the relevance (P, S) of the songs of ``rows``, each song's mean over the reference photos subtracted."""
    parts = []
    for some in _parts(rows, SONGS_AT_ONCE):
        part = songs.select(some)
        scores, means = all_relevances(network, photos, part), all_relevances(network, network.reference, part).mean(0)
        parts.append((scores - means).double().cpu().numpy())
    return np.concatenate(parts, 1)


def _parts(items: Sequence[Any], size: int) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def choices_card(model: Image2Song, result: ChoicesResult, config: ChoicesConfig, name: str) -> dict[str, Any]:
    figures = result.figures["new"] | {"choose rate": result.rates["new"].value}
    training = {
        "choices": result.learned,
        "held_out": result.held_out,
        "eta": round(result.examination.eta, 3),
        "epochs": config.epochs,
        "seed": config.seed,
    }
    labelled = {f"choices: {key}": value for key, value in figures.items()}
    return derived_card(model, name=name, training=training, figures=labelled)
