r"""Train the lyric encoder, the photo's vector, the tag attention and the relevance; then write the release.

    python -m recommender train matcher --captions DIR --labels DIR --lyrics FILE ... --described FILE \
        --songs FILE --tagger DIR --out DIR

No (photo, song) pairs are needed: the teacher, a sentence encoder, scores how well the captions of a photo fit a song's
stanzas, or the captions of a described song, and the network learns these scores from the photo (weak supervision).
Training has three steps: distil the lyric encoder, distil the photo encoder, train both jointly. ``--songs`` are never
trained on: the development figures are measured on them. Run again, the command resumes after the last finished step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from ..backbones import BACKBONES
from ..evaluate.calibration import cross_fitted_error, fit_calibration
from ..evaluate.ranking_metrics import diagonal_recall
from ..lyrics import CELLS, LyricEncoder
from ..model import Image2Song
from ..network import Network
from ..release import save_release
from .cards import new_card
from .confidence import fit_confidence, fit_content
from .data import TagSpec, read_tags
from .development import development_figures, without_means
from .distributed import broadcast_weights, join_process_group, optimizer_step, rank, rank_indices, rank_zero_first
from .matcher_config import MatcherConfig
from .matcher_examples import MatcherExamples, photo_vectors, prepare_matcher_examples, word_vocabulary
from .network_statistics import set_song_statistics
from .records import TrainingLog, save_checkpoint
from .songs import (
    TrainingSong,
    teacher_relevance,
    teacher_relevance_scale,
)
from .teacher import Space, embed


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m recommender train matcher", description=__doc__)
    for name in ("captions", "labels", "described", "songs", "tagger", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--lyrics", type=Path, nargs="+", required=True, help="JSON Lines with `lyrics`")
    parser.add_argument(
        "--exclude", type=Path, nargs="*", default=[], help="folders of photos to leave out, with near-duplicates"
    )
    parser.add_argument("--name", default=MatcherConfig.name, help="name of the release")
    parser.add_argument(
        "--cell", choices=sorted(CELLS), default=MatcherConfig.cell, help="recurrent cell; none: bag of words"
    )
    parser.add_argument("--attention", action=argparse.BooleanOptionalAction, default=MatcherConfig.attention)
    parser.add_argument(
        "--backbone", choices=sorted(BACKBONES), default=MatcherConfig.backbone, help="the backbone of the tagger"
    )
    for name in ("lyric-epochs", "photo-epochs", "match-steps", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(MatcherConfig, name.replace("-", "_")))
    parser.add_argument("--device", default=MatcherConfig.device, help="cpu, cuda or auto")
    train(MatcherConfig(**vars(parser.parse_args(arguments))))
    return 0


def train(config: MatcherConfig) -> None:
    device = join_process_group(config.device)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    log = TrainingLog(config.out / "matcher.csv")
    tags = read_tags()
    with rank_zero_first():
        examples, space = prepare_matcher_examples(tags, config, device)
    network = Network(
        tags=len(tags),
        vocabulary=word_vocabulary(examples, config),
        references=config.references,
        architecture=config.architecture(),
    )
    network.tagger.load_state_dict(examples.tagger)
    with rank_zero_first():
        initialise_vectors(network, tags, space, config)
    network.to(device)
    steps: dict[str, Callable[[], None]] = {
        "lyrics": lambda: distil_lyrics(network.lyrics, examples, config, log),
        "photos": lambda: distil_photos(network, examples, config, log),
        "match": lambda: train_jointly(network, examples, config, log),
    }
    for name, learn in steps.items():
        done = config.out / f"{name}.pt"
        if done.exists():
            network.load_state_dict(torch.load(done, weights_only=True, map_location=device))
            continue
        broadcast_weights(network)
        torch.manual_seed(config.seed + rank())
        learn()
        if rank() == 0:
            save_checkpoint(network.state_dict(), done)

    if rank() == 0:
        save_release(network, complete_release(network, tags, examples, config, log), config.out)
        log.plot()


def initialise_vectors(network: Network, tags: Sequence[TagSpec], space: Space, config: MatcherConfig) -> None:
    """Start word and tag vectors as the teacher's, and fit the n-gram vectors to the words'."""
    words = network.lyrics.words
    known = list(words.index)
    targets = space.project(embed(known, config.out), space.lyrics)
    named = space.of_captions(embed([f"a photo of {tag.name}" for tag in tags], config.out))
    with torch.no_grad():
        words.known.weight.copy_(targets)
        network.matcher.photo.tag_vectors.weight.copy_(named)
        words.ngrams.weight.zero_()
    optimizer = torch.optim.AdamW(words.ngrams.parameters(), 3e-2)
    for _ in track(range(4), "spelling"):
        for chosen in torch.randperm(len(known)).split(512):
            loss = (
                nn.functional.mse_loss(words.spell([known[i] for i in chosen.tolist()]), targets[chosen]) * config.dim
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


# Distillation of the lyric encoder


def distil_lyrics(encoder: LyricEncoder, examples: MatcherExamples, config: MatcherConfig, log: TrainingLog) -> None:
    """Train line vectors towards the teacher's line targets, through a head that only training uses, and l0 towards the
    teacher's mean vector of the song."""
    songs = examples.songs
    literal = nn.Linear(encoder.to_state.in_features, config.dim).to(encoder.to_state.weight.device)
    broadcast_weights(literal)
    learned = [*encoder.parameters(), *literal.parameters()]
    epochs = config.lyric_epochs
    epochs_batches = [_by_length(songs, seed=1000 * config.seed + epoch) for epoch in range(epochs)]
    plan = [[batches[place] for place in rank_indices(len(batches))] for batches in epochs_batches]
    optimizer = torch.optim.AdamW(learned, 1e-3, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=sum(map(len, plan)) + 1)
    for epoch, batches in enumerate(plan):
        encoder.train()
        for batch in track(batches, f"lyrics {epoch + 1}/{epochs}"):
            lines, whole = _teacher_distances(encoder, literal, batch)
            optimizer_step(lines + config.whole_weight * whole, optimizer, limit=1.0)
            schedule.step()
        encoder.eval()
        with torch.inference_mode():
            lines, whole = _teacher_distances(encoder, literal, examples.development.unseen)
        log.write("lyrics", epoch + 1, {"line cosine": 1 - lines.item(), "song cosine": 1 - whole.item()})


