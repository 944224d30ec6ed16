"""What somebody's own choices and skips say of songs; nothing, unless the host has turned it on for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.model import Image2Song
from socialsongs.models import ModelRelease, SongEmbedding
from socialsongs.selectors.taste import taste_events

SKIPPED = 0.5  # a skip says less than a choice


def liking(model: Image2Song, release: ModelRelease, *, user: Any, songs: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each song, a direction (N, D), is like what this person chose and unlike what they skipped: -1 to 1."""
    events = dict(taste_events(user=user))
    rows = SongEmbedding.objects.filter(release=release, song__in=events, stage_one__isnull=False)
    known = list(rows.values_list("song_id", "stage_one")) if events else []
    if not known:
        return np.zeros(len(songs), np.float32)
    weights = np.array([1.0 if events[song] else -SKIPPED for song, _ in known], np.float32)
    profile = weights @ model.song_directions([np.asarray(vector, np.float32) for _, vector in known])
    liked: NDArray[np.float32] = songs @ (profile / max(float(np.linalg.norm(profile)), 1e-6))
    return liked
