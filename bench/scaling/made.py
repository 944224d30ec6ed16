"""Makes a large catalogue from a small one: new songs from line states of real lyrics, and the exhaustive ranking.

Each new song takes its lines from three real ones (two fifths, three tenths, three tenths), and no two have two of
these in common, so that they share at most two fifths of their lines; its length is a real one's. Stage one's vector is
pooled anew from the lines, as the encoder does it, and the mean over reference photos is taken with the full relevance.
The exhaustive ranking is kept in a folder, since it takes minutes: it depends on the release, the lyrics, the photos
and the numbers alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from recommender.model import Image2Song
from recommender.packing import join, unpack
from recommender.results import EncodedLyric

FEWEST_LINES = 6
SHARES = (0.4, 0.3, 0.3)
AT_ONCE = 8  # songs in one pass: what fits the processor's cache with a few hundred photos
POOLED_AT_ONCE = 2000
SAY_EVERY = 60.0
TRIES = 10_000


@dataclass(frozen=True)
class Made:
    """N songs: the lines of song n are states[starts[n] : starts[n + 1]], and so are their words.

    states (sum of m,) packed, stage_one (N, D + 1) fp16, cells (N,), mean_score (N,)
    exact (P, N) the full relevance for each photo
    """

    real: list[str]  # the source lyrics
    first: NDArray[np.int64]  # of each of these, its first line's place among all lines
    lines: list[str]  # of all of them; ``places`` (sum of m,) says which of them
    places: NDArray[np.int64]
    states: NDArray[np.void]
    starts: NDArray[np.int64]
    stage_one: NDArray[np.float16]
    cells: NDArray[np.int32]
    mean_score: NDArray[np.float32]
    exact: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def packed(self, song: int) -> NDArray[np.void]:
        return self.states[self.starts[song] : self.starts[song + 1]]

    def source_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the source lyric of each line."""
        return np.searchsorted(self.first, places, "right") - 1

    def lyrics(self, song: int) -> str:
        return "\n".join(self.lines[place] for place in self.places[self.starts[song] : self.starts[song + 1]])


