"""Image2song as one release: photos and lyrics in, vectors, relevance and reasons out.

All arrays are numpy, D is ``dim``. Nothing here depends on which photos or songs came before.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor, nn

from .choose import directions
from .english import unsupported_language
from .images import Preprocessing
from .lyrics import Lyric, parse_lyric
from .network import Network
from .packing import join, pack, unpack
from .results import AttendedLine, EncodedLyric, Explanation, PhotoView, Reason, Refusal, Tag, Vector
from .space import SearchSpace
from .tagger import region_box
from .wishes import parse_wishes

# Tags below this score are not told to anybody; at most so many are.
SHOWN_SCORE = 0.15
SHOWN_TAGS = 15
REASONS = 4
# How much a text weighs beside a photo, which is 1 long: the photo still says what the songs are about.
STEERING = 0.7
SONGS_AT_ONCE = 512
WORDS_AT_ONCE = 8192
# Photos in one pass on a GPU: filled up to one of these sizes, so that few shapes are planned and allocated for.
PASS_SIZES = (1, 2, 4, 8, 16, 32, 64)


def _reasons(tags: Sequence[Tag], agreement: Vector) -> list[Reason]:
    """The tags that agree most, weighted by how surely they were seen, without those that say little."""
    weighted = [float(share) * tag.score**0.5 for share, tag in zip(agreement, tags, strict=True)]
    order = sorted(range(len(tags)), key=lambda row: -weighted[row])[:REASONS]
    return [
        Reason(tags[row].name, tags[row].kind, round(weighted[row], 4))
        for row in order
        if weighted[row] > 0.25 * weighted[order[0]] > 0
    ]


def _best_line(attention: Vector, offsets: Sequence[int], shown: Container[int]) -> int | None:
    """Of lines (m,) that lie at ``offsets``, or at unknown places where there are none."""
    rows = [row for row, offset in enumerate(offsets) if offset in shown]
    return offsets[rows[int(attention[rows].argmax())]] if rows else None


def fill_up(pixels: Tensor) -> Tensor:
    """A batch (B, ...) with empty rows up to the next of PASS_SIZES."""
    size = next(size for size in PASS_SIZES if size >= len(pixels))
    return torch.cat([pixels, pixels.new_zeros(size - len(pixels), *pixels.shape[1:])])


def _alike_in_length(lyrics: Mapping[int, Lyric]) -> list[list[int]]:
    """The rows in groups of which little is padding."""
    lengths = {row: sum(map(len, lyric.lines)) for row, lyric in lyrics.items()}
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
        self.preprocessing = Preprocessing.of(card["preprocessing"])
        self.network = network.eval().to(self.device)
        self.tag_rows = {name: row for row, (name, _) in enumerate(self.tags)}
        every = network.matcher.photo.tag_vectors.weight.detach()
        self.tag_directions = nn.functional.normalize(every - every.mean(0), dim=1)

    @cached_property
    def space(self) -> SearchSpace:
        network = self.network
        with torch.inference_mode():
            queries = network.matcher.query(network.reference)
        arrays = (queries, network.song_mean, network.song_covariance)
        return SearchSpace(*(array.float().cpu().numpy() for array in arrays))

    def analyse(self, photos: Sequence[Image.Image]) -> list[PhotoView]:
        """Look at upright RGB photos (see ``images.load_photo``)."""
        return self.analyse_pixels([self.preprocessing(photo) for photo in photos])

    def analyse_pixels(self, photos: Sequence[Tensor]) -> list[PhotoView]:
        """Look at photos that went through ``preprocessing``, (3, S, S) each."""
        most = PASS_SIZES[-1]
        return [
            view for start in range(0, len(photos), most) for view in self._analyse_pass(photos[start : start + most])
        ]

    def warm_up(self, most: int) -> None:
        """Run once what up to ``most`` photos at once will need: kernels are chosen and memory taken now, not later."""
        empty = torch.zeros(3, self.preprocessing.size, self.preprocessing.size)
        sizes = PASS_SIZES if self.device.type == "cuda" else PASS_SIZES[:1]
        for size in sizes:
            if size == 1 or size < 2 * most:
                self.analyse_pixels([empty] * size)
        self.encode(["warm up"])

    @torch.inference_mode()
    def _analyse_pass(self, photos: Sequence[Tensor]) -> list[PhotoView]:
        pixels = torch.stack(list(photos))
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            pixels = fill_up(pixels)
        pixels = pixels.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on_gpu):
            maps = self.network.tagger.backbone(pixels)
        tagged = self.network.tagger.classify(maps.float()[: len(photos)])
        vectors = self.network.embed_photos(tagged.logits, tagged.features)
        scores = self.network.tag_scores(tagged.logits, tagged.features)
        regions = tagged.regions.float().cpu().numpy()
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
    def encode(self, lyrics: Sequence[str]) -> list[EncodedLyric | Refusal]:
        """Read lyrics; those without a word or in another language than English are named instead."""
        read = [parse_lyric(text) for text in lyrics]
        stored: dict[int, EncodedLyric | Refusal] = {
            row: refused for row, lyric in enumerate(read) if (refused := self._refusal(lyric))
        }
        for rows in _alike_in_length({row: lyric for row, lyric in enumerate(read) if row not in stored}):
            encoded = self.network.lyrics([read[row] for row in rows])
            # All as precise as it is stored.
            placed = self.space.songs(encoded.pooled.float().cpu().numpy()).astype(np.float16).astype(np.float32)
            by_song, cells = encoded.states.split(encoded.lines), self.space.cells(placed).tolist()
            for row, states, stage_one, cell in zip(rows, by_song, placed, cells, strict=True):
                kept = pack(states.float().cpu().numpy())
                precise = torch.from_numpy(unpack(kept)).to(self.device)  # (m, D)
                mean = round(float(self.network.relevance(self.network.reference, precise, [len(kept)]).mean()), 6)
                stored[row] = EncodedLyric(kept, read[row].offsets, stage_one, cell, mean)
        return [stored[row] for row in range(len(read))]

    def refusal(self, lyrics: str) -> Refusal | None:
        """Why these lyrics would not be encoded, if so."""
        return self._refusal(parse_lyric(lyrics))

    def _refusal(self, lyric: Lyric) -> Refusal | None:
        words = [word for line in lyric.lines for word in line]
        if not words:
            return Refusal("no_lyrics")
        met = self.network.lyrics.words.index
        language = unsupported_language(words, known=sum(word in met for word in words) / len(words))
        return Refusal("unsupported_language", language) if language else None

    @torch.inference_mode()
    def query(self, embedding: Vector) -> Vector:
        """Stage one: v (D,) to v' as ``space`` lays it out, (D + 1,); its inner product with a song's ``stage_one``
        estimates the relevance, but for the photo's mean."""
        return self.space.query(self.network.matcher.query(self._tensor(embedding)[None])[0].cpu().numpy())

    @torch.inference_mode()
    def relevance(self, embedding: Vector, songs: Sequence[EncodedLyric]) -> Vector:
        """Stage two: the relevance of each song for the photo v (D,), its mean over reference photos removed, (N,)."""
        photo = self._tensor(embedding)
        scores = np.zeros(len(songs), np.float32)
        for start in range(0, len(songs), SONGS_AT_ONCE):
            states, lines = self._states(songs[start : start + SONGS_AT_ONCE])
            scores[start : start + len(lines)] = self.network.relevance(photo[None], states, lines)[0].cpu().numpy()
        return scores - np.array([song.mean_score for song in songs], np.float32)

    def confidence(self, view: PhotoView, relevance: ArrayLike) -> NDArray[np.float64]:
        """Probability that songs of these relevances fit the photo; below ``no_match`` a suggestion is a guess.

        Logistic in the song's standing and the photo's certainty, as fitted by the release's training; 0 where nothing
        was recognised.
        """
        if not view.certainty:
            return np.zeros(np.shape(relevance))
        fitted = self.card["confidence"]
        standing = self.standing(view.embedding, relevance)
        logit = fitted["offset"] + fitted["standing"] * standing + fitted["certainty"] * view.certainty
        likely: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logit, -50.0, 50.0)))
        return likely

    @torch.inference_mode()
    def standing(self, embedding: Vector, relevance: ArrayLike) -> NDArray[np.float64]:
        """By how many standard deviations each relevance is above what stage one gives this photo's v (D,) and the
        described songs of the training."""
        query, spread = self._spread(embedding)
        above: NDArray[np.float64] = np.asarray(relevance, np.float64) - float(query @ self.network.song_mean)
        return above / float(spread)

    @torch.inference_mode()
    def direction(self, embedding: Vector) -> Vector:
        """From v (D,) the vector (D + 1,) whose inner product with a song's ``stage_one`` estimates its standing: by it
        photos can be compared with each other."""
        query, spread = self._spread(embedding)
        return self.space.query((query / spread).cpu().numpy())

    def song_directions(self, songs: Sequence[Vector]) -> Vector:
        """Of songs' ``stage_one``, how they differ from the mean song, as ``choose`` compares them, (N, D)."""
        return directions(self.space.differences(np.asarray(songs, np.float32).reshape(-1, self.dim + 1)))

    def _spread(self, embedding: Vector) -> tuple[Tensor, Tensor]:
        """Of v (D,): its query in stage one, (D,), and the standard deviation of that query's relevances, ()."""
        network = self.network
        query = network.matcher.stage_one(self._tensor(embedding) - network.reference.mean(0))
        return query, (query @ network.song_covariance @ query).clamp(min=1e-6).sqrt()

    @property
    def no_match(self) -> float:
        threshold: float = self.card["confidence"]["threshold"]
        return threshold

    @torch.inference_mode()
    def attend(self, embedding: Vector, lyrics: str) -> list[AttendedLine]:
        """Where in a lyric the photo v (D,) looks, line by line and word by word; both kinds of shares add up to 1."""
        lyric = parse_lyric(lyrics)
        if not lyric.lines:
            return []
        read, shares = self.network.lyrics.line_vectors([lyric])
        states = self.network.lyrics.to_state(read)
        attention, _ = self.network.matcher.attend(self._tensor(embedding), states, [len(states)])
        weights = attention.softmax(0).tolist()
        by_line = shares.split([len(line) for line in lyric.lines])
        return [
            AttendedLine(offset, weight, list(zip(words, part.tolist(), strict=True)))
            for offset, weight, words, part in zip(lyric.offsets, weights, lyric.lines, by_line, strict=True)
        ]

    @torch.inference_mode()
    def explain(
        self,
        tags: Sequence[Tag],
        embedding: Vector,
        songs: Sequence[EncodedLyric],
        shown: Sequence[Container[int]] | None = None,
    ) -> list[Explanation]:
        """Which line of each song the photo attends to most, and which of its tags agree with what was attended to.

        ``shown``: of each song, the places of the lines that may be shown; None: all that were encoded.
        """
        if not songs:
            return []
        states, lines = self._states(songs)
        attention, lyric = self.network.matcher.attend(self._tensor(embedding), states, lines)
        known = [tag for tag in tags if tag.name in self.tag_rows]
        vectors = self.tag_directions[[self.tag_rows[tag.name] for tag in known]]  # (K, D)
        agreement = (lyric @ vectors.T).clamp(min=0).cpu().numpy()  # (N, K)
        every = shown or [song.line_offsets for song in songs]
        return [
            Explanation(_best_line(part.numpy(), song.line_offsets, allowed), _reasons(known, shares))
            for song, part, shares, allowed in zip(songs, attention.cpu().split(lines), agreement, every, strict=True)
        ]

    def _states(self, songs: Sequence[EncodedLyric]) -> tuple[Tensor, list[int]]:
        """Return the line states of all songs, one after the other, (sum of m, D), and each song's m."""
        packed = [song.line_states for song in songs]
        return torch.from_numpy(unpack(join(packed))).to(self.device), [len(states) for states in packed]

    def view_text(self, text: str) -> PhotoView:
        """A sentence in the place of a photo, wishes and refusals (``wishes.py``). ValueError without a word."""
        nothing: Vector = np.zeros(self.dim, np.float32)
        return PhotoView([], self._towards(nothing, text), is_text=True)

    def steer(self, view: PhotoView, text: str) -> PhotoView:
        """What is seen in a photo, moved towards what a text wishes and away from what it refuses; both stages see it
        so. ValueError without a word."""
        return replace(view, embedding=self._towards(view.embedding, text), is_text=not view.tags)

    def _towards(self, vector: Vector, text: str) -> Vector:
        wishes = [parse_lyric(part) for part in parse_wishes(text)]
        if not any(wish.lines for wish in wishes):
            raise ValueError("The text has no words.")
        for sign, wish in zip((STEERING, -STEERING), wishes, strict=True):
            if wish.lines:
                vector = vector + sign * self._text_vector(wish)
        steered: Vector = vector / max(float(np.linalg.norm(vector)), 1e-6)
        return steered

    @torch.inference_mode()
    def _text_vector(self, sentence: Lyric) -> Vector:
        """l0 of a sentence, which lies in the photos' space, (D,)."""
        vector: Vector = self.network.lyrics([sentence]).pooled[0].float().cpu().numpy()
        return vector

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.array(array, np.float32)).to(self.device)
