r"""Train on (image, song) pairs, the paper's way for those who have them; then write the release.

    python -m recommender train matcher --pairs pairs.jsonl --out DIR

A release that is there already is where it starts. Its tagger stays as it is; lyric encoder, photo encoder, tag
attention and relevance learn to tell which songs and images of a batch belong together. Pairs of a held-out share of
the songs say after each epoch how well that goes, and the best epoch becomes the release. The same command goes on
after the last epoch that was finished. ``--pairs`` as in ``recommender.pairs``.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, distributed, nn

from ..evaluate.judged import TaggerOutput
from ..evaluate.retrieval import retrieval
from ..images import batch
from ..inputs import InputError
from ..lyrics import Lyric, parse_lyric
from ..model import Image2Song
from ..network import Network
from ..pairs import Pair, distinct, encodable, image_batches, open_images, read_pairs
from ..release import load_release, save_release
from ..results import EncodedLyric
from .confidence import set_song_statistics
from .development import without_means
from .distributed import broadcast_weights, join_process_group, optimizer_step, rank, rank_indices, world_size
from .records import TrainingLog

CHOSEN_BY = "image2song MRR"


@dataclass
class PairsConfig:
    pairs: Path
    out: Path
    release: str | None = None  # to start from
    releases: Path | None = None
    name: str = "pairs"
    epochs: int = 10
    pairs_at_once: int = 32
    longest: int = 100  # lines of a song in training
    encoder_rate: float = 1e-4  # of lyrics and photos
    rate: float = 3e-4  # of what joins them
    held_out: float = 0.1  # share of the songs, where the pairs name no split
    seed: int = 0
    device: str = "cpu"


def main(arguments: list[str]) -> int:
    """Raises InputError and ReleaseError."""
    parser = argparse.ArgumentParser(
        prog="python -m recommender train matcher",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=Path, required=True, help="JSON Lines file, or folder as Shuttersong's")
    parser.add_argument("--out", type=Path, required=True, help="folder for the release, the figures, the checkpoint")
    parser.add_argument("--release", help="name of the release to start from (default: the one that ships)")
    parser.add_argument("--releases", type=Path, help="folder with releases (default: those that ship)")
    parser.add_argument("--name", default=PairsConfig.name, help="name of the new release")
    for name in ("epochs", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(PairsConfig, name))
    parser.add_argument("--held-out", type=float, default=PairsConfig.held_out, help="share of the songs, 0 to 1")
    parser.add_argument("--device", default=PairsConfig.device, help="cpu, cuda or auto")
    config = PairsConfig(**vars(parser.parse_args(arguments)))
    if config.epochs < 1:
        parser.error("--epochs: at least 1")
    if not 0 <= config.held_out < 1:
        parser.error("--held-out: at least 0, below 1")
    train(config)
    return 0


def train(config: PairsConfig) -> None:
    """Raises InputError and ReleaseError."""
    device = join_process_group(config.device)
    model = load_release(config.release, folder=config.releases, device=str(device))
    examples = prepare_pair_examples(model, config)
    config.out.mkdir(parents=True, exist_ok=True)
    log = TrainingLog(config.out / "pairs.csv")
    training = PairsTraining(model, examples, config)
    if not training.resume():
        if examples.held_out and rank() == 0:
            log.write("pairs", 0, retrieval_figures(model, examples.held_out))
        center_network(model.network, examples)
    broadcast_weights(model.network)
    while training.epoch < config.epochs:
        loss = training.train_epoch()
        center_network(model.network, examples)
        if rank() == 0:
            figures = {"loss": loss} | (retrieval_figures(model, examples.held_out) if examples.held_out else {})
            log.write("pairs", training.epoch, figures)
            training.save(figures)
    if rank() == 0:
        best = training.best
        model.network.load_state_dict(best["network"])
        set_song_statistics(model.network, examples.songs)
        save_release(model.network, pairs_card(model, examples, best, config), config.out)
        log.plot()


# What is known before training


@dataclass
class HeldOutPairs:
    inputs: TaggerOutput
    songs: list[str]
    together: NDArray[np.bool_]  # (P, songs)


@dataclass
class PairExamples:
    """Images and songs to learn from, each once; ``rows``: of both, for each pair, (N, 2)."""

    inputs: TaggerOutput
    songs: list[Lyric]
    rows: Tensor
    weights: Tensor  # (N,)
    reference: Tensor  # (R,) rows of images over which a song's mean is taken
    held_out: HeldOutPairs | None
    digest: str  # of all that must not change before training goes on

    @property
    def keys(self) -> Tensor:
        """One number for each pair, (N,)."""
        return self.key(*self.rows.T)

    def key(self, image: Tensor, song: Tensor) -> Tensor:
        return image * len(self.songs) + song


def prepare_pair_examples(model: Image2Song, config: PairsConfig) -> PairExamples:
    every = read_pairs(config.pairs)
    pairs = encodable(model, every)
    learned, checked = split_pairs(pairs, config.held_out)
    found = distinct(learned)
    if len(found.lyrics) < 2:
        raise InputError(
            f"{config.pairs}: {len(learned)} pairs of {len(found.lyrics)} songs to train on; at least two pairs of two "
            "songs are needed: add pairs, or hold fewer of them out"
        )
    device = model.device
    inputs = photo_inputs(model, found.images)
    torch.manual_seed(config.seed)
    count = len(model.network.reference)
    drawn = torch.multinomial(torch.ones(len(found.images)), count, replacement=len(found.images) < count)
    return PairExamples(
        inputs=inputs,
        songs=[first_lines(parse_lyric(text), config.longest) for text in found.lyrics],
        rows=torch.from_numpy(found.rows).to(device),
        weights=torch.tensor([pair.weight for pair in learned], device=device),
        reference=drawn.to(device),
        held_out=held_out_pairs(model, checked),
        digest=digest(model, every, config),
    )


def split_pairs(pairs: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """What is learned from, and what the epochs are judged by. No song is in both.

    Songs that are named dev or test are held out; where none is, a share of those that are not named train, by a hash
    of their lyrics. Pairs named test do not judge the epochs where there are others.
    """
    held = {pair.lyrics for pair in pairs if pair.split in ("dev", "test")}
    if not held:
        named = {pair.lyrics for pair in pairs if pair.split == "train"}
        held = {pair.lyrics for pair in pairs if pair.lyrics not in named and _place(pair.lyrics) < share}
    learned = [pair for pair in pairs if pair.lyrics not in held]
    unseen = [pair for pair in pairs if pair.lyrics in held]
    return learned, [pair for pair in unseen if pair.split != "test"] or unseen


def _place(lyrics: str) -> float:
    """From 0 to 1, the same in every run."""
    return int(hashlib.sha256(lyrics.encode(errors="surrogatepass")).hexdigest()[:8], 16) / 16**8


@torch.no_grad()
def photo_inputs(model: Image2Song, images: Sequence[Path]) -> TaggerOutput:
    """Several processes share the work: each fills in the rows of its images, and the sum has them all."""
    tagger = model.network.tagger
    logits = torch.zeros(len(images), len(model.tags), device=model.device)
    features = torch.zeros(len(images), tagger.classifier.in_channels, device=model.device)
    rows = range(rank(), len(images), world_size())
    parts = list(image_batches([images[row] for row in rows]))
    at = 0
    for part in track(parts, "images", disable=rank() > 0):
        seen = tagger(batch(open_images(part), model.preprocessing).to(model.device))
        own = list(rows[at : at + len(part)])
        logits[own], features[own] = seen.logits, seen.features
        at += len(part)
    if distributed.is_initialized():
        distributed.all_reduce(logits)
        distributed.all_reduce(features)
    return TaggerOutput(logits, features)


def first_lines(lyric: Lyric, lines: int) -> Lyric:
    return Lyric(lyric.lines[:lines], lyric.offsets[:lines])


def held_out_pairs(model: Image2Song, pairs: Sequence[Pair]) -> HeldOutPairs | None:
    if not pairs:
        return None
    found = distinct(pairs)
    return HeldOutPairs(photo_inputs(model, found.images), found.lyrics, found.together)


def digest(model: Image2Song, pairs: Sequence[Pair], config: PairsConfig) -> str:
    rows = [(pair.image.name, pair.lyrics, pair.weight, pair.split) for pair in pairs]
    return hashlib.sha256(json.dumps([model.sha256, config.seed, config.held_out, rows]).encode()).hexdigest()


# Learning


class PairsTraining:
    """Weights, optimizer and the best epoch so far; after each epoch, all of it is in ``pairs.pt``."""

    def __init__(self, model: Image2Song, examples: PairExamples, config: PairsConfig) -> None:
        self.network, self.examples, self.config = model.network, examples, config
        self.path = config.out / "pairs.pt"
        self.epoch = 0
        self.best: dict[str, Any] = {}
        # Word vectors that these songs do not use must not decay.
        groups = [
            {"params": list(self.network.lyrics.parameters()), "lr": config.encoder_rate, "weight_decay": 0.0},
            *(
                {"params": list(part.parameters()), "lr": config.encoder_rate if name == "photo" else config.rate}
                for name, part in self.network.matcher.named_children()
            ),
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=1e-3)
        self.mine = rank_indices(len(examples.rows))
        self.steps = -(-len(self.mine) // config.pairs_at_once)
        self.schedule = self._schedule()

    def _schedule(self) -> torch.optim.lr_scheduler.OneCycleLR:
        """It follows from the number of steps done, so that a checkpoint also fits another number of epochs."""
        return torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            [group["lr"] for group in self.optimizer.param_groups],
            total_steps=self.config.epochs * self.steps + 1,
            last_epoch=self.epoch * self.steps - 1,
        )

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one. Raises InputError where it is of another training."""
        if not self.path.exists():
            return False
        saved = torch.load(self.path, weights_only=True, map_location=self.examples.rows.device)
        if saved["digest"] != self.examples.digest:
            raise InputError(
                f"{self.path} is of a training with other pairs, seed, held-out share or starting release; "
                "remove it, or choose another --out"
            )
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.epoch, self.best = saved["epoch"], saved["best"]
        if self.epoch < self.config.epochs:
            self.schedule = self._schedule()
        return True

    def train_epoch(self) -> float:
        """One epoch; its mean loss."""
        self.epoch += 1
        config, examples = self.config, self.examples
        draw = 1000 * config.seed + self.epoch
        order = torch.randperm(len(examples.rows), generator=torch.Generator().manual_seed(draw))
        mine = order[self.mine]
        torch.manual_seed(1000 * draw + rank())  # dropout, the same where training goes on
        self.network.train()
        self.network.tagger.eval()
        total = 0.0
        parts = mine.to(examples.rows.device).tensor_split(self.steps)
        for chosen in track(parts, f"epoch {self.epoch}/{config.epochs}", disable=rank() > 0):
            loss = pair_loss(self.network, examples, chosen)
            optimizer_step(loss, self.optimizer, limit=1.0)
            self.schedule.step()
            total += loss.item()
        return total / len(parts)

    def save(self, figures: dict[str, float]) -> None:
        """Without held-out pairs the last epoch is the best."""
        state = self.network.state_dict()
        if not self.best or CHOSEN_BY not in figures or figures[CHOSEN_BY] > self.best["figures"][CHOSEN_BY]:
            kept = {key: value.cpu().clone() for key, value in state.items()}
            self.best = {"epoch": self.epoch, "figures": figures, "network": kept}
        saved = {"digest": self.examples.digest, "epoch": self.epoch, "best": self.best, "network": state}
        written = self.path.with_suffix(".part")
        torch.save(saved | {"optimizer": self.optimizer.state_dict()}, written)
        written.replace(self.path)  # whole or not at all


