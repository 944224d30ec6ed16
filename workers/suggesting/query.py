"""What a list of songs is for: photos or a text, and the parameters of the request."""

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
from socialsongs.selectors.posts import default_parameters, hidden_songs, owner_of

from .applied_rules import AppliedRules
from .text_wishes import NO_WISHES, Wishes


@dataclass(frozen=True)
class SongQuery:
    """The views of photos or of a text, and what the request says beside them.

    views         one for each photo; for a text alone, that of the text
    parameters    of the request, without those that have their defaults
    user          id of the person whose taste may count
    hidden        songs that this person hid in the lists of the post
    seed          makes the random choices reproducible
    has_text      a text says which songs are wanted
    wishes        what that text says; empty where no word of it has an effect
    """

    views: Sequence[PhotoView]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    user: Any = None
    hidden: Collection[UUID] = ()
    seed: str = ""
    has_text: bool = False
    wishes: Wishes = NO_WISHES

    @classmethod
    def of(cls, request: RecommendationRequest, views: Sequence[PhotoView]) -> SongQuery:
        """Return the query of a request, with the songs that its owner hid."""
        hidden = list(hidden_songs(request=request))
        owner = owner_of(request=request)
        return cls(views, request.parameters, owner, hidden, seed=str(request.pk), has_text=bool(request.text))

    @property
    def text_is_unused(self) -> bool:
        """True when the text was read and no word of it has an effect: the list is as without it."""
        return self.wishes.is_read and not self.wishes

    @property
    def all_parameters(self) -> dict[str, Any]:
        """The parameters with the defaults of those that the request leaves out."""
        return {**default_parameters(), **self.parameters}

    @property
    def limit(self) -> int:
        limit: int = self.all_parameters["limit"]
        return limit

    @property
    def condition(self) -> Q:
        """The condition on embedding rows: filters of the request and of its text, without hidden songs."""
        condition = song_filters(parameters=self.all_parameters) & self.wishes.condition
        return condition & ~Q(song_id__in=self.hidden) if self.hidden else condition

    @cached_property
    def combined_view(self) -> PhotoView:
        """All views as one: their mean embedding, with the tags of the view of highest certainty."""
        most_certain = max(self.views, key=lambda view: view.certainty)
        return replace(most_certain, embedding=np.mean([view.embedding for view in self.views], axis=0))

    def read_rules(self) -> AppliedRules:
        """Read from the database the rules that apply to the query now."""
        tags = {tag.name.casefold() for view in self.views for tag in view.tags}
        return AppliedRules.read(tags=tags, market=self.all_parameters["market"])
