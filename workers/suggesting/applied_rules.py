"""The rules of staff that apply to one query. Pins and blocks overrule the relevance; boosts and
buries are added to the utility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from socialsongs.models import Rule
from socialsongs.selectors.rules import rules_in_force

SIGN = {Rule.Action.BOOST: 1.0, Rule.Action.BURY: -1.0}


@dataclass(frozen=True)
class AppliedRules:
    """``rules``: newest first."""

    rules: Sequence[Rule]

    @classmethod
    def read(cls, *, tags: set[str], market: str | None) -> AppliedRules:
        """Read the rules in force for photos with these tags (names in lower case) and this market."""
        return cls(
            [
                rule
                for rule in rules_in_force()
                if rule.market in ("", market) and (not rule.tag or rule.tag.casefold() in tags)
            ]
        )

    @property
    def pinned_songs(self) -> list[UUID]:
        """The songs that come first in the list, in the order of their rules."""
        return list(dict.fromkeys(rule.song_id for rule in self._of(Rule.Action.PIN) if rule.song_id))

    @property
    def boosted_songs(self) -> set[UUID]:
        """The songs that a rule boosts by name; they are candidates even when stage one does not find them."""
        return {rule.song_id for rule in self._of(Rule.Action.BOOST) if rule.song_id}

    @property
    def blocks_all(self) -> bool:
        return any(rule.song_id is None and not rule.genre for rule in self._of(Rule.Action.BLOCK))

    @property
    def blocked(self) -> Q:
        """The condition on embedding rows that are blocked; meaningless when ``blocks_all`` is true."""
        blocked = Q()
        for rule in self._of(Rule.Action.BLOCK):
            blocked |= Q(song_id=rule.song_id) if rule.song_id else Q(genre=rule.genre)
        return blocked

    def adjustment(self, song: UUID, genre: str) -> float:
        """Return by how many standard deviations the rules boost (> 0) or bury (< 0) a song."""
        return sum(SIGN[Rule.Action(rule.action)] * rule.strength for rule in self._adjusting(song, genre))

    def reasons(self, song: UUID, genre: str) -> list[dict[str, Any]]:
        """Return the rules that pin, boost or bury a song, in the form of a suggestion's reasons."""
        pins = [rule for rule in self._of(Rule.Action.PIN) if rule.song_id == song]
        return [
            {"tag": rule.name, "kind": rule.action, "weight": rule.strength}
            for rule in [*pins, *self._adjusting(song, genre)]
        ]

    def _of(self, action: Rule.Action) -> list[Rule]:
        return [rule for rule in self.rules if rule.action == action]

    def _adjusting(self, song: UUID, genre: str) -> list[Rule]:
        return [
            rule
            for rule in self.rules
            if rule.action in SIGN and (rule.song_id == song or (bool(rule.genre) and rule.genre == genre))
        ]
