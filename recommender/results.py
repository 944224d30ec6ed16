"""What the model returns. Arrays are numpy, D is ``dim``; a line's *offset* is its index in ``lyrics.split("\\n")``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .packing import PackedStates
from .tagger import Box

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Tag:
    """A word for what a photo shows.

    kind     object, attribute, action or scene
    score    probability that a person who describes the photo uses the word, calibrated where the card says so
    box      edges of the tag's region as fractions of the photo: x0, y0, x1, y1
    """

    name: str
    kind: str
    score: float
    box: Box


@dataclass(frozen=True)
class PhotoView:
    """The analysis of a photo: tags, highest score first (perhaps none), and the embedding v, (D,).

    ``is_text``: v comes from a text, alone or with a photo without tags.
    """

    tags: list[Tag]
    embedding: Vector
    is_text: bool = False

    @property
    def certainty(self) -> float:
        """The highest tag score; 1.0 for a text, 0.0 without tags."""
        return 1.0 if self.is_text else max((tag.score for tag in self.tags), default=0.0)


@dataclass(frozen=True)
class EncodedLyric:
    """What is stored of a song.

    line_states     g, (m,), as ``packing`` packs them
    line_offsets    offset of each line; empty: no longer known, because the lyrics have changed
    stage_one       l0 in the coordinates of ``space``, (D + 1,)
    cell            the cell of ``space`` in which l0 lies; None: not stored
    mean_score      mean relevance over reference photos
    """

    line_states: PackedStates
    line_offsets: list[int]
    stage_one: Vector
    cell: int | None
    mean_score: float


@dataclass(frozen=True)
class Refusal:
    """Why lyrics are not encoded: "no_lyrics" (they have no word) or "unsupported_language", with its code."""

    reason: str
    language: str = ""


@dataclass(frozen=True)
class AttendedLine:
    """A line's offset, its weight in the tag attention, and each word's weight in the line."""

    line: int
    weight: float
    words: list[tuple[str, float]]


@dataclass(frozen=True)
class Reason:
    """A tag of the photo that supports a song; ``weight`` orders the reasons of one song."""

    tag: str
    kind: str
    weight: float


@dataclass(frozen=True)
class Explanation:
    """The offset of the attended line, None where no line may be shown; and the reasons, strongest first."""

    line: int | None
    reasons: list[Reason] = field(default_factory=list)