def make(
    model: Image2Song,
    lyrics: Sequence[str],
    photos: NDArray[np.float32],
    songs: int,
    folder: Path,
    say: Callable[[str], None],
) -> Made:
    """Make N songs, and their relevance for the photos v (P, D)."""
    key = hashlib.sha256(
        repr((model.sha256, songs, FEWEST_LINES, SHARES)).encode() + "\0".join(lyrics).encode() + photos.tobytes()
    )
    place = folder / key.hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    say("real lyrics are read")
    texts, lines, real = _read(model, lyrics)
    first = np.cumsum([0, *(len(song) for song in real[:-1])])
    say("their lines are recombined")
    places, starts = _recombine([len(song) for song in real], songs)
    states = np.concatenate(real)[places]
    say("stage one's vectors are pooled")
    stage_one = _pooled(model, states, starts)
    if not (place / "scores.npy").exists():
        _exhaustive(model, states, starts, photos, place / "scores.npy", say)
    scores = np.load(place / "scores.npy", mmap_mode="r")  # (N, 1 + P)
    mean = np.ascontiguousarray(scores[:, 0])
    cells = np.concatenate(
        [model.space.cells(part.astype(np.float32)) for part in np.array_split(stage_one, 1 + songs // 10_000)]
    )
    exact = np.ascontiguousarray(scores[:, 1:].T) - mean
    return Made(texts, first, lines, places, states, starts, stage_one, cells, mean, exact)


def _read(model: Image2Song, lyrics: Sequence[str]) -> tuple[list[str], list[str], list[NDArray[np.void]]]:
    """Return the lyrics that could be encoded, the words of all lines, and the line states of each lyric."""
    encoded = [song for start in range(0, len(lyrics), 64) for song in model.encode(lyrics[start : start + 64])]
    texts: list[str] = []
    words: list[str] = []
    states = []
    for text, song in zip(lyrics, encoded, strict=True):
        if isinstance(song, EncodedLyric):
            written = text.split("\n")
            words += [written[place].strip() for place in song.line_offsets]
            states.append(song.line_states)
            texts.append(text)
    return texts, words, states


def _recombine(real: Sequence[int], songs: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the source lines of the new songs, and where each song begins. ``real``: the lines of each source."""
    lot = Random(0)
    lengths = np.array(real)
    longest_first = np.argsort(-lengths, kind="stable").tolist()
    at_least = [int((lengths >= size).sum()) for size in range(lengths.max() + 1)]  # sources of so many lines
    first = np.r_[0, np.cumsum(lengths)].tolist()
    used: set[int] = set()  # pairs of sources: no two songs have two in common, so at most two fifths of their lines
    places: list[int] = []
    starts = [0]
    for size in np.maximum(FEWEST_LINES, np.random.default_rng(0).choice(lengths, songs)).tolist():
        parts = [round(size * SHARES[0]), round(size * SHARES[1])]
        parts.append(size - sum(parts))
        for source, lines in zip(_sources(lot, longest_first, at_least, parts, used), parts, strict=True):
            places += sorted(lot.sample(range(first[source], first[source + 1]), lines))
        starts.append(len(places))
    return np.array(places), np.array(starts)


def _sources(lot: Random, longest_first: list[int], at_least: list[int], parts: list[int], used: set[int]) -> list[int]:
    """Return a source for each part, so that no pair of sources is used twice."""
    for _ in range(TRIES):
        chosen = [longest_first[lot.randrange(at_least[lines])] for lines in parts]
        low, middle, high = sorted(chosen)
        pairs = {low << 32 | middle, low << 32 | high, middle << 32 | high}
        if low < middle < high and not pairs & used:
            used |= pairs
            return chosen
    raise SystemExit(f"{len(longest_first)} lyrics are too few for so many songs: give more with --lyrics.")


@torch.inference_mode()
def _pooled(model: Image2Song, states: NDArray[np.void], starts: NDArray[np.int64]) -> NDArray[np.float16]:
    parts = []
    for begin in range(0, len(starts) - 1, POOLED_AT_ONCE):
        end = min(begin + POOLED_AT_ONCE, len(starts) - 1)
        part = torch.from_numpy(unpack(states[starts[begin] : starts[end]]))
        encoded = model.network.lyrics.pool(part, np.diff(starts[begin : end + 1]).tolist())
        parts.append(model.space.songs(encoded.pooled.numpy()).astype(np.float16))
    return np.concatenate(parts)


@torch.inference_mode()
def _exhaustive(
    model: Image2Song,
    states: NDArray[np.void],
    starts: NDArray[np.int64],
    photos: NDArray[np.float32],
    path: Path,
    say: Callable[[str], None],
) -> None:
    """Return relevances (N, 1 + P): mean over the reference photos, then each photo; in one pass over all songs."""
    network = model.network
    together = torch.cat([network.reference, torch.from_numpy(photos)])
    references = len(network.reference)
    lengths = np.diff(starts)
    order = np.argsort(lengths, kind="stable")  # little padding
    partial = path.with_suffix(".partial")
    scores = np.lib.format.open_memmap(partial, "w+", np.float32, (len(order), 1 + len(photos)))
    began = said = time.monotonic()
    for begin in range(0, len(order), AT_ONCE):
        songs = order[begin : begin + AT_ONCE]
        part = torch.from_numpy(unpack(join([states[starts[song] : starts[song + 1]] for song in songs])))
        relevance = network.relevance(together, part, lengths[songs].tolist()).numpy()  # (R + P, n)
        scores[songs, 0] = relevance[:references].mean(0)
        scores[songs, 1:] = relevance[references:].T
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            say(f"  ranked exhaustively: {begin + AT_ONCE} of {len(order)} songs, {said - began:.0f} s")
    scores.flush()
    partial.rename(path)
