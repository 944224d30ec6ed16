r"""Train the lyric encoder, the photo's vector, the tag attention and the relevance; then write the release.

    python -m recommender train matcher --captions DIR --labels DIR --lyrics FILE ... --songs FILE \
        --tagger DIR --out DIR

No (photo, song) pairs are needed: a sentence encoder that reads the photos' captions and the lyrics' stanzas says
how well they fit, and the network learns to say the same from the photo itself (weak supervision). In three steps,
each from the last one's result: lyrics into the teacher's space, photos into it, then the listwise matching.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from ..images import Preprocessing
from ..lyrics import Lyric, LyricEncoder, read_lyric
from ..matcher import Matcher
from ..model import Network
from ..release import save_release
from .data import Photo, TagSpec, read_photos, read_tags, tag_targets
from .tagger import Log, TwoHeads, texts_of
from .teacher import Space, embed, known_words

STANZA_LINES = 4


@dataclass
class Config:
    captions: Path
    labels: Path
    lyrics: list[Path]
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
    references: int = 128
    lyric_epochs: int = 6
    photo_epochs: int = 25
    match_steps: int = 2000
    songs_at_once: int = 72
    photos_at_once: int = 48
    teacher_temperature: float = 0.07
    seed: int = 0
    device: str = "cpu"


@dataclass
class Song:
    """A lyric with what the teacher says of it: a target for each line (m, D), and its stanzas' (s, D)."""

    lyric: Lyric
    line_targets: Tensor
    stanzas: Tensor
    themes: tuple[str, ...] = ()
    side_themes: tuple[str, ...] = ()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m recommender train matcher", description=__doc__)
    for name in ("captions", "labels", "songs", "tagger", "out"):
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

    rows = [row for path in config.lyrics for row in _json_lines(path)]
    samples = _json_lines(config.songs)
    captions = embed([text for photo in photos for text in texts_of(photo)], config.tagger)
    stanzas = [
        embed([text for row in part for text in _stanzas(row["lyrics"])], config.out) for part in (rows, samples)
    ]
    space = Space.fit(captions, np.concatenate(stanzas), config.dim)
    songs = read_songs(rows, space, config)
    own = read_songs(samples, space, config)
    described, views = read_captions(photos, captions, space)

    network = Network(
        tags=len(tags),
        vocabulary=_vocabulary([*songs, *own, *described], config),
        references=config.references,
        architecture=architecture(config),
    )
    network.tagger.load_state_dict(seen.tagger)
    begin(network, tags, space, config)

    distil_lyrics(network.lyrics, [*songs, *own, *described], own, config, log)
    split = {
        name: torch.tensor([i for i, photo in enumerate(photos) if photo.split == name]) for name in ("train", "dev")
    }
    place_photos(network.matcher, seen, views, split, config, log)
    truth = _theme_truth(photos, tags, own, config)
    match(network, seen, views, [*songs, *own], own, split, truth, config, log)

    network.eval()
    with torch.inference_mode():
        chosen = split["train"][torch.randperm(len(split["train"]))[: config.references]]
        network.reference.copy_(network.matcher.photo(seen.scores[chosen], seen.features[chosen]))
    save_release(network, card(config, tags, log), config.out)


# What is known before training


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


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _stanzas(lyrics: str) -> list[str]:
    """Stanzas, long ones cut every few lines."""
    found = []
    for part in re.split(r"\n\s*\n", lyrics):
        lines = [line.strip() for line in part.split("\n") if read_lyric(line).lines]
        found += ["\n".join(lines[start : start + STANZA_LINES]) for start in range(0, len(lines), STANZA_LINES)]
    return found


