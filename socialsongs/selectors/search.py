"""Search of the catalogue: exact names first, then beginnings of names, words of names, words of lyrics, and typos.

Songs and queries are normalised by the same database functions (migration 0010): case, accents, punctuation and
Unicode forms do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from django.contrib.postgres.search import SearchQuery
from django.db import connections, transaction
from django.db.models import BooleanField, FloatField, Func, IntegerField, Q, QuerySet, TextField, Value
from django.db.models.expressions import RawSQL

from ..models import Song
from ..models.song import ARTIST_KEY, NAMES, TITLE_KEY, WORDS

MOST = 1000  # songs of each tier: nobody pages further
LONGEST = 200  # characters of a query that are used
# With fewer songs found by name, names with typos are searched, too.
FEW_NAMES = 10
# Least word_similarity of pg_trgm, 0 to 1, of a name with typos: Rhianna and Rihanna have .5
SIMILAR = 0.45
# Least similarity of a whole name with typos: Delfine Marlow and Delphine Marlowe have .5
SIMILAR_NAME = 0.4

READ = "SELECT socialsongs_fold(btrim(%s)), socialsongs_key(%s), socialsongs_query(%s)::text, socialsongs_clean(%s)"
SHORTEST_MISSPELLED, MOST_MISSPELLED = 4, 100
TITLE_AND_ARTIST = "socialsongs_clean(socialsongs_song.title || ' ' || socialsongs_song.artist)"

# The schema of pg_trgm, if the extension and its index are there.
TYPOS = """
SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'pg_trgm' AND to_regclass('socialsongs_song_typos') IS NOT NULL
"""

ARTISTS = """
SELECT DISTINCT typed.name, socialsongs_song.artist
FROM unnest(%s::text[]) AS typed (name)
JOIN socialsongs_song ON socialsongs_key(socialsongs_song.artist) = socialsongs_key(typed.name)
WHERE socialsongs_song.status = %s AND socialsongs_key(typed.name) <> ''
"""


class Hit(NamedTuple):
    """A song found; sorts best first. ``rank``: 0 to 4, and between 5 and 6 for typos, less similar ones higher."""

    rank: float
    title: str
    pk: UUID


class Typed(NamedTuple):
    """A normalised query: ``key`` has only its letters and digits, ``fold`` all its characters."""

    fold: str
    key: str
    query: str
    clean: str


def search_songs(*, songs: QuerySet[Song], text: str) -> list[Hit]:
    """Return those of ``songs`` that match, best first, then by title. A text without letters and digits is searched
    unchanged, as a name or the beginning of one."""
    text = text.strip()[:LONGEST]
    if not text or "\0" in text:
        return []
    with connections[songs.db].cursor() as cursor:
        cursor.execute(READ, [text] * 4)
        typed = Typed(*cursor.fetchone())
    songs = songs.order_by().alias(
        title_key=TITLE_KEY, artist_key=ARTIST_KEY, title_fold=_fold("title"), artist_fold=_fold("artist")
    )
    same = Q(title_key=typed.key) | Q(artist_key=typed.key)
    tiers = [
        same & (Q(title_fold=typed.fold) | Q(artist_fold=typed.fold)),
        same,
        Q(title_key__startswith=typed.key) | Q(artist_key__startswith=typed.key),
    ]
    if typed.query:
        query = SearchQuery(typed.query, search_type="raw", config="simple")
        songs = songs.alias(names=NAMES, words=WORDS)
        tiers += [Q(names=query), Q(words=query)]
    found = _ranked(songs, tiers)
    if typed.query and sum(hit.rank <= 3 for hit in found) < FEW_NAMES:
        known = {hit.pk for hit in found}
        found += [hit for hit in _misspelled(songs, typed.clean.strip()) if hit.pk not in known]
    return sorted(found)


def artists_named(*, names: Sequence[str]) -> dict[str, list[str]]:
    """Return for each of these names that artists of published songs have, the artists as the catalogue spells them."""
    found: dict[str, list[str]] = {}
    with connections[Song.objects.db].cursor() as cursor:
        cursor.execute(ARTISTS, [list(names), Song.Status.PUBLISHED])
        for name, artist in cursor.fetchall():
            found.setdefault(name, []).append(artist)
    return found


def artists_alike(*, songs: QuerySet[Song], name: str) -> list[str]:
    """Return the artist of ``songs`` whose name is most similar, as a list; empty where none is, and without pg_trgm.

    Whole names are compared, so that a text of several words is not taken for an artist with one of them.
    """
    if len(name) < SHORTEST_MISSPELLED:
        return []
    typed = "btrim(socialsongs_clean(%s))"
    with _trigrams(songs) as schema:
        if schema is None:
            return []
        alike = RawSQL(f"{typed} OPERATOR({schema}.<%%) {TITLE_AND_ARTIST}", [name], BooleanField())
        similarity = RawSQL(f"{schema}.similarity({typed}, socialsongs_clean(artist))", [name], FloatField())
        rows = songs.alias(alike=alike, similarity=similarity).filter(alike=True, similarity__gte=SIMILAR_NAME)
        return list(rows.order_by("-similarity", "artist").values_list("artist", flat=True)[:1])


def _fold(field: str) -> Func:
    return Func(field, function="socialsongs_fold", output_field=TextField())


def _ranked(songs: QuerySet[Song], tiers: Sequence[Q]) -> list[Hit]:
    """Return each song once, in its first tier."""
    first, *others = (
        songs.filter(tier).annotate(rank=Value(rank, IntegerField())).values_list("rank", "title", "pk")[:MOST]
        for rank, tier in enumerate(tiers)
    )
    best: dict[UUID, Hit] = {}
    for hit in sorted(map(Hit._make, first.union(*others, all=True))):
        best.setdefault(hit.pk, hit)
    return list(best.values())


def _misspelled(songs: QuerySet[Song], text: str) -> list[Hit]:
    """Return songs whose title or artist has similar words; none where the server has no pg_trgm."""
    if len(text) < SHORTEST_MISSPELLED:
        return []
    with _trigrams(songs) as schema:
        if schema is None:
            return []
        alike = RawSQL(f"%s OPERATOR({schema}.<%%) {TITLE_AND_ARTIST}", [text], BooleanField())
        similarity = RawSQL(f"{schema}.word_similarity(%s, {TITLE_AND_ARTIST})", [text], FloatField())
        rows = songs.alias(alike=alike).filter(alike=True).annotate(rank=6 - similarity)
        return list(map(Hit._make, rows.order_by("rank", "pk").values_list("rank", "title", "pk")[:MOST_MISSPELLED]))


@contextmanager
def _trigrams(songs: QuerySet[Song]) -> Iterator[str | None]:
    """Set how similar words must be, for the queries inside; yield the schema of pg_trgm, None without it."""
    with transaction.atomic(using=songs.db), connections[songs.db].cursor() as cursor:
        cursor.execute(TYPOS)
        schema = (cursor.fetchone() or [None])[0]
        if schema is not None:
            cursor.execute("SELECT set_config('pg_trgm.word_similarity_threshold', %s, true)", [str(SIMILAR)])
        yield schema
