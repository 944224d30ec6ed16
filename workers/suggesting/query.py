"""What songs are asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Q

from recommender.results import PhotoView
from socialsongs.models import RecommendationRequest
from socialsongs.selectors.nearest import song_filters
from socialsongs.selectors.posts import default_parameters, hidden_songs

from .applied_rules import AppliedRules


@dataclass(frozen=True)
class SongQuery:
    """Photos or a text as the model sees them, and what the request says beside them.

    ``user``: whose taste may count. ``hidden``: songs that they hid. ``seed``: what is drawn by lot is the same for the
    same seed. ``worded``: a text says what is wished.
    """

    views: Sequence[PhotoView]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    user: Any = None
    hidden: Collection[UUID] = ()
    seed: str = ""
    worded: bool = False

    @classmethod
    def of(cls, request: RecommendationRequest, views: Sequence[PhotoView]) -> SongQuery:
        worded = bool(request.text)
        if request.post is None:
            return cls(views, request.parameters, seed=str(request.pk), worded=worded)
        hidden = list(hidden_songs(post=request.post))
        return cls(views, request.parameters, request.post.owner_id, hidden, str(request.pk), worded)

    @property
    def asked(self) -> dict[str, Any]:
        """The parameters with their defaults."""
        return {**default_parameters(), **self.parameters}

    @property
    def limit(self) -> int:
        limit: int = self.asked["limit"]
        return limit

    @property
    def allowed(self) -> Q:
        """The condition on embedding rows."""
        allowed = song_filters(parameters=self.asked)
        return allowed & ~Q(song_id__in=self.hidden) if self.hidden else allowed

    @property
    def rules(self) -> AppliedRules:
        tags = {tag.name.casefold() for view in self.views for tag in view.tags}
        return AppliedRules.for_request(tags=tags, market=self.asked["market"])

    @cached_property
    def together(self) -> PhotoView:
        """Several photos as one, as surely seen as the surest of them."""
        surest = max(self.views, key=lambda view: view.certainty)
        return replace(surest, embedding=np.mean([view.embedding for view in self.views], axis=0))
