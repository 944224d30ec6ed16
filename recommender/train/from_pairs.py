r"""Train the matcher and the lyric encoder on (image, song) pairs, as the paper does; then write the release.

    python -m recommender train matcher --pairs pairs.jsonl --out DIR

Training starts from a release. Its tagger stays fixed; lyric encoder, photo encoder, tag attention and relevance learn
which songs and images of a batch belong together (InfoNCE). After each epoch the model is evaluated on the pairs of
held-out songs, and the best epoch becomes the release. Run again, the command resumes after the last
finished epoch. ``--pairs`` is in one of the formats that ``recommender.pairs`` reads.
"""

from __future__ import annotations

import argparse
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
from .cards import derived_card
from .development import without_means
from .distributed import broadcast_weights, join_process_group, optimizer_step, rank, rank_indices, world_size
from .network_statistics import draw_reference, set_photo_statistics, set_song_statistics
from .records import TrainingLog, save_checkpoint

CHOSEN_BY = "image2song MRR"


@dataclass
class PairsConfig:
    pairs: Path
    out: Path
    release: str | None = None  # that training starts from
    releases: Path | None = None
    name: str = "pairs"
    epochs: int = 10
    pairs_at_once: int = 32
    longest: int = 100  # lines of a song in training
    encoder_rate: float = 1e-4  # of lyric encoder and photo encoder
    rate: float = 3e-4  # of the rest of the matcher
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
        update_photo_statistics(model.network, examples)
    broadcast_weights(model.network)
    while training.epoch < config.epochs:
        loss = training.train_epoch()
        update_photo_statistics(model.network, examples)
        if rank() == 0:
            figures = {"loss": loss} | (retrieval_figures(model, examples.held_out) if examples.held_out else {})
            log.write("pairs", training.epoch, figures)
            training.save(figures)
    if rank() == 0:
        best = training.best
        model.network.load_state_dict(best["network"])
        set_song_statistics(model.network, examples.songs)
        card = derived_card(
            model,
            name=config.name,
            training={"pairs": len(examples.rows), "epoch": best["epoch"], "seed": config.seed},
            figures={f"pairs: {name}": value for name, value in best["figures"].items()},
        )
        save_release(model.network, card, config.out)
        log.plot()


# Examples


@dataclass
class HeldOutPairs:
    inputs: TaggerOutput
    songs: list[str]
    together: NDArray[np.bool_]  # (P, songs)


@dataclass
class PairExamples:
    """The distinct images and songs of the training pairs; ``rows`` (N, 2): the image and the song of each pair."""

    inputs: TaggerOutput
    songs: list[Lyric]
    rows: Tensor
    weights: Tensor  # (N,)
    reference: Tensor  # (R,) rows of the reference images, for the songs' mean scores
    held_out: HeldOutPairs | None
    digest: str  # of all that must be the same when a training is resumed

    @property
    def keys(self) -> Tensor:
        """Return one number for each pair, (N,)."""
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
    return PairExamples(
        inputs=inputs,
        songs=[first_lines(parse_lyric(text), config.longest) for text in found.lyrics],
        rows=torch.from_numpy(found.rows).to(device),
        weights=torch.tensor([pair.weight for pair in learned], device=device),
        reference=draw_reference(model.network, len(found.images), config.seed).to(device),
        held_out=held_out_pairs(model, checked),
        digest=digest(model, every, config),
    )


