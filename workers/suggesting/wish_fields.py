"""Recognises words that name a field of the catalogue: genre, artist, language, mood, year, explicit."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from cachetools import TTLCache
from django.db.models import Func, Q, TextField, Value

from recommender.choose import artist_key
from recommender.wish_words import (
    AMBIGUOUS,
    BASIC,
    EXPLICIT_OF,
    GENRES,
    MOODS,
    MUSIC,
    SMALL,
    stems,
    without_music,
    years_of,
)
from recommender.wish_words import moods_of as moods_named
from socialsongs.codes import language_named
from socialsongs.models import ModelRelease, Song
from socialsongs.models.song import ARTIST_KEY
from socialsongs.selectors.catalogue import genres_of, moods_of_catalogue, published_songs
from socialsongs.selectors.search import artists_alike, artists_named

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
LONGEST_NAME = 6  # words of the longest name that is looked for
MOST_WORDS = 60  # words of a text in which names are looked for
READ_AGAIN_SECONDS = 300.0  # genres and moods of the catalogue
# Words before a name that say what it is.
BEFORE_LANGUAGE, BEFORE_ARTIST, BEFORE_THEME = ("in", "auf"), ("by", "von", "like", "wie"), ("about", "über")
# Before a word with two meanings: it is meant in the ordinary one ("my soul", "to dance").
BEFORE_ORDINARY = ("a", "the", "my", "your", "our", "to", "at", "ein", "eine", "das", "die", "der", "dem", "mein", "im")


class Field(NamedTuple):
    """What a name is about.

    condition   on embedding rows; None when no song of the catalogue has it
    doubtful    the words also have an ordinary meaning, which counts beside other words of that kind
    alone       who wants this wants nothing else, even without "only"
    """

    kind: str
    condition: Q | None
    doubtful: bool = False
    alone: bool = False
    mood: str = ""  # the English word for it


@dataclass(frozen=True)
class FieldName:
    """A field that characters ``start`` to ``end`` of a text name."""

    start: int
    end: int
    field: Field


def find_fields(text: str, *, release: ModelRelease, known: Container[str]) -> list[FieldName]:
    """Return the names of fields in a text, from left to right, the longest first at each place.

    ``known``: the words that the model knows; one of them alone is taken for an artist only after "by".
    """
    words = list(WORD.finditer(text))[:MOST_WORDS]
    reader = _Reader.of(text, words, release, known)
    found: list[FieldName] = []
    row = 0
    while row < len(words):
        length, field = reader.longest(row)
        if field is not None:
            found.append(FieldName(words[row].start(), words[row + length - 1].end(), field))
        row += length
    return found


@dataclass(frozen=True)
class CatalogueWords:
    """How the catalogue calls genres and moods: each as it is written, by ``name_key``."""

    genres: dict[str, list[str]]
    moods: dict[str, list[str]]

    @classmethod
    def read(cls, release: ModelRelease) -> CatalogueWords:
        """Read them, or return those that were read at most READ_AGAIN_SECONDS ago."""
        kept = _kept_words()
        if (words := kept.get(release.pk)) is None:
            words = kept[release.pk] = cls(_by_key(genres_of(release=release)), _by_key(moods_of_catalogue()))
        return words

    def mood_condition(self, *moods: str) -> Q | None:
        """Return the condition on embedding rows for songs with these moods or one of their other names; None when no
        song has one. This is the place that knows where the moods of songs are."""
        names = {*moods, *(name_key(name) for mood in moods for name in MOODS.get(mood, "").split())}
        written = [form for name in sorted(names) for form in self.moods.get(name, ())]
        return Q(song__moods__overlap=written) if written else None


@cache
def _kept_words() -> TTLCache[int, CatalogueWords]:
    return TTLCache(8, READ_AGAIN_SECONDS)


def _by_key(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(name_key(name), []).append(name)
    return found


@dataclass(frozen=True)
class _Reader:
    text: str
    words: Sequence[re.Match[str]]
    known: Container[str]
    catalogue: CatalogueWords
    artists: dict[str, list[str]]

    @classmethod
    def of(cls, text: str, words: Sequence[re.Match[str]], release: ModelRelease, known: Container[str]) -> _Reader:
        spans = {text[words[row].start() : words[row + more].end()] for row, more in _spans(len(words))}
        names = {span: _without_and(span) for span in spans if artist_key(span) and not _is_small(span)}
        artists = artists_named(names=sorted({*names, *names.values()}))
        found = {span: artists.get(span) or artists.get(other, []) for span, other in names.items()}
        return cls(text, words, known, CatalogueWords.read(release), found)

    def longest(self, row: int) -> tuple[int, Field | None]:
        """Return the number of words of the longest name that starts at a word, and its field; 1 and None without."""
        for length in range(min(LONGEST_NAME, len(self.words) - row), 0, -1):
            span = self.text[self.words[row].start() : self.words[row + length - 1].end()]
            before = self.words[row - 1].group().lower() if row else ""
            after = self.words[row + length].group().lower() if row + length < len(self.words) else ""
            if field := self._field(span, before, after):
                return length, field
        return 1, None

    def _field(self, span: str, before: str, after: str) -> Field | None:
        key = name_key(span)
        if (artists := self.artists.get(span)) and (before in BEFORE_ARTIST or self._is_name(span)):
            return Field("artist", by_artists(artists))
        if before == "by" and all(word[0].isupper() for word in span.split()):
            alike = artists_alike(songs=published_songs(), name=span)
            return Field("artist", by_artists(alike) if alike else None)
        doubtful = key in AMBIGUOUS and after not in MUSIC
        if before in BEFORE_THEME or (doubtful and before in BEFORE_ORDINARY):
            return None
        small = _is_small(span)
        if not small and (genres := self._genres(key)) is not None:
            return Field("genre", Q(genre__in=genres) if genres else None, doubtful)
        if moods := moods_named(key) or [key] * (key in self.catalogue.moods):  # "gute Laune" is small words
            return Field("mood", self.catalogue.mood_condition(key, *moods), doubtful, mood=moods[0])
        if small:
            return None
        if years := years_of(span.lower()):
            return Field("year", Q(song__year__gte=years[0], song__year__lte=years[1]))
        for stem in stems(span.lower()):
            if code := language_named(stem):
                spoken = Q(language=code) | Q(language__startswith=f"{code}-")
                is_adjective = before not in BEFORE_LANGUAGE and after not in MUSIC
                return Field("language", spoken, is_adjective, alone=True)
            if (explicit := EXPLICIT_OF.get(stem)) is not None:
                return Field("explicit", Q(explicit=explicit), doubtful, alone=not explicit)
        return None

    def _genres(self, key: str) -> list[str] | None:
        """Return the genres of the catalogue that a name means, perhaps none; None when it names no genre."""
        genres, first = self.catalogue.genres, without_music(key)
        for name in (key, first) if first else (key,):
            if name in GENRES or name in BASIC or any(_compact(name) == _compact(other) for other in genres):
                meant = GENRES.get(name, (name,))
                kinds = (genres[other] for other in genres if any(_is_kind_of(other, one) for one in meant))
                return [genre for written in kinds for genre in written]
        return None

    def _is_name(self, span: str) -> bool:
        """Return whether words are an artist's name wherever they stand: one is no ordinary word, or they have
        capitals. "summer rain" is what a song is about, whoever is called so."""
        words = span.split()
        ordinary = all(word in self.known or word in SMALL for word in name_key(span).split())
        return not ordinary or (len(words) > 1 and span != span.upper() and all(word[0].isupper() for word in words))


def name_key(text: str) -> str:
    """Return the words of a name in lower case without punctuation: "R&B" gives "r b", "Hip-Hop" gives "hip hop"."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def _spans(words: int) -> Iterator[tuple[int, int]]:
    return ((row, more) for row in range(words) for more in range(min(LONGEST_NAME, words - row)))


def _without_and(span: str) -> str:
    """Return a name without "and", which an artist may write as "&"."""
    return re.sub(r"\s+(?:and|und)\s+", " ", span, flags=re.IGNORECASE)


def _is_small(span: str) -> bool:
    return all(word in SMALL for word in name_key(span).split())


def _compact(key: str) -> str:
    return key.replace(" ", "")


def _is_kind_of(genre: str, name: str) -> bool:
    """Return whether a genre, by its key, has all words of a name."""
    return f" {name} " in f" {genre} " or _compact(genre) == _compact(name)


def by_artists(artists: Sequence[str]) -> Q:
    keys: Any = [Func(Value(artist), function="socialsongs_key", output_field=TextField()) for artist in artists]
    return Q(song__in=Song.objects.alias(key=ARTIST_KEY).filter(key__in=keys).values("pk"))
