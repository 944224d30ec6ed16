"""What the model returns, as plain values: arrays are numpy, D is ``dim``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .packing import PackedStates
from .tagger import Box

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Tag:
    """``kind``: object, attribute, action or scene. ``score``: probability that somebody who describes the photo names
    it, calibrated where the card says so. ``box``: x0, y0, x1, y1 as fractions of the photo."""

    name: str
    kind: str
    score: float
    box: Box


@dataclass(frozen=True)
class PhotoView:
    """What the model sees in a photo: tags, best first (perhaps none), and v, (D,).

    ``is_text``: what a text says, perhaps beside a photo that shows nothing.
    """

    tags: list[Tag]
    embedding: Vector
    is_text: bool = False

    @property
    def certainty(self) -> float:
        """Of what there is to see, 0 to 1."""
        return 1.0 if self.is_text else max((tag.score for tag in self.tags), default=0.0)


@dataclass(frozen=True)
class EncodedLyric:
    """What is stored of a song: g (m, D) as ``line_states`` packs them, l0 as ``space`` lays it out, (D + 1,), and the
    mean relevance over reference photos.

    ``line_offsets``: place of each state's line in ``lyrics.split("\\n")``; empty: no longer known. ``cell``: of
    ``space``, in which l0 lies.
    """

    line_states: PackedStates
    line_offsets: list[int]
    stage_one: Vector
    cell: int | None  # None: of a song that was stored without
    mean_score: float


@dataclass(frozen=True)
class Refusal:
    """A lyric that is not encoded; ``reason``: "no_lyrics" (not a word in it) or "unsupported_language"."""

    reason: str
    language: str = ""


@dataclass(frozen=True)
class AttendedLine:
    """A line's share of the attention, its place in ``lyrics.split("\\n")``, and each word's share of the line's."""

    line: int
    weight: float
    words: list[tuple[str, float]]


@dataclass(frozen=True)
class Reason:
    tag: str
    kind: str
    weight: float


@dataclass(frozen=True)
class Explanation:
    """The line that fits, as its place in ``lyrics.split("\\n")``, or None where none may be shown; and the tags that
    speak for the song."""

    line: int | None
    reasons: list[Reason] = field(default_factory=list)
