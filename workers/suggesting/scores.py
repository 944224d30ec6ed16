"""Stage two: how well each candidate fits the photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from socialsongs.models import Song
from socialsongs.models.suggestion import WISH

from ..inference.loading import LoadedRelease
from .applied_rules import AppliedRules
from .candidates import Candidates
from .query import SongQuery
from .wish_scores import WishScores, score_wishes


@dataclass(frozen=True)
class ScoredCandidates:
    """A query with its candidates and their relevances: the input of its list.

    by_view (V, N)      relevance of each candidate for each view
    relevances (N,)     their means over the views
    confidences (N,)    probability that the song fits, by its relevance averaged over the views
    wishes              how far each candidate meets the wishes of a text
    """

    loaded: LoadedRelease
    query: SongQuery
    rules: AppliedRules
    candidates: Candidates
    by_view: NDArray[np.float32]
    relevances: NDArray[np.float32]
    confidences: NDArray[np.float64]
    wishes: WishScores

    @property
    def confident(self) -> bool:
        """True when a candidate is likely enough to fit, whatever rules, taste or popularity make of it."""
        return bool((self.confidences >= self.loaded.model.no_match).any())

    def score(self, song: UUID) -> float:
        """Return the relevance of a song; 0 for one that is no candidate."""
        row = self.candidates.rows.get(song)
        return 0.0 if row is None else float(self.relevances[row])

    def wish_reasons(self, song: Song) -> list[dict[str, Any]]:
        """Return the words of the text that led to a song, in the form of a suggestion's reasons."""
        row = self.candidates.rows.get(song.pk)
        words = [] if row is None else self.wishes.reasons(row, song)
        return [{"tag": word, "kind": WISH, "weight": 1.0} for word in words]

    def confidence(self, song: UUID) -> float | None:
        """Return the confidence of a song; None for one that is no candidate."""
        row = self.candidates.rows.get(song)
        return None if row is None else float(self.confidences[row])


def score_candidates(
    loaded: LoadedRelease, query: SongQuery, rules: AppliedRules, candidates: Candidates
) -> ScoredCandidates:
    model = loaded.model
    by_view = np.array([model.relevance(view.embedding, candidates.lyrics) for view in query.views])
    relevances = by_view.mean(0)
    confidences = model.confidence(query.combined_view, relevances)
    wishes = score_wishes(loaded, query.wishes, candidates)
    return ScoredCandidates(loaded, query, rules, candidates, by_view, relevances, confidences, wishes)
