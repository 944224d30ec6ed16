r"""Train the lyric encoder, the photo's vector, the tag attention and the relevance; then write the release.

    python -m recommender train matcher --captions DIR --labels DIR --lyrics FILE ... --described FILE \
        --songs FILE --tagger DIR --out DIR

No (photo, song) pairs are needed: a sentence encoder says how well the photos' captions fit a lyric's stanzas, or the
photos that a described song goes with, and the network learns to say the same from the photo itself (weak
supervision). In three steps, each from the last one's result: lyrics into the teacher's space, photos into it, then
both together. ``--songs`` are never trained on: they make the development figure. The same command goes on after the
last step that was finished.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from ..backbones import BACKBONES, starting_input
from ..evaluate.calibration import cross_fitted_error, fit_calibration
from ..evaluate.judged import TaggerOutput
from ..evaluate.ranking_metrics import diagonal_recall
from ..lyrics import CELLS, LyricEncoder, parse_lyric
from ..model import Image2Song
from ..network import Network
from ..release import save_release
from ..tagger import Tagger
from .confidence import fit_confidence, fit_content, set_song_statistics
from .data import Photo, TagSpec, read_photos, read_tags, tag_targets, texts_of
from .development import DevelopmentSet, development_figures, development_set, without_means
from .distributed import broadcast_weights, join_process_group, optimizer_step, rank, rank_indices, rank_zero_first
from .records import TrainingLog
from .songs import (
    TrainingSong,
    read_song_rows,
    songs_with_targets,
    stanzas_of,
    teacher_relevance,
    teacher_relevance_scale,
)
from .teacher import Space, embed, known_words


@dataclass
class MatcherConfig:
    captions: Path
    labels: Path
    lyrics: list[Path]
    described: Path
    songs: Path
    tagger: Path
    out: Path
    exclude: list[Path] = field(default_factory=list)
    name: str = "starter"
    dim: int = 128
    hidden: int = 128
    buckets: int = 16384
    sharpness: float = 0.0
    rarest_word: int = 3  # of the songs without captions
    cell: str = "lstm"
    attention: bool = True  # off: lines count alike, for the ablation
    most_others: int = 1500  # of the songs without captions
    evoked: float = 0.25  # share of what a described song's photos show in its lines' targets
    whole_weight: float = 0.3  # of the whole song beside its lines
    references: int = 128
    lyric_epochs: int = 6
    photo_epochs: int = 25
    match_steps: int = 100
    # A batch of the last step: photos, described songs (each with a caption in a photo's place), other songs.
    photos_at_once: int = 32
    described_at_once: int = 32
    others_at_once: int = 12
    longest: int = 32  # lines of a song in the last step
    held_out: int = 10  # one described song of so many
    teacher_temperature: float = 1.0
    caption_noise: float = 0.5
    photo_rate: float = 5e-5
    lyric_rate: float = 5e-5
    match_rate: float = 3e-4
    backbone: str = "mobilenet_v2"
    seed: int = 0
    device: str = "cpu"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m recommender train matcher", description=__doc__)
    for name in ("captions", "labels", "described", "songs", "tagger", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--lyrics", type=Path, nargs="+", required=True, help="JSON Lines with `lyrics`")
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="folders of photos to keep unseen")
    parser.add_argument("--name", default=MatcherConfig.name, help="name of the release")
    parser.add_argument(
        "--cell", choices=sorted(CELLS), default=MatcherConfig.cell, help="recurrent cell; none: bag of words"
    )
    parser.add_argument("--attention", action=argparse.BooleanOptionalAction, default=MatcherConfig.attention)
    parser.add_argument("--backbone", choices=sorted(BACKBONES), default=MatcherConfig.backbone, help="of the tagger")
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
        architecture=architecture(config),
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
            torch.save(network.state_dict(), done)

    if rank() == 0:
        save_release(network, complete_release(network, tags, examples, config, log), config.out)
        log.plot()


# What is known before training


@dataclass
class MatcherExamples:
    """All photos with the teacher's view of each, (N, D), and which are learned from; all songs."""

    output: TaggerOutput  # of all photos
    tagger: dict[str, Tensor]  # its weights
    views: Tensor
    train: Tensor
    dev: Tensor
    described: list[TrainingSong]  # with captions of photos that go with them
    others: list[TrainingSong]
    spoken: list[TrainingSong]
    development: DevelopmentSet
    shown: Tensor  # (dev, T) is the tag in the held-out photo?
    rated: Tensor  # (dev, T) is that known?

    @property
    def lyrics(self) -> list[TrainingSong]:
        return [*self.described, *self.others, *self.spoken]