def read_songs(rows: Sequence[dict[str, Any]], space: Space, config: Config) -> list[Song]:
    """The teacher on every line and stanza: a line is meant as it stands in its stanza."""
    kept = [row for row in rows if read_lyric(row["lyrics"]).lines]
    stanzas = [_stanzas(row["lyrics"]) for row in kept]
    lines = [[line for stanza in song for line in stanza.split("\n")] for song in stanzas]
    stanza_views = space.of_lyrics(embed([stanza for song in stanzas for stanza in song], config.out))
    line_views = space.of_lyrics(embed([line for song in lines for line in song], config.out))
    found = []
    for row, song, own_stanzas, own_lines in zip(
        kept,
        stanzas,
        stanza_views.split([len(s) for s in stanzas]),
        line_views.split([len(x) for x in lines]),
        strict=True,
    ):
        sizes = torch.tensor([stanza.count("\n") + 1 for stanza in song])
        targets = nn.functional.normalize(own_lines + own_stanzas.repeat_interleave(sizes, 0), dim=1)
        found.append(
            Song(
                read_lyric("\n".join(song)), targets, own_stanzas,
                tuple(row.get("themes", ())), tuple(row.get("side_themes", ())),
            )
        )  # fmt: skip
    return found


def read_captions(photos: Sequence[Photo], vectors: np.ndarray, space: Space) -> tuple[list[Song], Tensor]:
    """The captions of each photo as a lyric in plain modern English, and the view of each photo (N, D)."""
    counts = [len(texts_of(photo)) for photo in photos]
    parts = torch.from_numpy(vectors.astype(np.float32)).split(counts)
    views = space.of_captions(torch.stack([part.mean(0) for part in parts]).numpy().astype(np.float16))
    described = []
    for photo, part in zip(photos, parts, strict=True):
        if photo.captions and photo.split == "train":
            targets = space.of_captions(part.numpy().astype(np.float16))
            described.append(Song(read_lyric("\n".join(photo.captions)), targets, targets))
    return described, views


def _vocabulary(songs: Sequence[Song], config: Config) -> list[str]:
    counts = Counter(word for song in songs for line in song.lyric.lines for word in line)
    return sorted({word for word, count in counts.items() if count >= config.rarest_word} | set(known_words()))


def begin(network: Network, tags: Sequence[TagSpec], space: Space, config: Config) -> None:
    """Word and tag vectors start as the teacher's; spelled words learn to land near the known ones."""
    words = network.lyrics.words
    known = list(words.index)
    targets = space.of_lyrics(embed(known, config.out))
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
    wholes = torch.stack([song.stanzas.mean(0) for song in songs])
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
            recall = ((near > near.diag()[:, None]).sum(1) < 10).float().mean().item()
            log.write("photos", epoch + 1, {"view cosine": near.diag().mean().item(), "view recall@10": recall})


# Photos and lyrics together


