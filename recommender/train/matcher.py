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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from ..evaluate.metrics import pair_figures
from ..images import Preprocessing
from ..lyrics import Encoded, LyricEncoder, read_lyric
from ..matcher import Matcher
from ..model import Network
from ..release import save_release
from .data import Photo, TagSpec, read_photos, read_tags, tag_targets
from .songs import Song, pad, read_rows, read_songs, relevance, relevance_scale, stanzas_of
from .tagger import Log, TwoHeads, recall, texts_of
from .teacher import Space, embed, known_words


@dataclass
class Config:
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
    rarest_word: int = 3
    most_others: int = 1500  # of the songs without captions
    references: int = 128
    lyric_epochs: int = 6
    photo_epochs: int = 25
    match_steps: int = 300
    # A batch of the last step: photos, described songs (each with a caption in a photo's place), other songs.
    photos_at_once: int = 32
    described_at_once: int = 32
    others_at_once: int = 12
    longest: int = 32  # lines of a song in the last step
    held_out: int = 10  # one described song of so many
    teacher_temperature: float = 1.5
    caption_noise: float = 0.5
    # The attention starts as a dot product of terms that cancel each other: large steps would destroy it.
    photo_rate: float = 5e-5
    attention_rate: float = 1e-6
    match_rate: float = 3e-4
    seed: int = 0
    device: str = "cpu"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m recommender train matcher", description=__doc__)
    for name in ("captions", "labels", "described", "songs", "tagger", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--lyrics", type=Path, nargs="+", required=True, help="JSON Lines with `lyrics`")
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="folders of photos to keep unseen")
    parser.add_argument("--name", default=Config.name, help="name of the release")
    for name in ("lyric-epochs", "photo-epochs", "match-steps", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Config, name.replace("-", "_")))
    parser.add_argument("--device", default=Config.device)
    train(Config(**vars(parser.parse_args(arguments))))
    return 0


def train(config: Config) -> None:
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    log = Log(config.out / "matcher.csv")
    photos = read_photos(config.captions, config.labels, config.exclude)
    tags = read_tags()
    seen = look_at(tags, config)
    split = {
        name: torch.tensor([i for i, photo in enumerate(photos) if photo.split == name]) for name in ("train", "dev")
    }

    texts = [texts_of(photo) for photo in photos]
    captions = embed([text for part in texts for text in part], config.tagger)
    others = [row for path in config.lyrics for row in read_rows(path)]
    others = random.Random(config.seed).sample(others, min(config.most_others, len(others)))
    described = read_rows(config.described)
    stanzas = embed([text for row in others for text in stanzas_of(row["lyrics"])], config.out)
    space = Space.fit(captions, stanzas, config.dim)
    views = space.of_photos(captions, [len(part) for part in texts])
    lessons = Lessons(
        described=read_songs([row for i, row in enumerate(described) if i % config.held_out], space, config.out),
        unseen=read_songs(described[:: config.held_out], space, config.out),
        others=read_songs(others, space, config.out),
        own=read_songs(read_rows(config.songs), space, config.out),
    )
    spoken = spoken_photos(photos, captions, texts, space)

    network = Network(
        tags=len(tags),
        vocabulary=vocabulary([*lessons.described, *lessons.others, *spoken], config),
        references=config.references,
        architecture=architecture(config),
    )
    network.tagger.load_state_dict(seen.tagger)
    begin(network, tags, space, config)
    check = development(photos, tags, lessons.own, split, config)
    lyrics = [*lessons.described, *lessons.others, *spoken]
    steps: dict[str, Callable[[], None]] = {
        "lyrics": lambda: distil_lyrics(network.lyrics, lyrics, lessons.own, config, log),
        "photos": lambda: place_photos(network.matcher, seen, views, split, config, log),
        "match": lambda: match(network, seen, views, lessons, split, check, config, log),
    }
    for name, learn in steps.items():
        done = config.out / f"{name}.pt"
        if done.exists():
            network.load_state_dict(torch.load(done, weights_only=True))
            continue
        torch.manual_seed(config.seed)
        learn()
        torch.save(network.state_dict(), done)

    network.eval()
    with torch.inference_mode():
        chosen = split["train"][torch.randperm(len(split["train"]))[: config.references]]
        network.reference.copy_(network.matcher.photo(seen.scores[chosen], seen.features[chosen]))
    save_release(network, card(config, tags, log), config.out)


