r"""Training songs, and the teacher's targets for each.

songs file       JSON Lines with `lyrics` (and `themes`, `side_themes` where the development figure is taken on them)
described file   JSON Lines with `lyrics` and `captions`: photos that somebody would post with the song
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..inputs import json_rows
from ..lyrics import Lyric, parse_lyric
from ..matcher import pad
from .teacher import Space, embed

STANZA_LINES = 4
CAPTION_SPREAD = 0.1  # temperature of the softmax over the captions of a song


@dataclass
class TrainingSong:
    """A lyric with the teacher's targets.

    line_targets (m, D)    of the lines
    vectors (s, D)         what the song is about: vectors of its stanzas, or of the captions that go with it
    """

    lyric: Lyric
    line_targets: Tensor
    vectors: Tensor
    themes: tuple[str, ...] = ()
    side_themes: tuple[str, ...] = ()

    def to(self, device: torch.device) -> TrainingSong:
        return replace(self, line_targets=self.line_targets.to(device), vectors=self.vectors.to(device))


def read_song_rows(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects of a file whose lyrics have a word."""
    return [row for _, row in json_rows(path) if parse_lyric(row["lyrics"]).lines]


def stanzas_of(lyrics: str) -> list[str]:
    """Return the stanzas of lyrics; long ones are split."""
    blocks = []
    for part in re.split(r"\n\s*\n", lyrics):
        lines = [line.strip() for line in part.split("\n") if parse_lyric(line).lines]
        blocks += ["\n".join(lines[start : start + STANZA_LINES]) for start in range(0, len(lines), STANZA_LINES)]
    return blocks


def songs_with_targets(
    rows: Sequence[dict[str, Any]], space: Space, cache: Path, evoked: float = 0.0
) -> list[TrainingSong]:
    """Return songs with the teacher's targets. The target of a line is the mean of its vector and its stanza's.

    ``evoked``: share of the captions' vectors, weighted by their similarity to the line, in the line's target.
    """
    stanzas = [stanzas_of(row["lyrics"]) for row in rows]
    lines = [[line for stanza in song for line in stanza.split("\n")] for song in stanzas]
    captions = [list(row.get("captions", ())) for row in rows]
    stanza_vectors = _teacher_vectors(stanzas, space, space.lyrics, cache)
    line_vectors = _teacher_vectors(lines, space, space.lyrics, cache)
    caption_vectors = _teacher_vectors(captions, space, space.captions, cache)
    training_songs = []
    for row, song, own_stanzas, own_lines, own_captions in zip(
        rows, stanzas, stanza_vectors, line_vectors, caption_vectors, strict=True
    ):
        sizes = torch.tensor([stanza.count("\n") + 1 for stanza in song])
        targets = nn.functional.normalize(own_lines + own_stanzas.repeat_interleave(sizes, 0), dim=1)
        if len(own_captions):
            shares = (targets @ own_captions.T / CAPTION_SPREAD).softmax(1)  # (m, s)
            targets = nn.functional.normalize((1 - evoked) * targets + evoked * shares @ own_captions, dim=1)
        training_songs.append(
            TrainingSong(
                parse_lyric("\n".join(song)),
                targets,
                own_captions if len(own_captions) else own_stanzas,
                tuple(row.get("themes", ())),
                tuple(row.get("side_themes", ())),
            )
        )
    return training_songs


def _teacher_vectors(texts: Sequence[Sequence[str]], space: Space, mean: Tensor, cache: Path) -> list[Tensor]:
    """Return the teacher's vectors of each song's texts, (s, D)."""
    flat = [text for part in texts for text in part]
    vectors = space.project(embed(flat, cache), mean) if flat else torch.zeros(0, space.basis.shape[1])
    return list(vectors.split([len(part) for part in texts]))


def teacher_relevance(photos: Tensor, songs: Sequence[TrainingSong]) -> Tensor:
    """Return the teacher's relevance (B, N) of photos (B, D) and N songs: the mean of the two largest cosines."""
    padded, mask = pad([song.vectors for song in songs])
    near = torch.einsum("bd,nsd->bns", photos, padded).masked_fill(~mask[None], -1.0)
    best = near.topk(min(2, near.shape[2]), dim=2).values
    alone = mask.sum(1) == 1
    return torch.where(alone[None], best[:, :, 0], best.mean(2))


def teacher_relevance_scale(photos: Tensor, songs: Sequence[TrainingSong], at_once: int = 128) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each song's relevance over the photos, (N,) each.

    Cosines with lyrics and with captions have different ranges, and some songs are near every photo.
    """
    parts = [teacher_relevance(photos, songs[start : start + at_once]) for start in range(0, len(songs), at_once)]
    every = torch.cat(parts, 1)
    return every.mean(0), every.std(0).clamp(min=1e-3)
