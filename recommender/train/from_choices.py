"""Learn from what people chose in the lists that they were shown; then say whether it made a better model.

The tagger and the lyric encoder stay as they are: songs are read once, and only the matcher learns (photo encoder, tag
attention, relevance, stage one). Of each list, the chosen song is to stand above the others that were shown with it,
and above the songs that were chosen for other photos of the batch. A choice far down the list counts more, by how
seldom people look there (Joachims et al. 2017; as the weight of a listwise loss, Ai et al., "Unbiased learning to rank
with unbiased propensity estimation", SIGIR 2018). The newest lists are held out; they say whether the new model is
better.
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
from .development import all_relevances, without_means
from .distributed import optimizer_step
from .from_pairs import contrastive_loss, first_lines

Array = NDArray[np.float64]
LONGEST = 100  # lines of a song
SONGS_AT_ONCE = 64
JUDGED = 2000  # held-out choices, the newest, that R@k is taken over
DEPTH = 10
# Of R@10. What was chosen had stood among the old model's first songs, or it could not have been chosen: the old R@10
# is near 1 for that reason alone, and a better model's can be lower. A greater loss than this says that it went wrong.
LOST = 0.2


@dataclass(frozen=True)
class ShownList:
    """A list as it was shown: rows of its photos and of its songs, the best first, the songs' ranks and relevances, and
    the place in ``songs`` of the one that was chosen."""

    photos: Sequence[int]
    songs: Sequence[int]
    ranks: Sequence[int]
    scores: Sequence[float]
    chosen: int | None = None


@dataclass(frozen=True)
class ChoiceExamples:
    """``lists``: the oldest first. ``looks``: at P photos. ``songs``: as ``read_songs`` returns them."""

    lists: Sequence[ShownList]
    inputs: TaggerOutput
    songs: Encoded


@dataclass(frozen=True)
class ChoicesConfig:
    test_share: float = 0.2
    epochs: int = 3
    lists_at_once: int = 16
    photo_rate: float = 1e-4
    rate: float = 3e-4  # of what joins photos and lyrics
    most: float = MOST  # a choice counts for so many at most; 1: all alike, wherever they were shown
    seed: int = 0


@dataclass(frozen=True)
class ChoicesResult:
    """The new network; what it learned from and what the held-out lists say of the old one and of it."""

    network: Network
    examination: Examination
    learned: int  # choices
    held_out: int  # choices
    figures: dict[str, dict[str, float]]  # R@1, R@5, R@10, Med r, MRR of "old" and "new"
    rates: dict[str, Estimate]  # estimated choose rate of "shown", "old" and "new"
    lead: Estimate  # of the new choose rate over the old one
    depth_lead: Estimate  # of R@10

    @property
    def why_not(self) -> str:
        """What speaks against the new one; empty where it is better: more would be chosen, beyond what chance explains,
        and what was chosen is still found."""
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
    """Line states and l0, a few songs at a time."""
    network.eval()
    none = network.reference[:0]
    parts = [Encoded(none, [], none)]
    parts += [network.lyrics([first_lines(lyric, LONGEST) for lyric in part]) for part in _parts(lyrics, SONGS_AT_ONCE)]
    states, lines, pooled = zip(*parts, strict=True)
    return Encoded(torch.cat(states), [count for part in lines for count in part], torch.cat(pooled))


def train_and_compare(network: Network, examples: ChoiceExamples, config: ChoicesConfig) -> ChoicesResult:
    """``network`` stays as it is. There must be choices on both sides of the split."""
    learned, held_out = split_lists(examples.lists, config.test_share)
    examination = fit_examination(click_log(examples.lists))
    new = copy.deepcopy(network)
    fit_matcher(new, examples, [shown for shown in learned if shown.chosen is not None], examination, config)
    center_network(new, examples, learned, config.seed)
    new.eval()
    return _compare(network, new, examples, learned, held_out, examination)


def split_lists(lists: Sequence[ShownList], share: float) -> tuple[Sequence[ShownList], Sequence[ShownList]]:
    """The newest lists, with so large a share of the choices, are held out."""
    chosen = [place for place, shown in enumerate(lists) if shown.chosen is not None]
    first = chosen[len(chosen) - round(share * len(chosen))] if round(share * len(chosen)) else len(lists)
    return lists[:first], lists[first:]


def click_log(lists: Sequence[ShownList]) -> ClickLog:
    longest = max((len(shown.songs) for shown in lists), default=0)
    ranks = np.zeros((len(lists), longest), np.int64)
    scores, chosen = np.zeros(ranks.shape), np.zeros_like(ranks, bool)
    for row, shown in enumerate(lists):
        ranks[row, : len(shown.ranks)] = shown.ranks
        scores[row, : len(shown.scores)] = shown.scores
        if shown.chosen is not None:
            chosen[row, shown.chosen] = True
    return ClickLog(ranks, scores, chosen)


# Learning


def fit_matcher(
    network: Network,
    examples: ChoiceExamples,
    choices: Sequence[ShownList],
    examination: Examination,
    config: ChoicesConfig,
) -> None:
    """``choices``: the lists of which a song was chosen."""
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
    """Of the full relevance, and half as much of stage one: the list's songs, and the batch's chosen ones."""
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
    """v of each list's photos, (N, D): their mean where there are several."""
    rows = [row for shown in lists for row in shown.photos]
    each = network.embed_photos(inputs.logits[rows], inputs.features[rows])
    return torch.stack([part.mean(0) for part in each.split([len(shown.photos) for shown in lists])])