# What is known before training


@dataclass
class Lessons:
    described: list[Song]  # with captions of photos that go with them
    unseen: list[Song]  # the same, held out
    others: list[Song]
    own: list[Song]  # with themes, held out


@dataclass
class Seen:
    """What the tuned tagger sees in every photo: tag scores (N, T), pooled features (N, FEATURES)."""

    scores: Tensor
    features: Tensor
    tagger: dict[str, Tensor]


@torch.inference_mode()
def look_at(tags: Sequence[TagSpec], config: Config) -> Seen:
    """From what the tagger's training left in its folder."""
    model = TwoHeads(len(tags), config.dim)
    model.load_state_dict(torch.load(config.tagger / "tagger.pt", weights_only=True))
    features = torch.from_numpy(np.load(config.tagger / "tuned.npy")).float()
    logits = [model.tagger.classifier(part[:, :, None, None]).flatten(1) for part in features.split(1024)]
    return Seen(torch.cat(logits).sigmoid(), features, model.tagger.state_dict())


def spoken_photos(
    photos: Sequence[Photo], captions: np.ndarray, texts: Sequence[Sequence[str]], space: Space
) -> list[Song]:
    """The captions of each training photo, as a lyric."""
    parts = space.of_captions(captions).split([len(part) for part in texts])
    told = [i for i, photo in enumerate(photos) if photo.captions and photo.split == "train"]
    return [Song(read_lyric("\n".join(texts[i])), parts[i], parts[i]) for i in told]


def vocabulary(songs: Sequence[Song], config: Config) -> list[str]:
    counts = Counter(word for song in songs for line in song.lyric.lines for word in line)
    return sorted({word for word, count in counts.items() if count >= config.rarest_word} | set(known_words()))


def begin(network: Network, tags: Sequence[TagSpec], space: Space, config: Config) -> None:
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


def distil_lyrics(
    encoder: LyricEncoder, songs: Sequence[Song], check: Sequence[Song], config: Config, log: Log
) -> None:
    epochs = config.lyric_epochs
    batches = sum(1 for _ in _by_length(songs))
    optimizer = torch.optim.AdamW(encoder.parameters(), 1e-3, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * batches + 1)
    for epoch in range(epochs):
        encoder.train()
        for batch in track(list(_by_length(songs)), f"lyrics {epoch + 1}/{epochs}"):
            lines, whole = _distances(encoder, batch)
            loss = lines + 0.3 * whole
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        encoder.eval()
        with torch.inference_mode():
            lines, whole = _distances(encoder, check)
        log.write("lyrics", epoch + 1, {"line cosine": 1 - lines.item(), "song cosine": 1 - whole.item()})


def _by_length(songs: Sequence[Song], words: int = 6000) -> Iterator[list[Song]]:
    """Batches of songs of like length, about so many words each, in random order."""
    length = [sum(map(len, song.lyric.lines)) for song in songs]
    order = sorted(range(len(songs)), key=lambda row: length[row] * (0.8 + 0.4 * float(torch.rand(1))))
    batches: list[list[Song]] = [[]]
    room = words
    for row in order:
        if length[row] > room and batches[-1]:
            batches.append([])
            room = words
        batches[-1].append(songs[row])
        room -= length[row]
    for place in torch.randperm(len(batches)).tolist():
        yield batches[place]


def _distances(encoder: LyricEncoder, songs: Sequence[Song]) -> tuple[Tensor, Tensor]:
    encoded = encoder([song.lyric for song in songs])
    lines = 1 - nn.functional.cosine_similarity(encoded.states, torch.cat([song.line_targets for song in songs]))
    wholes = torch.stack([song.views.mean(0) for song in songs])
    return lines.mean(), (1 - nn.functional.cosine_similarity(encoded.pooled, wholes)).mean()


# Photos into the teacher's space