def split_pairs(pairs: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """Return the training pairs and the held-out pairs; no song is in both.

    Songs with the split dev or test are held out. If there are none, a share of the songs without the split train is,
    by a hash of their lyrics. Held-out pairs with the split test are used only if there are no others.
    """
    held = {pair.lyrics for pair in pairs if pair.split in ("dev", "test")}
    if not held:
        named = {pair.lyrics for pair in pairs if pair.split == "train"}
        held = {pair.lyrics for pair in pairs if pair.lyrics not in named and _hash_fraction(pair.lyrics) < share}
    learned = [pair for pair in pairs if pair.lyrics not in held]
    unseen = [pair for pair in pairs if pair.lyrics in held]
    return learned, [pair for pair in unseen if pair.split != "test"] or unseen


def _hash_fraction(lyrics: str) -> float:
    """Return a hash of the lyrics as a number from 0 to 1."""
    return int(hashlib.sha256(lyrics.encode(errors="surrogatepass")).hexdigest()[:8], 16) / 16**8


@torch.no_grad()
def photo_inputs(model: Image2Song, images: Sequence[Path]) -> TaggerOutput:
    """Run the tagger on images. Each rank fills in some of the rows; all return the sum."""
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
    held_out = distinct(pairs)
    return HeldOutPairs(photo_inputs(model, held_out.images), held_out.lyrics, held_out.together)


def digest(model: Image2Song, pairs: Sequence[Pair], config: PairsConfig) -> str:
    rows = [(pair.image.name, pair.lyrics, pair.weight, pair.split) for pair in pairs]
    return hashlib.sha256(json.dumps([model.sha256, config.seed, config.held_out, rows]).encode()).hexdigest()


# Training


class PairsTraining:
    """Weights, optimizer and the best epoch so far; ``pairs.pt`` holds them after each epoch."""

    def __init__(self, model: Image2Song, examples: PairExamples, config: PairsConfig) -> None:
        self.network, self.examples, self.config = model.network, examples, config
        self.path = config.out / "pairs.pt"
        self.epoch = 0
        self.best: dict[str, Any] = {}
        # No weight decay: it would shrink the vectors of words that these songs do not use.
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
        """Make the schedule from the number of steps done, so that a checkpoint also fits another number of epochs."""
        return torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            [group["lr"] for group in self.optimizer.param_groups],
            total_steps=self.config.epochs * self.steps + 1,
            last_epoch=self.epoch * self.steps - 1,
        )

    def resume(self) -> bool:
        """Load the checkpoint; return whether there was one. Raises InputError when it is of another training."""
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
        """Train one epoch and return its mean loss."""
        self.epoch += 1
        config, examples = self.config, self.examples
        draw = 1000 * config.seed + self.epoch
        order = torch.randperm(len(examples.rows), generator=torch.Generator().manual_seed(draw))
        mine = order[self.mine]
        torch.manual_seed(1000 * draw + rank())  # dropout is the same after a resume
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
        """Save the state, and the epoch as the best one if it is; without held-out pairs the last epoch is the best."""
        state = self.network.state_dict()
        if not self.best or CHOSEN_BY not in figures or figures[CHOSEN_BY] > self.best["figures"][CHOSEN_BY]:
            kept = {key: value.cpu().clone() for key, value in state.items()}
            self.best = {"epoch": self.epoch, "figures": figures, "network": kept}
        saved = {"digest": self.examples.digest, "epoch": self.epoch, "best": self.best, "network": state}
        save_checkpoint(saved | {"optimizer": self.optimizer.state_dict()}, self.path)


def pair_loss(network: Network, examples: PairExamples, chosen: Tensor) -> Tensor:
    """Return the contrastive loss of B pairs, ``chosen`` (B,): of stage two, and half of that of stage one."""
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
    """Return the InfoNCE loss in both directions.

    scores (B, B)      of images and songs, those of a pair on the diagonal
    together (B, B)    which images and songs belong together: they are no negatives of each other
    weights (B,)       of the pairs

    Means are subtracted, as when songs are ranked.
    """
    own = torch.arange(len(scores), device=scores.device)
    others = together & (own[:, None] != own[None])
    losses = [
        nn.functional.cross_entropy(without_means(part).masked_fill(others_here, -torch.inf), own, reduction="none")
        for part, others_here in ((scores, others), (scores.T, others.T))
    ]
    return (weights * torch.stack(losses).mean(0)).sum() / weights.sum()


@torch.no_grad()
def update_photo_statistics(network: Network, examples: PairExamples) -> None:
    network.eval()
    photos = network.embed_photos(examples.inputs.logits, examples.inputs.features)
    set_photo_statistics(network, photos, examples.reference)


@torch.inference_mode()
def retrieval_figures(model: Image2Song, pairs: HeldOutPairs) -> dict[str, float]:
    """Return the retrieval figures of held-out pairs, with names such as "image2song R@1"."""
    model.network.eval()
    photos = np.stack(pairs.inputs.vectors(model))
    songs = [song for song in model.encode(pairs.songs) if isinstance(song, EncodedLyric)]
    figures_by_direction = retrieval(model, photos, songs, pairs.together)
    return {f"{way} {name}": value for way, figures in figures_by_direction.items() for name, value in figures.items()}