def pair_loss(network: Network, examples: PairExamples, chosen: Tensor) -> Tensor:
    """Of a batch of B pairs, by their rows (B,): the full relevance, and half as much stage one."""
    image, song = examples.rows[chosen].T
    together = torch.isin(examples.key(image[:, None], song[None]), examples.keys)  # (B, B)
    songs, column = song.unique(return_inverse=True)
    encoded = network.lyrics([examples.songs[row] for row in songs.tolist()])
    photos = network.embed_photos(examples.inputs.logits[image], examples.inputs.features[image])
    scores = network.relevance(photos, encoded.states, encoded.lines)[:, column]
    first = network.stage_one(photos, encoded.pooled)[:, column]
    weights = examples.weights[chosen]
    return contrastive_loss(scores, together, weights) + 0.5 * contrastive_loss(first, together, weights)


def contrastive_loss(scores: Tensor, together: Tensor, weights: Tensor) -> Tensor:
    """InfoNCE in both directions; scores (B, B) with a pair's own on the diagonal, weights (B,) of the pairs.

    ``together`` (B, B): the image and the song of two pairs belong together as well, so they are no negatives of each
    other. Means are removed as they are when songs are ranked.
    """
    own = torch.arange(len(scores), device=scores.device)
    others = together & (own[:, None] != own[None])
    losses = [
        nn.functional.cross_entropy(without_means(part).masked_fill(others_here, -torch.inf), own, reduction="none")
        for part, others_here in ((scores, others), (scores.T, others.T))
    ]
    return (weights * torch.stack(losses).mean(0)).sum() / weights.sum()


