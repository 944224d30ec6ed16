"""How much songs are like what a person chose and unlike what they skipped, where the host turned this on for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from socialsongs.models import SongEmbedding
from socialsongs.selectors.taste import taste_events

from ..inference.loading import LoadedRelease

SKIPPED = 0.5  # weight of a skip or a hide; a choice has 1


def taste_scores(loaded: LoadedRelease, *, user: Any, directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each song's unit vector (N, D) with the taste of a person, (N,); 0 where none is known."""
    is_liked = dict(taste_events(user=user))
    rows = SongEmbedding.objects.filter(release=loaded.release, song__in=is_liked, stage_one__isnull=False)
    known = list(rows.values_list("song_id", "stage_one")) if is_liked else []
    if not known:
        return np.zeros(len(directions), np.float32)
    weights = np.array([1.0 if is_liked[song] else -SKIPPED for song, _ in known], np.float32)
    profile = weights @ loaded.model.song_directions([np.asarray(vector, np.float32) for _, vector in known])
    scores: NDArray[np.float32] = directions @ (profile / max(float(np.linalg.norm(profile)), 1e-6))
    return scores