def place_photos(
    matcher: Matcher, seen: Seen, views: Tensor, split: dict[str, Tensor], config: Config, log: Log
) -> None:
    """v towards the teacher's view of the captions, and nearer to its own than to other photos'."""
    optimizer = torch.optim.AdamW(matcher.photo.parameters(), 1e-3, weight_decay=1e-2)
    steps = config.photo_epochs * (len(split["train"]) // 256 + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps + 1)
    for epoch in track(range(config.photo_epochs), "photo vectors"):
        matcher.train()
        for chosen in split["train"][torch.randperm(len(split["train"]))].split(256):
            vectors = matcher.photo(seen.scores[chosen], seen.features[chosen])
            near = vectors @ views[chosen].T / 0.1
            contrast = nn.functional.cross_entropy(near, torch.softmax(views[chosen] @ views[chosen].T / 0.1, 1))
            loss = (1 - (vectors * views[chosen]).sum(1)).mean() + 0.1 * contrast
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 5 == 4:
            matcher.eval()
            with torch.inference_mode():
                vectors = matcher.photo(seen.scores[split["dev"]], seen.features[split["dev"]])
            near = vectors @ views[split["dev"]].T
            figures = {"view cosine": near.diag().mean().item(), "view recall@10": recall(near, 10)}
            log.write("photos", epoch + 1, figures)


# Photos and lyrics together


def match(
    network: Network,
    seen: Seen,
    views: Tensor,
    lessons: Lessons,
    split: dict[str, Tensor],
    check: Check,
    config: Config,
    log: Log,
) -> None:
    """For each photo the relevance over a batch of songs towards the teacher's, and for each song over the photos."""
    matcher = network.matcher
    others = [song for song in lessons.others if len(song.lyric.lines) <= config.longest]
    songs = [*lessons.described, *others]
    network.eval()
    with torch.no_grad():
        encoded = [network.lyrics([song.lyric]) for song in track(songs, "states")]
        reference = views[split["train"][torch.randperm(len(split["train"]))[:1024]]]
        means, deviations = relevance_scale(reference, songs)
        center_photos(matcher, seen, split["train"])
    log.write("match", 0, development_figures(network, seen, lessons, check))

    rates = {"photo": config.photo_rate, "attention": config.attention_rate}
    groups: list[dict[str, Any]] = [
        {"params": list(part.parameters()), "lr": rates.get(name, config.match_rate)}
        for name, part in matcher.named_children()
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=config.match_steps + 1
    )
    for step in track(range(1, config.match_steps + 1), "matching"):
        matcher.train()
        places = torch.cat(
            [
                torch.randperm(len(lessons.described))[: config.described_at_once],
                len(lessons.described) + torch.randperm(len(others))[: config.others_at_once],
            ]
        )
        batch = [songs[i] for i in places.tolist()]
        chosen = split["train"][torch.randint(len(split["train"]), (config.photos_at_once,))]
        told = torch.stack(
            [song.views[torch.randint(len(song.views), ())] for song in batch[: config.described_at_once]]
        )
        target = (relevance(torch.cat([views[chosen], told]), batch) - means[places]) / deviations[places]
        target = target / config.teacher_temperature

        photos = matcher.photo(seen.scores[chosen], seen.features[chosen])
        noise = torch.randn_like(told) * config.caption_noise / config.dim**0.5
        looks = torch.cat([photos, nn.functional.normalize(told + noise, dim=1)])
        states, mask = pad([encoded[i].states for i in places.tolist()])
        pooled = torch.cat([encoded[i].pooled for i in places.tolist()])
        scores = without_means(matcher(looks, states, mask))
        first = without_means(matcher.query(looks) @ pooled.T)
        loss = listwise(scores, target) + 0.5 * listwise(scores.T, target.T) + 0.5 * listwise(first, target)
        loss = loss + (1 - (photos * views[chosen]).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(matcher.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == config.match_steps:
            figures = development_figures(network, seen, lessons, check)
            log.write("match", step, {"loss": loss.item(), **figures})
    center_photos(matcher, seen, split["train"])


@torch.no_grad()
def center_photos(matcher: Matcher, seen: Seen, rows: Tensor) -> None:
    matcher.eval()
    matcher.photo_mean.copy_(matcher.photo(seen.scores[rows], seen.features[rows]).mean(0))


def without_means(scores: Tensor) -> Tensor:
    return scores - scores.mean(0, keepdim=True)


def listwise(scores: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(scores, target.softmax(1))


# The development figures: our own songs by theme for held-out photos, held-out described songs for their captions


@dataclass
class Check:
    photos: Tensor  # (P,) rows of held-out photos
    grades: Tensor  # (P, own songs): 3 for a main theme that the photo shows, 1 for a side one


def development(
    photos: Sequence[Photo], tags: Sequence[TagSpec], own: Sequence[Song], split: dict[str, Tensor], config: Config
) -> Check:
    rows = split["dev"][:: max(1, len(split["dev"]) // 600)]
    classes = torch.from_numpy(np.load(config.tagger / "start.npz")["classes"][rows]).float()
    targets, _ = tag_targets([photos[row] for row in rows.tolist()], tags, classes)
    shown = [{tags[i].name for i in row.nonzero().flatten().tolist()} for row in targets >= 0.6]
    grades = torch.zeros(len(rows), len(own))
    for place, names in enumerate(shown):
        for column, song in enumerate(own):
            main, side = names.intersection(song.themes), names.intersection(song.side_themes)
            grades[place, column] = 3.0 if main else float(bool(side))
    return Check(rows, grades)


@torch.inference_mode()
def development_figures(network: Network, seen: Seen, lessons: Lessons, check: Check) -> dict[str, float]:
    network.eval()
    photos = network.matcher.photo(seen.scores[check.photos], seen.features[check.photos])
    told = torch.cat([song.views for song in lessons.unseen])
    belongs = torch.arange(len(lessons.unseen)).repeat_interleave(torch.tensor([len(s.views) for s in lessons.unseen]))
    spoken = attended(network, told, network.lyrics([song.lyric for song in lessons.unseen]))
    own = network.lyrics([song.lyric for song in lessons.own])
    first = without_means(network.matcher.query(photos) @ own.pooled.T)
    return {
        "theme nDCG@10": ndcg(attended(network, photos, own), check.grades),
        "theme nDCG@10, stage one": ndcg(first, check.grades),
        "caption recall@5": pair_figures(spoken.numpy(), belongs.numpy())["R@5"],
    }


def attended(network: Network, photos: Tensor, songs: Encoded) -> Tensor:
    """(B, N) relevances, each song's mean over these photos removed."""
    states, mask = pad(songs.states.split(songs.lines))
    return without_means(torch.cat([network.matcher(part, states, mask) for part in photos.split(16)]))


def ndcg(scores: Tensor, truth: Tensor, depth: int = 10) -> float:
    """Over the photos that have a song of a theme they show."""
    asked = truth.amax(1) >= 3
    gains = truth[asked]
    discount = 1 / torch.log2(torch.arange(2, depth + 2).float())
    found = gains.gather(1, scores[asked].topk(depth, dim=1).indices) @ discount
    best = gains.topk(depth, dim=1).values @ discount
    return float((found / best).mean())


def architecture(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("dim", "hidden", "buckets", "sharpness")}


def card(config: Config, tags: Sequence[TagSpec], log: Log) -> dict[str, Any]:
    square = Preprocessing()
    return {
        "name": config.name,
        "sha256": "",
        "licence": "Apache-2.0",
        "description": "Image2song: a CNN tags photo regions, a BiLSTM reads lyrics, tag attention joins them.",
        "architecture": architecture(config),
        "preprocessing": {"size": square.size, "mean": square.mean, "std": square.std},
        "training": {
            "backbone": "started from an ImageNet MobileNetV2 (Apache-2.0); every weight was trained on",
            "teacher": "all-MiniLM-L6-v2 (sentence embeddings), in training only",
            "photos": "Flickr8k and labelled photos, research use; not part of this release",
            "lyrics": "public-domain songbooks, and lyrics with scene descriptions written for this project",
            "seed": config.seed,
        },
        "figures": log.last(),
        "tags": [{"name": tag.name, "kind": tag.kind} for tag in tags],
    }