def prepare_matcher_examples(
    tags: Sequence[TagSpec], config: MatcherConfig, device: torch.device
) -> tuple[MatcherExamples, Space]:
    photos = read_photos(config.captions, config.labels, config.exclude)
    texts = [texts_of(photo) for photo in photos]
    captions = embed([text for part in texts for text in part], config.tagger)
    others = [row for path in config.lyrics for row in read_song_rows(path)]
    others = random.Random(config.seed).sample(others, min(config.most_others, len(others)))
    described = read_song_rows(config.described)
    stanzas = embed([text for row in others for text in stanzas_of(row["lyrics"])], config.out)
    space = Space.fit(captions, stanzas, config.dim)

    def songs(rows: Sequence[dict[str, Any]]) -> list[TrainingSong]:
        return [song.to(device) for song in songs_with_targets(rows, space, config.out, config.evoked)]

    views = space.of_photos(captions, [len(part) for part in texts]).to(device)
    split = {
        name: torch.tensor([i for i, photo in enumerate(photos) if photo.split == name]) for name in ("train", "dev")
    }
    held_out = [photos[row] for row in split["dev"].tolist()]
    classes = torch.from_numpy(np.load(config.tagger / "start.npz")["classes"]).float()
    targets, weights = tag_targets(held_out, tags, classes[split["dev"]])
    output, tagger = run_trained_tagger(tags, config, device)
    examples = MatcherExamples(
        shown=targets >= 0.5,
        rated=weights >= 0.3,
        output=output,
        tagger=tagger,
        views=views,
        train=split["train"],
        dev=split["dev"],
        described=songs([row for i, row in enumerate(described) if i % config.held_out]),
        others=songs(others),
        spoken=[song.to(device) for song in captions_as_songs(photos, captions, texts, space)],
        development=development_set(
            photos, tags, views, split["dev"], songs(read_song_rows(config.songs)), songs(described[:: config.held_out])
        ),
    )
    return examples, space


@torch.inference_mode()
def run_trained_tagger(
    tags: Sequence[TagSpec], config: MatcherConfig, device: torch.device
) -> tuple[TaggerOutput, dict[str, Tensor]]:
    """From what the tagger's training left in its folder."""
    tagger = Tagger(len(tags), config.sharpness, config.backbone).eval().to(device)
    tagger.load_state_dict(torch.load(config.tagger / "tagger.pt", weights_only=True, map_location=device))
    features = torch.from_numpy(np.load(config.tagger / "tuned.npy")).float().to(device)
    logits = [tagger.classify(part[:, :, None, None]).logits for part in features.split(1024)]
    return TaggerOutput(torch.cat(logits), features), tagger.state_dict()


def photo_vectors(network: Network, output: TaggerOutput, rows: Tensor) -> Tensor:
    """v of some photos, (n, D)."""
    return network.embed_photos(output.logits[rows], output.features[rows])


def captions_as_songs(
    photos: Sequence[Photo], captions: np.ndarray, texts: Sequence[Sequence[str]], space: Space
) -> list[TrainingSong]:
    """The captions of each training photo, as a lyric."""
    parts = space.of_captions(captions).split([len(part) for part in texts])
    told = [i for i, photo in enumerate(photos) if photo.captions and photo.split == "train"]
    return [TrainingSong(parse_lyric("\n".join(texts[i])), parts[i], parts[i]) for i in told]


