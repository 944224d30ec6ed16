"""The baseline: a photo's tags as a query over the lyrics, ranked by BM25 (Robertson and Zaragoza 2009)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ..lyrics import WORD, parse_lyric
from ..model import Image2Song
from ..rank import CatalogueSong, Scores
from ..results import PhotoView

K1, B = 1.2, 0.75


def rank_by_tags(model: Image2Song, songs: Sequence[CatalogueSong]) -> Callable[[PhotoView], Scores]:
    """Rank by BM25 with the words of the tags as a query, weighted by the tags' scores."""
    counts = [Counter(word for line in parse_lyric(song.lyrics).lines for word in line) for song in songs]
    lengths = np.array([count.total() for count in counts], np.float32)
    relative = lengths / max(float(lengths.mean()), 1.0)
    document_frequency = Counter(word for count in counts for word in count)

    def score(view: PhotoView) -> Scores:
        scores = np.zeros(len(songs), np.float32)
        for tag in view.tags:
            for word in WORD.findall(tag.name):
                idf = math.log(1 + (len(songs) - document_frequency[word] + 0.5) / (document_frequency[word] + 0.5))
                frequency = np.array([count[word] for count in counts], np.float32)
                scores += tag.score * idf * frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * relative))
        return np.where(lengths > 0, scores, -np.inf).astype(np.float32)

    return score
