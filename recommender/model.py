"""Image2song as one release: photos and lyrics in, vectors, relevance and reasons out.

All arrays are numpy, D is ``dim``. Nothing here depends on which photos or songs came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from .images import Preprocessing, batch
from .lyrics import Lyric, LyricEncoder, read_lyric
from .matcher import Matcher
from .tagger import Box, Tagger, region_box

Vector = NDArray[np.float32]

# Tags below this score are not told to anybody; at most so many are.
SHOWN_SCORE = 0.15
SHOWN_TAGS = 15
REASONS = 4
SONGS_AT_ONCE = 256
WORDS_AT_ONCE = 8192


@dataclass(frozen=True)
class Tag:
    """``kind``: object, attribute, action or scene. ``box``: x0, y0, x1, y1 as fractions of the photo."""

    name: str
    kind: str
    score: float
    box: Box


@dataclass(frozen=True)
class PhotoView:
    """What the model sees in a photo: tags, best first (perhaps none), and v, (D,)."""

    tags: list[Tag]
    embedding: Vector


@dataclass(frozen=True)
class EncodedLyric:
    """What is stored of a song: g (m, D) in half precision, l0 (D,), and the mean relevance over reference photos.

    ``line_offsets``: place of each state's line in ``lyrics.split("\\n")``.
    """

    line_states: NDArray[np.float16]
    line_offsets: list[int]
    stage_one: Vector
    mean_score: float


@dataclass(frozen=True)
class Reason:
    tag: str
    kind: str
    weight: float


@dataclass(frozen=True)
class Explanation:
    """The line that fits, as its place in ``lyrics.split("\\n")``, and the tags that speak for the song."""

    line: int
    reasons: list[Reason] = field(default_factory=list)


class Network(nn.Module):
    """All weights of a release. ``reference`` holds the v of photos over which a song's mean is taken, (R, D)."""

    def __init__(self, *, tags: int, vocabulary: Sequence[str], references: int, architecture: dict[str, Any]) -> None:
        super().__init__()
        dim = architecture["dim"]
        self.tagger = Tagger(tags, architecture["sharpness"])
        self.lyrics = LyricEncoder(vocabulary, architecture["buckets"], dim, architecture["hidden"])
        self.matcher = Matcher(tags, dim)
        self.reference = nn.Buffer(torch.zeros(references, dim))


def _alike_in_length(lyrics: Sequence[Lyric]) -> list[list[int]]:
    """Rows of the lyrics that have words, in groups of which little is padding."""
    lengths = {row: sum(map(len, lyric.lines)) for row, lyric in enumerate(lyrics) if lyric.lines}
    groups: list[list[int]] = []
    for row in sorted(lengths, key=lengths.__getitem__):
        if not groups or (len(groups[-1]) + 1) * lengths[row] > WORDS_AT_ONCE:
            groups.append([])
        groups[-1].append(row)
    return groups


class Image2Song:
    """A release that is ready to use on one device; made by ``recommender.release.load_release``."""

    def __init__(self, *, network: Network, card: dict[str, Any], sha256: str, device: str) -> None:
        self.name: str = card["name"]
        self.card = card
        self.sha256 = sha256
        self.device = torch.device(device)
        self.dim: int = card["architecture"]["dim"]
        self.tags: list[tuple[str, str]] = [(tag["name"], tag["kind"]) for tag in card["tags"]]
        self.preprocessing = Preprocessing(**card["preprocessing"])
        self.network = network.eval().to(self.device)

    @torch.inference_mode()
    def analyse(self, photos: Sequence[Image.Image]) -> list[PhotoView]:
        """Look at upright RGB photos (see ``images.load_photo``)."""
        if not photos:
            return []
        pixels = batch(list(photos), self.preprocessing).to(self.device, memory_format=torch.channels_last)
        seen = self.network.tagger(pixels)
        scores = seen.logits.sigmoid()
        vectors = self.network.matcher.photo(scores, seen.features)
        regions = seen.regions.float().cpu().numpy()
        return [
            PhotoView(self._tags(scores[row].float().cpu().numpy(), regions[row]), vectors[row].float().cpu().numpy())
            for row in range(len(photos))
        ]

    def _tags(self, scores: Vector, regions: Vector) -> list[Tag]:
        best = np.argsort(-scores, kind="stable")[:SHOWN_TAGS]
        return [self._tag(int(tag), float(scores[tag]), regions[tag]) for tag in best if scores[tag] >= SHOWN_SCORE]

    def _tag(self, tag: int, score: float, regions: Vector) -> Tag:
        name, kind = self.tags[tag]
        return Tag(name, kind, round(score, 4), region_box(regions))

    @torch.inference_mode()
    def encode(self, lyrics: Sequence[str]) -> list[EncodedLyric | None]:
        """Read lyrics; None for one without a single word."""
        read = [read_lyric(text) for text in lyrics]
        stored: dict[int, EncodedLyric] = {}
        for rows in _alike_in_length(read):
            encoded = self.network.lyrics([read[row] for row in rows])
            for row, states, pooled in zip(rows, encoded.states.split(encoded.lines), encoded.pooled, strict=True):
                kept = states.half()
                mean = round(float(self._scores(self.network.reference, [kept]).mean()), 6)
                stored[row] = EncodedLyric(kept.cpu().numpy(), read[row].offsets, pooled.float().cpu().numpy(), mean)
        return [stored.get(row) for row in range(len(read))]

    @torch.inference_mode()
    def query(self, embedding: Vector) -> Vector:
        """Stage one: v (D,) to v' (D,); its inner product with a song's ``stage_one`` estimates the relevance."""
        query: Vector = self.network.matcher.query(self._tensor(embedding)[None])[0].cpu().numpy()
        return query

    @torch.inference_mode()
    def relevance(self, embedding: Vector, songs: Sequence[EncodedLyric]) -> Vector:
        """Stage two: the relevance of each song for the photo v (D,), its mean over reference photos removed, (N,)."""
        photo = self._tensor(embedding)[None]
        scores = [np.zeros(0, np.float32)]
        for start in range(0, len(songs), SONGS_AT_ONCE):
            states = [self._tensor(song.line_states) for song in songs[start : start + SONGS_AT_ONCE]]
            scores.append(self._scores(photo, states)[0].cpu().numpy())
        means = np.array([song.mean_score for song in songs], np.float32)
        return np.concatenate(scores) - means

    @torch.inference_mode()
    def explain(self, tags: Sequence[Tag], embedding: Vector, song: EncodedLyric) -> Explanation:
        """Which line the photo attends to most, and which of its tags agree with what was attended to."""
        states = self._tensor(song.line_states)
        mask = torch.ones(1, len(states), dtype=torch.bool, device=self.device)
        weights = self.network.matcher.attention(self._tensor(embedding)[None], states[None], mask)[0, 0]  # (m,)
        attended = nn.functional.normalize(weights @ states, dim=0)
        every = self.network.matcher.photo.tag_vectors.weight
        rows = {name: row for row, (name, _) in enumerate(self.tags)}
        known = [tag for tag in tags if tag.name in rows]
        reasons: list[Reason] = []
        if known:
            vectors = every[[rows[tag.name] for tag in known]] - every.mean(0)
            agreement = (nn.functional.normalize(vectors, dim=1) @ attended).clamp(min=0).cpu().numpy()
            weighted = [float(share) * tag.score**0.5 for share, tag in zip(agreement, known, strict=True)]
            order = sorted(range(len(known)), key=lambda row: -weighted[row])[:REASONS]
            reasons = [
                Reason(known[row].name, known[row].kind, round(weighted[row], 4))
                for row in order
                if weighted[row] > 0.25 * weighted[order[0]] > 0
            ]
        return Explanation(song.line_offsets[int(weights.argmax())], reasons)

    @torch.inference_mode()
    def view_text(self, text: str) -> PhotoView:
        """A sentence in the place of a photo: its line state, in the photos' space. ValueError without a word."""
        lyric = read_lyric(text.replace("\n", " "))
        if not lyric.lines:
            raise ValueError("The text has no words.")
        vector = nn.functional.normalize(self.network.lyrics([lyric]).pooled[0], dim=0)
        return PhotoView([], vector.float().cpu().numpy())

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.array(array, np.float32)).to(self.device)

    def _scores(self, photos: Tensor, songs: Sequence[Tensor]) -> Tensor:
        """(B, D) photos and N songs of (m, D) states each: relevance (B, N)."""
        padded = nn.utils.rnn.pad_sequence([states.float() for states in songs], batch_first=True)
        lengths = torch.tensor([len(states) for states in songs], device=self.device)
        mask = torch.arange(padded.shape[1], device=self.device)[None] < lengths[:, None]
        relevance: Tensor = self.network.matcher(photos, padded, mask)
        return relevance
