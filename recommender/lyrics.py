"""The second part of the model: a bidirectional recurrent network that encodes each line of a lyric.

lyric  h_1..h_n = BiLSTM(w_1..w_n);  r_i = learned pooling of [h_j ; w_j] over the words of line i;  g_i = W r_i
l0     = sum_i b_i g_i, to unit length;  b_i = softmax_i(u . tanh(W_h g_i))
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor, nn

MAX_WORDS = 5000
MAX_LINES = 1000  # the memory of the tag attention grows with the number of lines
LINE_HIDDEN = 64  # hidden units of the line weights; the tag attention, which starts from them, has as many
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True)
class Lyric:
    """The words of each line that has one, and the line's offset: its index in ``text.split("\\n")``."""

    lines: list[list[str]]
    offsets: list[int]


def parse_lyric(text: str) -> Lyric:
    """Split lyrics into lines and lower-case words; an apostrophe inside a word belongs to it.

    Words after the first MAX_WORDS and lines after the first MAX_LINES are left out.
    """
    lines: list[list[str]] = []
    offsets: list[int] = []
    budget = MAX_WORDS
    for offset, line in enumerate(text.split("\n")):
        words = WORD.findall(unicodedata.normalize("NFKC", line).replace("\u2019", "'").lower())[:budget]
        if words and len(lines) < MAX_LINES:
            lines.append(words)
            offsets.append(offset)
            budget -= len(words)
    return Lyric(lines, offsets)


class WordVectors(nn.Module):
    """Word vectors: a learned one for each word of the vocabulary, else the mean of the vectors of its n-grams.

    Character n-grams share ``buckets`` rows by a hash (Bojanowski et al. 2017).
    """

    def __init__(self, vocabulary: Sequence[str], buckets: int, dim: int) -> None:
        super().__init__()
        self.index = {word: row for row, word in enumerate(vocabulary)}
        self.buckets = buckets
        self.known = nn.Embedding(len(vocabulary), dim)
        self.ngrams = nn.EmbeddingBag(buckets, dim, mode="mean")

    def forward(self, words: Sequence[str]) -> Tensor:  # n words -> (n, D)
        rows = torch.tensor([self.index.get(word, -1) for word in words], device=self.known.weight.device)
        vectors: Tensor = self.known(rows.clamp(min=0))
        unknown = (rows < 0).nonzero().flatten()
        if len(unknown):
            spelled = self.spell([words[i] for i in unknown.tolist()])
            vectors = vectors.index_copy(0, unknown, spelled.to(vectors.dtype))
        return vectors

    def spell(self, words: Sequence[str]) -> Tensor:
        """Return vectors from the n-grams alone: n words -> (n, D)."""
        grams = [self._grams(word) for word in words]
        device = self.ngrams.weight.device
        starts = [0]
        for rows in grams[:-1]:
            starts.append(starts[-1] + len(rows))
        flat = [row for rows in grams for row in rows]
        vectors: Tensor = self.ngrams(torch.tensor(flat, device=device), torch.tensor(starts, device=device))
        return vectors

    def _grams(self, word: str) -> list[int]:
        marked = f"<{word[:40]}>"
        return [
            zlib.crc32(marked[start : start + n].encode()) % self.buckets
            for n in (3, 4, 5, 6)
            for start in range(max(1, len(marked) - n + 1))
        ]


class Encoded(NamedTuple):
    states: Tensor  # (sum of m, D) the line states g of all lyrics, one after the other
    lines: list[int]  # m of each lyric
    pooled: Tensor  # (N, D) l0, each lyric pooled without a photo

    def select(self, rows: Sequence[int]) -> Encoded:
        """Return some of the lyrics, in the order of ``rows``."""
        ends = list(accumulate(self.lines))
        states = [self.states[ends[row] - self.lines[row] : ends[row]] for row in rows]
        return Encoded(torch.cat(states), [self.lines[row] for row in rows], self.pooled[list(rows)])


CELLS: dict[str, type[nn.LSTM] | type[nn.GRU] | None] = {"lstm": nn.LSTM, "gru": nn.GRU, "none": None}