@torch.no_grad()
def center_network(network: Network, examples: PairExamples) -> None:
    """Means are taken over the images that are learned from."""
    network.eval()
    photos = network.embed_photos(examples.inputs.logits, examples.inputs.features)
    network.matcher.photo_mean.copy_(photos.mean(0))
    network.reference.copy_(photos[examples.reference])


@torch.inference_mode()
def retrieval_figures(model: Image2Song, pairs: HeldOutPairs) -> dict[str, float]:
    """Like "image2song R@1"."""
    model.network.eval()
    photos = np.stack(pairs.inputs.vectors(model))
    songs = [song for song in model.encode(pairs.songs) if isinstance(song, EncodedLyric)]
    found = retrieval(model, photos, songs, pairs.together)
    return {f"{way} {name}": value for way, figures in found.items() for name, value in figures.items()}


def pairs_card(model: Image2Song, examples: PairExamples, best: dict[str, Any], config: PairsConfig) -> dict[str, Any]:
    """The starting release's, but for what this training changed."""
    started = copy.deepcopy(model.card)
    training = {
        **started.get("training", {}),
        "started_from": {"name": model.name, "sha256": model.sha256},
        "pairs": len(examples.rows),
        "epoch": best["epoch"],
        "seed": config.seed,
    }
    figures = {f"pairs: {name}": round(value, 5) for name, value in best["figures"].items()}
    return {**started, "name": config.name, "training": training, "figures": figures}