def _by_length(songs: Sequence[TrainingSong], seed: int, words: int = 6000) -> list[list[TrainingSong]]:
    """Return batches of songs of similar length, about ``words`` words each, in random order."""
    draw = torch.Generator().manual_seed(seed)
    length = [sum(map(len, song.lyric.lines)) for song in songs]
    order = sorted(range(len(songs)), key=lambda row: length[row] * (0.8 + 0.4 * float(torch.rand(1, generator=draw))))
    batches: list[list[TrainingSong]] = [[]]
    room = words
    for row in order:
        if length[row] > room and batches[-1]:
            batches.append([])
            room = words
        batches[-1].append(songs[row])
        room -= length[row]
    return [batches[place] for place in torch.randperm(len(batches), generator=draw).tolist()]


def _teacher_distances(
    encoder: LyricEncoder, literal: nn.Linear, songs: Sequence[TrainingSong]
) -> tuple[Tensor, Tensor]:
    read, _ = encoder.line_vectors([song.lyric for song in songs])
    lines = 1 - nn.functional.cosine_similarity(literal(read), torch.cat([song.line_targets for song in songs]))
    encoded = encoder.pool(encoder.to_state(read), [len(song.lyric.lines) for song in songs])
    return lines.mean(), _song_distance(encoded.pooled, songs)


def _song_distance(pooled: Tensor, songs: Sequence[TrainingSong]) -> Tensor:
    """Return the mean cosine distance of l0 (N, D) from the teacher's mean vectors of the songs."""
    wholes = torch.stack([song.vectors.mean(0) for song in songs])
    return (1 - nn.functional.cosine_similarity(pooled, wholes)).mean()


# Distillation of the photo encoder