class LyricEncoder(nn.Module):
    """Lyrics to line states and l0. D = ``dim``; H = ``hidden`` units in each direction of the recurrent ``cell``.

    Without a cell ("none") a line is a weighted bag of its words.
    """

    def __init__(
        self, vocabulary: Sequence[str], buckets: int = 16384, dim: int = 128, hidden: int = 128, cell: str = "lstm"
    ) -> None:
        super().__init__()
        self.words = WordVectors(vocabulary, buckets, dim)
        self.dropout = nn.Dropout(0.2)
        recurrent = CELLS[cell]
        self.recurrent = recurrent is not None
        if recurrent is not None:
            # One network per direction: the backward pass of a packed bidirectional one takes ten times as long.
            self.onward = recurrent(dim, hidden, batch_first=True)
            self.homeward = recurrent(dim, hidden, batch_first=True)
        width = dim + 2 * hidden * self.recurrent
        self.word_weight = nn.Sequential(nn.Linear(width, 64), nn.Tanh(), nn.Linear(64, 1))
        self.to_state = nn.Linear(width, dim)
        self.line_weight = nn.Sequential(nn.Linear(dim, LINE_HIDDEN), nn.Tanh(), nn.Linear(LINE_HIDDEN, 1))

    def forward(self, lyrics: Sequence[Lyric]) -> Encoded:
        """Encode lyrics of at least one word each."""
        return self.pool(self.to_state(self.line_vectors(lyrics)[0]), [len(lyric.lines) for lyric in lyrics])

    def pool(self, states: Tensor, lines: list[int]) -> Encoded:
        """Return line states (sum of m, D) together with l0 of each lyric; ``lines``: m of each lyric."""
        return Encoded(states, lines, pool_lines(self.line_weight(states).squeeze(1), states, lines))

    def line_vectors(self, lyrics: Sequence[Lyric]) -> tuple[Tensor, Tensor]:
        """Return r of each line, (sum of m, 2H + D), and each word's weight in its line, (sum of n,)."""
        device = self.to_state.weight.device
        flat = [word for lyric in lyrics for line in lyric.lines for word in line]
        vectors = self.dropout(self.words(flat))  # (sum of n, D)
        if self.recurrent:
            lengths = [sum(map(len, lyric.lines)) for lyric in lyrics]
            vectors = torch.cat([self.hidden(vectors, lengths), vectors], 1)  # (sum of n, 2H + D)
        line_sizes = [len(line) for lyric in lyrics for line in lyric.lines]
        line = torch.repeat_interleave(torch.arange(len(line_sizes)), torch.tensor(line_sizes)).to(device)
        weights = segment_softmax(self.word_weight(vectors).squeeze(1), line, len(line_sizes))  # (sum of n,)
        pooled = vectors.new_zeros(len(line_sizes), vectors.shape[1]).index_add(0, line, weights[:, None] * vectors)
        return pooled, weights

    def hidden(self, vectors: Tensor, lengths: list[int]) -> Tensor:
        """Return the hidden states of both directions at each word: (sum of n, D) to (sum of n, 2H)."""
        padded = nn.utils.rnn.pad_sequence(list(vectors.split(lengths)), batch_first=True)  # (N, n, D)
        place = torch.arange(padded.shape[1], device=vectors.device)[None]
        length = torch.tensor(lengths, device=vectors.device)[:, None]
        mask = place < length  # (N, n)
        reversed_places = torch.where(mask, length - 1 - place, place)[:, :, None]  # each lyric from its end
        onward = self.onward(padded)[0]
        homeward = self.homeward(padded.gather(1, reversed_places.expand_as(padded)))[0]
        homeward = homeward.gather(1, reversed_places.expand_as(homeward))
        return torch.cat([onward, homeward], 2)[mask]


def pool_lines(scores: Tensor, states: Tensor, lines: Sequence[int]) -> Tensor:
    """Pool line states (sum of m, D) to lyrics (N, D) of unit length, weighted by a softmax of scores (sum of m,)."""
    song = torch.repeat_interleave(torch.arange(len(lines)), torch.tensor(lines)).to(states.device)
    weights = segment_softmax(scores, song, len(lines))
    pooled = states.new_zeros(len(lines), states.shape[1]).index_add(0, song, weights[:, None] * states)
    return nn.functional.normalize(pooled, dim=1)


def segment_softmax(scores: Tensor, segment: Tensor, segments: int) -> Tensor:
    """Return the softmax of scores (n,) within each segment; ``segment`` (n,): the segment of each score."""
    peak = scores.new_full((segments,), -torch.inf).scatter_reduce(0, segment, scores.detach(), "amax")
    exponent = (scores - peak[segment]).exp()
    return exponent / scores.new_zeros(segments).index_add(0, segment, exponent)[segment]