def match(
    network: Network,
    seen: Seen,
    views: Tensor,
    songs: Sequence[Song],
    own: Sequence[Song],
    split: dict[str, Tensor],
    truth: Tensor,
    config: Config,
    log: Log,
) -> None:
    """Listwise: for each photo, the relevance over a batch of songs towards the teacher's, song means removed."""
    matcher = network.matcher
    network.lyrics.eval()
    with torch.inference_mode():
        encoded = [network.lyrics([song.lyric]) for song in track(songs, "states")]
        vectors = matcher.eval().photo(seen.scores, seen.features)
    states = [item.states.half().float().clone() for item in encoded]
    pooled = torch.cat([item.pooled for item in encoded]).clone()
    matcher.photo_mean.copy_(vectors[split["train"]].mean(0))
    own_places = list(range(len(songs) - len(own), len(songs)))
    check = (vectors[split["dev"]].clone(), own_places, truth)
    log.write("match", 0, {"theme nDCG@10": theme_score(matcher, states, check)})

    slow = list(matcher.photo.parameters())
    fast = [value for name, value in matcher.named_parameters() if not name.startswith("photo.")]
    optimizer = torch.optim.AdamW([{"params": slow, "lr": 1e-4}, {"params": fast, "lr": 1e-3}], weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [1e-4, 1e-3], total_steps=config.match_steps + 1)
    for step in track(range(1, config.match_steps + 1), "matching"):
        matcher.train()
        photos = split["train"][torch.randint(len(split["train"]), (config.photos_at_once,))]
        # A third of each batch are our own modern songs, the rest are old ones.
        third = config.songs_at_once // 3
        places = torch.randint(len(songs) - len(own), (config.songs_at_once - third,)).tolist()
        places += [own_places[i] for i in torch.randperm(len(own))[:third].tolist()]
        target = _without_means(teacher_relevance(views[photos], [songs[i].stanzas for i in places]))
        photo = matcher.photo(seen.scores[photos], seen.features[photos])
        padded, mask = _pad([states[i] for i in places])
        scores = _without_means(matcher(photo, padded, mask))
        first = _without_means(matcher.query(photo) @ pooled[places].T)
        loss = _listwise(scores, target, config) + 0.5 * _listwise(first, target, config)
        loss = loss + (1 - (photo * views[photos]).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(matcher.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0:
            matcher.eval()
            with torch.inference_mode():
                now = matcher.photo(seen.scores[split["dev"]], seen.features[split["dev"]])
                figures = {"loss": loss.item(), "theme nDCG@10": theme_score(matcher, states, (now, own_places, truth))}
            log.write("match", step, figures)
    with torch.no_grad():
        matcher.photo_mean.copy_(matcher.eval().photo(seen.scores, seen.features)[split["train"]].mean(0))


def teacher_relevance(views: Tensor, songs: Sequence[Tensor]) -> Tensor:
    """(B, D) views and N songs of (s, D) stanzas: the mean of the best two stanzas' cosines, (B, N)."""
    padded, mask = _pad(songs)
    near = torch.einsum("bd,nsd->bns", views, padded).masked_fill(~mask[None], -1.0)
    best = near.topk(min(2, near.shape[2]), dim=2).values
    alone = mask.sum(1) == 1
    return torch.where(alone[None], best[:, :, 0], best.mean(2))


def _pad(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    padded = nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
    lengths = torch.tensor([len(part) for part in parts])
    return padded, torch.arange(padded.shape[1])[None] < lengths[:, None]


def _without_means(scores: Tensor) -> Tensor:
    return scores - scores.mean(0, keepdim=True)


def _listwise(scores: Tensor, target: Tensor, config: Config) -> Tensor:
    wanted = (target / config.teacher_temperature).softmax(1)
    return nn.functional.cross_entropy(scores, wanted)


# The development figure: our own songs by theme, held-out photos by label


def _theme_truth(photos: Sequence[Photo], tags: Sequence[TagSpec], own: Sequence[Song], config: Config) -> Tensor:
    """Graded relevance of each own song for each held-out photo, (dev, songs): 3 for a main theme, 1 for a side one."""
    dev = [row for row, photo in enumerate(photos) if photo.split == "dev"]
    classes = torch.from_numpy(np.load(config.tagger / "start.npz")["classes"][dev]).float()
    targets, _ = tag_targets([photos[row] for row in dev], tags, classes)
    shown = [{tags[i].name for i in row.nonzero().flatten().tolist()} for row in targets >= 0.6]
    grades = torch.zeros(len(dev), len(own))
    for place, names in enumerate(shown):
        for column, song in enumerate(own):
            main = bool(names.intersection(song.themes))
            side = bool(names.intersection(song.side_themes))
            grades[place, column] = 3.0 if main else float(side)
    return grades


@torch.inference_mode()
def theme_score(matcher: Matcher, states: Sequence[Tensor], check: tuple[Tensor, list[int], Tensor]) -> float:
    """nDCG@10 over the held-out photos that have a song of a theme they show; song means removed."""
    photos, places, truth = check
    padded, mask = _pad([states[i] for i in places])
    scores = _without_means(torch.cat([matcher.eval()(part, padded, mask) for part in photos.split(32)]))
    return ndcg(scores, truth)


def ndcg(scores: Tensor, truth: Tensor, depth: int = 10) -> float:
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
        "architecture": {
            "dim": config.dim,
            "hidden": config.hidden,
            "buckets": config.buckets,
            "sharpness": config.sharpness,
        },
        "preprocessing": {"size": square.size, "mean": square.mean, "std": square.std},
        "training": {
            "backbone": "started from an ImageNet MobileNetV2 (Apache-2.0); every weight was trained on",
            "teacher": "all-MiniLM-L6-v2 (sentence embeddings), in training only",
            "photos": "Flickr8k and labelled photos, research use; not part of this release",
            "lyrics": "public-domain songbooks and this project's sample songs",
            "seed": config.seed,
        },
        "figures": log.last(),
        "tags": [{"name": tag.name, "kind": tag.kind} for tag in tags],
    }