def word_vocabulary(examples: MatcherExamples, config: MatcherConfig) -> list[str]:
    """Every word of today's texts, those of old songs that are not rare, and what the teacher reads as one token."""
    modern, old = (
        Counter(word for song in songs for line in song.lyric.lines for word in line)
        for songs in ([*examples.described, *examples.spoken], examples.others)
    )
    frequent = {word for word, count in old.items() if count >= config.rarest_word}
    return sorted(frequent.union(modern, known_words()))


def initialise_vectors(network: Network, tags: Sequence[TagSpec], space: Space, config: MatcherConfig) -> None:
    """Word and tag vectors start as the teacher's; spelled words learn to land near the known ones."""
    words = network.lyrics.words
    known = list(words.index)
    targets = space.cut(embed(known, config.out), space.lyrics)
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


# Lyrics into the teacher's space


def distil_lyrics(encoder: LyricEncoder, examples: MatcherExamples, config: MatcherConfig, log: TrainingLog) -> None:
    """What is read in each line towards the teacher's view of it, by a head that only the training has; the pooled
    lyric towards the teacher's view of the whole song, which may be in no line of it."""
    songs = examples.lyrics
    literal = nn.Linear(encoder.to_state.in_features, config.dim).to(encoder.to_state.weight.device)
    broadcast_weights(literal)
    learned = [*encoder.parameters(), *literal.parameters()]
    epochs = config.lyric_epochs
    drawn = [_by_length(songs, seed=1000 * config.seed + epoch) for epoch in range(epochs)]
    plan = [[batches[place] for place in rank_indices(len(batches))] for batches in drawn]
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
    """Batches of songs of like length, about so many words each, in random order."""
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
    """How far the pooled lyrics are from the teacher's views of the whole songs."""
    wholes = torch.stack([song.views.mean(0) for song in songs])
    return (1 - nn.functional.cosine_similarity(pooled, wholes)).mean()


# Photos into the teacher's space


