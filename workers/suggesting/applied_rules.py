"""Staff's rules as they bear on one request. They have the last word: over relevance, diversity and exploration."""

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
    rules: Sequence[Rule]

    @classmethod
    def for_request(cls, *, tags: set[str], market: str | None) -> AppliedRules:
        """Those in force for a photo with these tags, in lower case, in this market."""
        return cls(
            [
                rule
                for rule in rules_in_force()
                if rule.market in ("", market) and (not rule.tag or rule.tag.casefold() in tags)
            ]
        )

    @property
    def pinned(self) -> list[UUID]:
        """Songs that come first, the newest rule's before the others'."""
        found = [rule.song_id for rule in self.rules if rule.action == Rule.Action.PIN and rule.song_id]
        return list(dict.fromkeys(found))

    @property
    def boosted(self) -> set[UUID]:
        """Songs that are raised by name, wherever they stand."""
        return {rule.song_id for rule in self._of(Rule.Action.BOOST) if rule.song_id}

    @property
    def blocks_all(self) -> bool:
        return any(rule.song_id is None and not rule.genre for rule in self._of(Rule.Action.BLOCK))

    @property
    def blocked(self) -> Q:
        """Embedding rows that are never shown; where ``blocks_all``, it is all of them."""
        blocks = Q()
        for rule in self._of(Rule.Action.BLOCK):
            blocks |= Q(song_id=rule.song_id) if rule.song_id else Q(genre=rule.genre)
        return blocks

    def raised(self, song: UUID, genre: str) -> float:
        """By how much a song is boosted or buried, in standard deviations."""
        return sum(SIGN[Rule.Action(rule.action)] * rule.strength for rule in self._moving(song, genre))

    def reasons(self, song: UUID, genre: str) -> list[dict[str, Any]]:
        """The rules that moved a song, as reasons beside its tags."""
        pins = [rule for rule in self._of(Rule.Action.PIN) if rule.song_id == song]
        return [
            {"tag": rule.name, "kind": rule.action, "weight": rule.strength}
            for rule in [*pins, *self._moving(song, genre)]
        ]

    def _of(self, action: Rule.Action) -> list[Rule]:
        return [rule for rule in self.rules if rule.action == action]

    def _moving(self, song: UUID, genre: str) -> list[Rule]:
        return [
            rule
            for rule in self.rules
            if rule.action in SIGN and (rule.song_id == song or (bool(rule.genre) and rule.genre == genre))
        ]
