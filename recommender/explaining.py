"""Why a song: the line that a photo attends to most, and the tags that agree with what it attends to."""

from __future__ import annotations

from collections.abc import Container, Sequence

from .results import Reason, Tag, Vector

REASONS = 4
# Tags that support a song less than this share of the strongest one are left out.
WEAKEST_REASON = 0.25


def strongest_reasons(tags: Sequence[Tag], agreement: Vector) -> list[Reason]:
    """Return at most REASONS tags, strongest first, from each tag's agreement (K,) with the attended lyrics.

    A reason weighs the agreement times the square root of the tag's score.
    """
    weights = [float(share) * tag.score**0.5 for share, tag in zip(agreement, tags, strict=True)]
    order = sorted(range(len(tags)), key=lambda row: -weights[row])[:REASONS]
    return [
        Reason(tags[row].name, tags[row].kind, round(weights[row], 4))
        for row in order
        if weights[row] > WEAKEST_REASON * weights[order[0]] > 0
    ]


def attended_line(attention: Vector, offsets: Sequence[int], allowed: Container[int]) -> int | None:
    """Return the offset of the line with the largest attention (m,) among the allowed ones; None if there is none.

    ``offsets``: of the m lines; empty where they are no longer known.
    """
    rows = [row for row, offset in enumerate(offsets) if offset in allowed]
    return offsets[rows[int(attention[rows].argmax())]] if rows else None