@torch.no_grad()
def center_network(network: Network, examples: ChoiceExamples, lists: Sequence[ShownList], seed: int) -> None:
    """Means are taken over the photos that were learned from."""
    network.eval()
    photos = list_vectors(network, examples.inputs, lists)
    count = len(network.reference)
    draw = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(torch.ones(len(photos)), count, replacement=len(photos) < count, generator=draw)
    network.matcher.photo_mean.copy_(photos.mean(0))
    network.reference.copy_(photos[drawn.to(photos.device)])


# Judging


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
    figures, found = {}, {}
    orders = {"shown": shown.ranks}
    for name, network in (("old", old), ("new", new)):
        scores = relevances(network, list_vectors(network, examples.inputs, held_out), examples.songs, rows)
        orders[name] = reordered(np.take_along_axis(scores, columns, 1), shown.ranks)
        figures[name] = pair_figures(scores[chosen], partner)
        own = np.take_along_axis(scores[chosen], partner[:, None], 1)
        found[name] = ((scores[chosen] >= own).sum(1) <= DEPTH).astype(np.float64)
    rates, leads = estimate_rates(shown, orders, examination, beside="old")
    return ChoicesResult(
        network=new,
        examination=examination,
        learned=sum(one.chosen is not None for one in learned),
        held_out=int(shown.chosen.any(1).sum()),
        figures=figures,
        rates=rates,
        lead=leads["new"],
        depth_lead=difference(found["old"], found["new"]),
    )


@torch.no_grad()
def relevances(network: Network, photos: Tensor, songs: Encoded, rows: Sequence[int]) -> Array:
    """(P, S) of some of the songs, each one's mean over the reference photos removed."""
    parts = []
    for some in _parts(rows, SONGS_AT_ONCE):
        part = songs.select(some)
        scores, means = all_relevances(network, photos, part), all_relevances(network, network.reference, part).mean(0)
        parts.append((scores - means).double().cpu().numpy())
    return np.concatenate(parts, 1)


def _parts(items: Sequence[Any], size: int) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def choices_card(model: Image2Song, learned: ChoicesResult, config: ChoicesConfig, name: str) -> dict[str, Any]:
    """The starting release's, but for what this training changed."""
    started = copy.deepcopy(model.card)
    training = {
        **started.get("training", {}),
        "started_from": {"name": model.name, "sha256": model.sha256},
        "choices": learned.learned,
        "held_out": learned.held_out,
        "eta": round(learned.examination.eta, 3),
        "epochs": config.epochs,
        "seed": config.seed,
    }
    figures = learned.figures["new"] | {"choose rate": learned.rates["new"].value}
    rounded = {f"choices: {key}": round(value, 5) for key, value in figures.items()}
    return {**started, "name": name, "training": training, "figures": rounded}