def distil_photos(network: Network, examples: MatcherExamples, config: MatcherConfig, log: TrainingLog) -> None:
    """Train v towards the teacher's vectors of the photos, by cosine and by contrast within the batch."""
    matcher, output, teacher = network.matcher, examples.output, examples.vectors
    optimizer = torch.optim.AdamW(matcher.photo.parameters(), 1e-3, weight_decay=1e-2)
    steps = config.photo_epochs * (len(examples.train) // 256 + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps + 1)
    for epoch in track(range(config.photo_epochs), "photo vectors"):
        matcher.train()
        for chosen in examples.train[torch.randperm(len(examples.train))].split(256):
            vectors = photo_vectors(network, output, chosen)
            near = vectors @ teacher[chosen].T / 0.1
            contrast = nn.functional.cross_entropy(near, torch.softmax(teacher[chosen] @ teacher[chosen].T / 0.1, 1))
            optimizer_step((1 - (vectors * teacher[chosen]).sum(1)).mean() + 0.1 * contrast, optimizer)
            schedule.step()
        if epoch % 5 == 4:
            matcher.eval()
            with torch.inference_mode():
                vectors = photo_vectors(network, output, examples.dev)
            cosines = (vectors @ teacher[examples.dev].T).cpu().numpy()
            log.write(
                "photos",
                epoch + 1,
                {"view cosine": float(cosines.diagonal().mean()), "view recall@10": diagonal_recall(cosines, 10)},
            )


# Joint training


def train_jointly(network: Network, examples: MatcherExamples, config: MatcherConfig, log: TrainingLog) -> None:
    """Train relevances towards the teacher's, with a listwise loss over the songs of a batch and over its photos.

    The lyric encoder is trained further, with the distillation loss of l0.
    """
    matcher, output, teacher = network.matcher, examples.output, examples.vectors
    others = [song for song in examples.others if len(song.lyric.lines) <= config.longest]
    songs = [*examples.described, *others]
    with torch.no_grad():
        reference = teacher[examples.train[torch.randperm(len(examples.train))[:1024]]]
        means, deviations = teacher_relevance_scale(reference, songs)
        center_photos(network, examples)
    matcher.attention.initialise(network.lyrics.line_weight)
    log.write("match", 0, development_figures(network, output, examples.development))

    rates = {"photo": config.photo_rate}
    groups: list[dict[str, Any]] = [
        {"params": list(part.parameters()), "lr": rates.get(name, config.match_rate)}
        for name, part in matcher.named_children()
    ]
    # No weight decay: it would shrink the vectors of words that these songs do not use.
    groups.append({"params": list(network.lyrics.parameters()), "lr": config.lyric_rate, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=config.match_steps + 1
    )
    for at in track(range(1, config.match_steps + 1), "matching"):
        network.train()
        network.tagger.eval()
        places = torch.cat(
            [
                torch.randperm(len(examples.described))[: config.described_at_once],
                len(examples.described) + torch.randperm(len(others))[: config.others_at_once],
            ]
        )
        batch = [songs[i] for i in places.tolist()]
        chosen = examples.train[torch.randint(len(examples.train), (config.photos_at_once,))]
        captions = torch.stack(
            [song.vectors[torch.randint(len(song.vectors), ())] for song in batch[: config.described_at_once]]
        )
        target = (teacher_relevance(torch.cat([teacher[chosen], captions]), batch) - means[places]) / deviations[places]
        target = target / config.teacher_temperature

        photos = photo_vectors(network, output, chosen)
        noise = torch.randn_like(captions) * config.caption_noise / config.dim**0.5
        photos_and_captions = torch.cat([photos, nn.functional.normalize(captions + noise, dim=1)])
        encoded = network.lyrics([song.lyric for song in batch])
        scores = without_means(network.relevance(photos_and_captions, encoded.states, encoded.lines))
        first = without_means(network.stage_one(photos_and_captions, encoded.pooled))
        loss = (
            listwise_loss(scores, target) + 0.5 * listwise_loss(scores.T, target.T) + 0.5 * listwise_loss(first, target)
        )
        loss = loss + (1 - (photos * teacher[chosen]).sum(1)).mean()
        loss = loss + _song_distance(encoded.pooled, batch)
        optimizer_step(loss, optimizer, limit=1.0)
        schedule.step()
        if at % 100 == 0 or at == config.match_steps:
            figures = development_figures(network, output, examples.development)
            log.write("match", at, {"loss": loss.item(), **figures})
    center_photos(network, examples)


@torch.no_grad()
def center_photos(network: Network, examples: MatcherExamples) -> None:
    network.matcher.eval()
    network.matcher.photo_mean.copy_(photo_vectors(network, examples.output, examples.train).mean(0))


def listwise_loss(scores: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(scores, target.softmax(1))


def complete_release(
    network: Network, tags: Sequence[TagSpec], examples: MatcherExamples, config: MatcherConfig, log: TrainingLog
) -> dict[str, Any]:
    """Fit what depends on the trained weights: reference photos, tag calibration, confidence. Return the card."""
    output = examples.output
    network.eval().requires_grad_(False)
    torch.manual_seed(config.seed)
    order = torch.randperm(len(examples.train)).repeat(config.references // len(examples.train) + 1)
    chosen = examples.train[order[: config.references]]
    network.reference.copy_(photo_vectors(network, output, chosen))
    logits = output.logits[examples.dev].cpu().numpy()
    shown, known = examples.shown.numpy(), examples.known.numpy()
    slope, shift, calibrated = fit_calibration(logits, shown, known)
    network.calibration.copy_(torch.from_numpy(np.stack([slope, shift])))
    log.write("calibration", 0, cross_fitted_error(logits, shown, known, config.seed))
    card = new_card(config, tags, calibrated.tolist(), log.latest())
    model = Image2Song(network=network, card=card, sha256="", device=str(network.reference.device))
    fit_content(model, output.features[examples.train[::5]], output.features[examples.dev], config.seed)
    set_song_statistics(network, [song.lyric for song in examples.described])
    card["confidence"] = fit_confidence(model, output, examples.development, config.seed)
    return card