def distil_photos(network: Network, examples: MatcherExamples, config: MatcherConfig, log: TrainingLog) -> None:
    """v towards the teacher's view of the captions, and nearer to its own than to other photos'."""
    matcher, output, views = network.matcher, examples.output, examples.views
    optimizer = torch.optim.AdamW(matcher.photo.parameters(), 1e-3, weight_decay=1e-2)
    steps = config.photo_epochs * (len(examples.train) // 256 + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps + 1)
    for epoch in track(range(config.photo_epochs), "photo vectors"):
        matcher.train()
        for chosen in examples.train[torch.randperm(len(examples.train))].split(256):
            vectors = photo_vectors(network, output, chosen)
            near = vectors @ views[chosen].T / 0.1
            contrast = nn.functional.cross_entropy(near, torch.softmax(views[chosen] @ views[chosen].T / 0.1, 1))
            optimizer_step((1 - (vectors * views[chosen]).sum(1)).mean() + 0.1 * contrast, optimizer)
            schedule.step()
        if epoch % 5 == 4:
            matcher.eval()
            with torch.inference_mode():
                vectors = photo_vectors(network, output, examples.dev)
            cosines = (vectors @ views[examples.dev].T).cpu().numpy()
            log.write(
                "photos",
                epoch + 1,
                {"view cosine": float(cosines.diagonal().mean()), "view recall@10": diagonal_recall(cosines, 10)},
            )


# Photos and lyrics together


def train_jointly(network: Network, examples: MatcherExamples, config: MatcherConfig, log: TrainingLog) -> None:
    """For each photo the relevance over a batch of songs towards the teacher's, and for each song over the photos.

    The lyric encoder goes on learning, its l0 held to what it was distilled to.
    """
    matcher, output, views = network.matcher, examples.output, examples.views
    others = [song for song in examples.others if len(song.lyric.lines) <= config.longest]
    songs = [*examples.described, *others]
    with torch.no_grad():
        reference = views[examples.train[torch.randperm(len(examples.train))[:1024]]]
        means, deviations = teacher_relevance_scale(reference, songs)
        center_photos(network, examples)
    matcher.attention.initialise(network.lyrics.line_weight)
    log.write("match", 0, development_figures(network, output, examples.development))

    rates = {"photo": config.photo_rate}
    groups: list[dict[str, Any]] = [
        {"params": list(part.parameters()), "lr": rates.get(name, config.match_rate)}
        for name, part in matcher.named_children()
    ]
    # Only described songs pass here: word vectors that they do not use must not decay.
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
        told = torch.stack(
            [song.views[torch.randint(len(song.views), ())] for song in batch[: config.described_at_once]]
        )
        target = (teacher_relevance(torch.cat([views[chosen], told]), batch) - means[places]) / deviations[places]
        target = target / config.teacher_temperature

        photos = photo_vectors(network, output, chosen)
        noise = torch.randn_like(told) * config.caption_noise / config.dim**0.5
        looks = torch.cat([photos, nn.functional.normalize(told + noise, dim=1)])
        encoded = network.lyrics([song.lyric for song in batch])
        scores = without_means(network.relevance(looks, encoded.states, encoded.lines))
        first = without_means(network.stage_one(looks, encoded.pooled))
        loss = (
            listwise_loss(scores, target) + 0.5 * listwise_loss(scores.T, target.T) + 0.5 * listwise_loss(first, target)
        )
        loss = loss + (1 - (photos * views[chosen]).sum(1)).mean()
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


def architecture(config: MatcherConfig) -> dict[str, Any]:
    names = ("backbone", "dim", "hidden", "buckets", "sharpness", "cell", "attention")
    return {name: getattr(config, name) for name in names}


def complete_release(
    network: Network, tags: Sequence[TagSpec], examples: MatcherExamples, config: MatcherConfig, log: TrainingLog
) -> dict[str, Any]:
    """What is fitted when all is trained: reference photos, calibrated tags, confidence. Returns the card."""
    output = examples.output
    network.eval().requires_grad_(False)
    torch.manual_seed(config.seed)
    order = torch.randperm(len(examples.train)).repeat(config.references // len(examples.train) + 1)
    chosen = examples.train[order[: config.references]]
    network.reference.copy_(photo_vectors(network, output, chosen))
    logits = output.logits[examples.dev].cpu().numpy()
    shown, rated = examples.shown.numpy(), examples.rated.numpy()
    slope, shift, calibrated = fit_calibration(logits, shown, rated)
    network.calibration.copy_(torch.from_numpy(np.stack([slope, shift])))
    log.write("calibration", 0, cross_fitted_error(logits, shown, rated, config.seed))
    made = release_card(config, tags, calibrated.tolist(), log)
    model = Image2Song(network=network, card=made, sha256="", device=str(network.reference.device))
    fit_content(model, output.features[examples.train[::5]], output.features[examples.dev], config.seed)
    set_song_statistics(network, [song.lyric for song in examples.described])
    made["confidence"] = fit_confidence(model, output, examples.development, config.seed)
    return made


def release_card(
    config: MatcherConfig, tags: Sequence[TagSpec], calibrated: Sequence[bool], log: TrainingLog
) -> dict[str, Any]:
    square = starting_input(config.backbone)
    return {
        "name": config.name,
        "sha256": "",
        "licence": "Apache-2.0",
        "description": "Image2song: a CNN tags photos, a recurrent network reads lyrics, tag attention joins them.",
        "language": "English lyrics; songs in other languages are flagged as unsupported",
        "architecture": architecture(config),
        "preprocessing": {
            "size": square.size,
            "mean": square.mean,
            "std": square.std,
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
        "figures": log.latest(),
        "confidence": {},
        "tags": [
            {"name": tag.name, "kind": tag.kind, "calibrated": known}
            for tag, known in zip(tags, calibrated, strict=True)
        ],
    }
