"""A release in use: analyses photos, encodes lyrics, ranks songs for a photo and explains the ranking.

Arrays in and out are numpy, D is ``dim``. Results do not depend on earlier calls.
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
from .explaining import attended_line, strongest_reasons
from .images import Preprocessing
from .lyrics import Lyric, parse_lyric
from .network import Network
from .packing import join, pack, unpack
from .results import AttendedLine, EncodedLyric, Explanation, PhotoView, Refusal, Tag, Vector
from .space import SearchSpace
from .tagger import region_box

# A photo shows at most so many tags, none with a lower score.
SHOWN_SCORE = 0.15
SHOWN_TAGS = 15
# Length of a text's vector when it is added to v, whose length is 1: both count alike.
# Refused words are not subtracted: that leads to songs about anything else. They count song by song (``closeness``).
STEERING = 1.0
SONGS_AT_ONCE = 512
WORDS_AT_ONCE = 8192
# On a GPU a pass is padded to one of these numbers of photos, so that kernels and memory are set up for few shapes.
PASS_SIZES = (1, 2, 4, 8, 16, 32, 64)


def fill_up(pixels: Tensor) -> Tensor:
    """Pad a batch (B, ...) with zeros to the next of PASS_SIZES."""
    size = next(size for size in PASS_SIZES if size >= len(pixels))
    return torch.cat([pixels, pixels.new_zeros(size - len(pixels), *pixels.shape[1:])])


def _batches_by_length(lyrics: Mapping[int, Lyric]) -> list[list[int]]:
    """Group the keys of lyrics of similar length, at most WORDS_AT_ONCE words each with padding."""
    lengths = {row: sum(map(len, lyric.lines)) for row, lyric in lyrics.items()}
    batches: list[list[int]] = []
    for row in sorted(lengths, key=lengths.__getitem__):
        if not batches or (len(batches[-1]) + 1) * lengths[row] > WORDS_AT_ONCE:
            batches.append([])
        batches[-1].append(row)
    return batches


class Image2Song:
    """A loaded release on one device; ``recommender.release.load_release`` makes it."""

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
        tag_vectors = network.matcher.photo.tag_vectors.weight.detach()
        self.tag_directions = nn.functional.normalize(tag_vectors - tag_vectors.mean(0), dim=1)

    @cached_property
    def space(self) -> SearchSpace:
        """The coordinates in which this release stores stage-one vectors."""
        network = self.network
        with torch.inference_mode():
            queries = network.matcher.query(network.reference)
        arrays = (queries, network.song_mean, network.song_covariance)
        return SearchSpace(*(array.float().cpu().numpy() for array in arrays))

    def analyse(self, photos: Sequence[Image.Image]) -> list[PhotoView]:
        """Return the tags and v of upright RGB photos (see ``images.load_photo``)."""
        return self.analyse_pixels([self.preprocessing(photo) for photo in photos])

    def analyse_pixels(self, photos: Sequence[Tensor]) -> list[PhotoView]:
        """Return the tags and v of photos that went through ``preprocessing``, (3, S, S) each."""
        size = PASS_SIZES[-1]
        passes = [photos[start : start + size] for start in range(0, len(photos), size)]
        return [view for part in passes for view in self._analyse_pass(part)]

    def warm_up(self, most: int) -> None:
        """Run passes of up to ``most`` photos, so that kernels are chosen and memory is allocated before real work."""
        black = torch.zeros(3, self.preprocessing.size, self.preprocessing.size)
        sizes = PASS_SIZES if self.device.type == "cuda" else PASS_SIZES[:1]
        for size in sizes:
            if size == 1 or size < 2 * most:
                self.analyse_pixels([black] * size)
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
        """Encode lyrics for storage, or return why not: there is no word in them, or they are not in English."""
        parsed = [parse_lyric(text) for text in lyrics]
        results: dict[int, EncodedLyric | Refusal] = {
            row: refusal for row, lyric in enumerate(parsed) if (refusal := self._refusal(lyric))
        }
        for rows in _batches_by_length({row: lyric for row, lyric in enumerate(parsed) if row not in results}):
            encoded = self.network.lyrics([parsed[row] for row in rows])
            # Cells and mean scores are computed from the vectors in the precision in which they are stored.
            placed = self.space.songs(encoded.pooled.float().cpu().numpy()).astype(np.float16).astype(np.float32)
            by_song, cells = encoded.states.split(encoded.lines), self.space.cells(placed).tolist()
            for row, states, stage_one, cell in zip(rows, by_song, placed, cells, strict=True):
                packed = pack(states.float().cpu().numpy())
                stored = torch.from_numpy(unpack(packed)).to(self.device)  # (m, D)
                mean = round(float(self.network.relevance(self.network.reference, stored, [len(packed)]).mean()), 6)
                results[row] = EncodedLyric(packed, parsed[row].offsets, stage_one, cell, mean)
        return [results[row] for row in range(len(parsed))]

    def refusal(self, lyrics: str) -> Refusal | None:
        """Return why ``encode`` would refuse these lyrics, or None."""
        return self._refusal(parse_lyric(lyrics))

    def _refusal(self, lyric: Lyric) -> Refusal | None:
        words = [word for line in lyric.lines for word in line]
        if not words:
            return Refusal("no_lyrics")
        vocabulary = self.network.lyrics.words.index
        language = unsupported_language(words, known=sum(word in vocabulary for word in words) / len(words))
        return Refusal("unsupported_language", language) if language else None

    @torch.inference_mode()
    def query(self, embedding: Vector) -> Vector:
        """Return the photo query of v (D,) in the coordinates of ``space``, (D + 1,).

        Its inner product with a song's ``stage_one`` estimates the relevance, up to a constant of the photo.
        """
        return self.space.query(self.network.matcher.query(self._tensor(embedding)[None])[0].cpu().numpy())

    @torch.inference_mode()
    def relevance(self, embedding: Vector, songs: Sequence[EncodedLyric]) -> Vector:
        """Return the relevance (stage two) of each song for a photo v (D,), the song's mean score subtracted, (N,)."""
        photo = self._tensor(embedding)
        scores = np.zeros(len(songs), np.float32)
        for start in range(0, len(songs), SONGS_AT_ONCE):
            states, lines = self._states(songs[start : start + SONGS_AT_ONCE])
            scores[start : start + len(lines)] = self.network.relevance(photo[None], states, lines)[0].cpu().numpy()
        return scores - np.array([song.mean_score for song in songs], np.float32)

    def confidence(self, view: PhotoView, relevance: ArrayLike) -> NDArray[np.float64]:
        """Return the probability that songs of these relevances fit the photo; see ``no_match``.

        It is logistic in the song's standing and the photo's certainty, with the card's coefficients; 0 for a photo
        without tags.
        """
        if not view.certainty:
            return np.zeros(np.shape(relevance))
        fitted = self.card["confidence"]
        standing = self.standing(view.embedding, relevance)
        logit = fitted["offset"] + fitted["standing"] * standing + fitted["certainty"] * view.certainty
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logit, -50.0, 50.0)))
        return probability

    @torch.inference_mode()
    def standing(self, embedding: Vector, relevance: ArrayLike) -> NDArray[np.float64]:
        """Return how many standard deviations each relevance lies above the mean that stage one gives this photo,
        v (D,), over the songs of the training."""
        query, deviation = self._query_and_deviation(embedding)
        above: NDArray[np.float64] = np.asarray(relevance, np.float64) - float(query @ self.network.song_mean)
        return above / float(deviation)

    @torch.inference_mode()
    def direction(self, embedding: Vector) -> Vector:
        """Return the direction of a photo v (D,): a vector (D + 1,) whose inner product with a song's ``stage_one``
        estimates the song's standing, which is comparable between photos."""
        query, deviation = self._query_and_deviation(embedding)
        return self.space.query((query / deviation).cpu().numpy())

    def song_directions(self, songs: Sequence[Vector]) -> Vector:
        """Return from songs' ``stage_one`` the unit vectors (N, D) of their differences from the mean song."""
        return directions(self.space.differences(np.asarray(songs, np.float32).reshape(-1, self.dim + 1)))

    def _query_and_deviation(self, embedding: Vector) -> tuple[Tensor, Tensor]:
        """Return the photo query of v (D,), less that of the mean reference photo, and the standard deviation of its
        stage-one relevances, ()."""
        network = self.network
        query = network.matcher.stage_one(self._tensor(embedding) - network.reference.mean(0))
        return query, (query @ network.song_covariance @ query).clamp(min=1e-6).sqrt()

    @property
    def no_match(self) -> float:
        """The confidence below which a suggestion is a guess."""
        threshold: float = self.card["confidence"]["threshold"]
        return threshold

    @torch.inference_mode()
    def attend(self, embedding: Vector, lyrics: str) -> list[AttendedLine]:
        """Return the tag attention of a photo v (D,) for each line of the lyrics, and each word's weight in its line.

        The weights of the lines add up to 1, and those of the words of a line.
        """
        lyric = parse_lyric(lyrics)
        if not lyric.lines:
            return []
        vectors, word_weights = self.network.lyrics.line_vectors([lyric])
        states = self.network.lyrics.to_state(vectors)
        attention, _ = self.network.matcher.attend(self._tensor(embedding), states, [len(states)])
        line_weights = attention.softmax(0).tolist()
        by_line = word_weights.split([len(line) for line in lyric.lines])
        return [
            AttendedLine(offset, weight, list(zip(words, part.tolist(), strict=True)))
            for offset, weight, words, part in zip(lyric.offsets, line_weights, lyric.lines, by_line, strict=True)
        ]

    @torch.inference_mode()
    def explain(
        self,
        tags: Sequence[Tag],
        embedding: Vector,
        songs: Sequence[EncodedLyric],
        shown: Sequence[Container[int]] | None = None,
    ) -> list[Explanation]:
        """Return for each song the line that the photo v (D,) attends to most, and the tags that support the song.

        ``shown``: for each song the offsets of the lines that may be shown; None: every encoded line.
        """
        if not songs:
            return []
        states, lines = self._states(songs)
        attention, attended = self.network.matcher.attend(self._tensor(embedding), states, lines)  # l(v): (N, D)
        known = [tag for tag in tags if tag.name in self.tag_rows]
        vectors = self.tag_directions[[self.tag_rows[tag.name] for tag in known]]  # (K, D)
        agreement = (attended @ vectors.T).clamp(min=0).cpu().numpy()  # (N, K)
        allowed = shown or [song.line_offsets for song in songs]
        return [
            Explanation(attended_line(part.numpy(), song.line_offsets, offsets), strongest_reasons(known, shares))
            for song, part, shares, offsets in zip(songs, attention.cpu().split(lines), agreement, allowed, strict=True)
        ]

    def _states(self, songs: Sequence[EncodedLyric]) -> tuple[Tensor, list[int]]:
        """Return the line states of all songs, one after the other, (sum of m, D), and each song's m."""
        packed = [song.line_states for song in songs]
        return torch.from_numpy(unpack(join(packed))).to(self.device), [len(states) for states in packed]

    @property
    def vocabulary(self) -> Container[str]:
        """The words, in lower case, whose vectors were learned."""
        return self.network.lyrics.words.index

    def view_text(self, text: str) -> PhotoView:
        """Return the view of wanted words in place of a photo. Raises ValueError for a text without a word."""
        if not parse_lyric(text).lines:
            raise ValueError("The text has no words.")
        return PhotoView([], self._text_vector(text), is_text=True)

    @cached_property
    def plain_view(self) -> PhotoView:
        """The view of a text that wants no words in particular: the mean of the reference photos."""
        mean: Vector = self.network.reference.mean(0).float().cpu().numpy()
        return PhotoView([], mean / np.linalg.norm(mean), is_text=True)

    def steer(self, view: PhotoView, text: str) -> PhotoView:
        """Move a photo's v towards the wanted words of a text, for both stages.

        A photo without tags counts as a text then, with certainty 1. Raises ValueError for a text without a word.
        """
        moved: Vector = view.embedding + STEERING * self.view_text(text).embedding
        moved /= max(float(np.linalg.norm(moved)), 1e-6)
        return replace(view, embedding=moved, is_text=not view.tags)

    def closeness(self, text: str, songs: Sequence[EncodedLyric]) -> NDArray[np.float64]:
        """Return the standing of each song for a text alone, (N,): how much more it is about these words than songs
        are in general, in standard deviations."""
        embedding = self.view_text(text).embedding
        return self.standing(embedding, self.relevance(embedding, songs))

    @torch.inference_mode()
    def _text_vector(self, text: str) -> Vector:
        """Return l0 of a text as one line, (D,), of length 1; it lies in the same space as v."""
        line = parse_lyric(" ".join(text.split()))
        vector: Vector = self.network.lyrics([line]).pooled[0].float().cpu().numpy()
        return vector

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.array(array, np.float32)).to(self.device)
