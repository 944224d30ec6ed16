"""Wishes: the parts of a text that steers a list, each with what it is about in the catalogue or in the lyrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q

from recommender.wishes import Sign


@dataclass(frozen=True)
class FieldWish:
    """A wish about a field of the catalogue, such as a genre.

    words       as they were typed
    condition   on embedding rows: the songs that the wish is about
    only        other songs are not wanted at all
    related     it follows from words about something else, so it counts less and leaves no song out
    """

    words: str
    sign: Sign
    condition: Q
    kind: str
    only: bool = False
    related: bool = False


@dataclass(frozen=True)
class WordWish:
    """A wish about what the lyrics say. ``phrase``: its words as the model reads them, in lower case and English."""

    words: str
    sign: Sign
    phrase: str


@dataclass(frozen=True)
class Wishes:
    """What a text says; false when no word of it has an effect.

    unused     words without an effect on the list, as they were typed
    is_read    false where there is no text
    """

    fields: Sequence[FieldWish] = ()
    words: Sequence[WordWish] = ()
    unused: Sequence[str] = ()
    is_read: bool = True

    def __bool__(self) -> bool:
        return bool(self.fields or self.words)

    @property
    def condition(self) -> Q:
        """The condition on embedding rows: without refused fields; of a kind of which only this
        is wanted, nothing else."""
        condition = Q()
        for wish in self.with_sign(Sign.REFUSED):
            if not wish.related:
                condition &= ~wish.condition
        wanted = self.with_sign(Sign.WANTED)
        for kind in dict.fromkeys(wish.kind for wish in wanted if wish.only):
            condition &= reduce(or_, [wish.condition for wish in wanted if wish.kind == kind])
        return condition

    @property
    def preferred(self) -> Q | None:
        """The condition of songs that a wish for a field is about; None without such a wish."""
        wanted = [wish.condition for wish in self.with_sign(Sign.WANTED) if not wish.related]
        return reduce(or_, wanted) if wanted else None

    def with_sign(self, sign: Sign) -> list[FieldWish]:
        return [wish for wish in self.fields if wish.sign is sign]

    def words_with_sign(self, sign: Sign) -> list[WordWish]:
        return [wish for wish in self.words if wish.sign is sign]

    @property
    def wanted_text(self) -> str:
        """The words that the lyrics should be about, for the model; may be empty."""
        return " ".join(wish.phrase for wish in self.words_with_sign(Sign.WANTED))


NO_WISHES = Wishes(is_read=False)
