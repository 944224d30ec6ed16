"""Baselines: rankings without the model, or with a part of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..lyrics import WORD, parse_lyric
from ..model import Image2Song
from ..rank import CatalogueSong, Scores
from ..results import EncodedLyric, PhotoView

SENTENCE_TAGS = 10


def rank_by_stage_one(model: Image2Song, songs: Sequence[CatalogueSong]) -> Callable[[PhotoView], Scores]:
    """Rank by the inner product that the database searches candidates by."""
    encoded = model.encode([song.lyrics for song in songs])

    def score(view: PhotoView) -> Scores:
        query = model.query(view.embedding)
        scores = [song.stage_one @ query if isinstance(song, EncodedLyric) else -np.inf for song in encoded]
        return np.array(scores, np.float32)

    return score


def rank_at_random(model: Image2Song, songs: Sequence[CatalogueSong]) -> Callable[[PhotoView], Scores]:
    rng = np.random.default_rng(0)
    return lambda view: rng.random(len(songs), np.float32)


def rank_by_word_vectors(model: Image2Song, songs: Sequence[CatalogueSong]) -> Callable[[PhotoView], Scores]:
    """Rank by the cosine of the mean vector of the tags' words, weighted by score, and that of the lyric's words.

    The mean over all songs is subtracted from the lyrics' vectors; otherwise function words would decide.
    """

    @torch.inference_mode()
    def mean(words: Sequence[str], weights: Sequence[float]) -> Scores:
        if not words:
            return np.zeros(model.dim, np.float32)
        vectors = model.network.lyrics.words(words).float().cpu().numpy()
        total: Scores = np.average(vectors, axis=0, weights=weights)
        return total

    lyrics = [[word for line in parse_lyric(song.lyrics).lines for word in line] for song in songs]
    means = np.stack([mean(words, [1.0] * len(words)) for words in lyrics])
    means = _unit(means - means.mean(0))

    def score(view: PhotoView) -> Scores:
        words = [(word, tag.score) for tag in view.tags for word in WORD.findall(tag.name)]
        query = _unit(mean([word for word, _ in words], [weight for _, weight in words])[None])[0]
        scores: Scores = means @ query
        return scores

    return score


class SentenceEncoder:
    """Embed the tags as a sentence, embed the lyrics by stanza, rank by cosine: what one would do without the model.

    all-MiniLM-L6-v2, an optional requirement. ``references``: sentences of other photos; with them each song's mean
    cosine over these is removed, which holds songs down that are near everything.
    """

    def __init__(
        self, describe: Callable[[PhotoView], Sequence[str]], references: Sequence[Sequence[str]] | None = None
    ) -> None:
        self.describe = describe
        self.references = references

    def __call__(self, model: Image2Song, songs: Sequence[CatalogueSong]) -> Callable[[PhotoView], Scores]:
        from ..train.songs import stanzas_of
        from ..train.teacher import sentence_vectors

        stanzas = [stanzas_of(song.lyrics) for song in songs]
        vectors = sentence_vectors([text for part in stanzas for text in part])
        place = np.repeat(np.arange(len(songs)), [len(part) for part in stanzas])

        def cosines(sentences: Sequence[str]) -> Scores:
            near = sentence_vectors(sentences).mean(0) @ vectors.T  # (stanzas,)
            best = np.full(len(songs), -np.inf, np.float32)
            np.maximum.at(best, place, near)
            return best

        reference_cosines = [cosines(sentences) for sentences in self.references or ()]
        means = np.mean(reference_cosines, axis=0) if reference_cosines else np.zeros(len(songs), np.float32)

        def score(view: PhotoView) -> Scores:
            scores: Scores = np.where(np.isfinite(means), cosines(self.describe(view)) - means, np.float32(-np.inf))
            return scores

        return score


def tag_sentence(view: PhotoView) -> list[str]:
    return [", ".join(tag.name for tag in view.tags[:SENTENCE_TAGS]) or "a photo"]


def _unit(vectors: Scores) -> Scores:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Scores = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit
