"""Search of the catalogue: exact names first, then beginnings of names, words of names, words of lyrics, and typos.

Songs and queries are normalised by the same database functions (migration 0010): case, accents, punctuation and
Unicode forms do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
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

READ = "SELECT socialsongs_fold(btrim(%s)), socialsongs_key(%s), socialsongs_query(%s)::text, socialsongs_clean(%s)"
SHORTEST_MISSPELLED, MOST_MISSPELLED = 4, 100
TITLE_AND_ARTIST = "socialsongs_clean(socialsongs_song.title || ' ' || socialsongs_song.artist)"

# The schema of pg_trgm, if the extension and its index are there.
TYPOS = """
SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'pg_trgm' AND to_regclass('socialsongs_song_typos') IS NOT NULL
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
    with transaction.atomic(using=songs.db), connections[songs.db].cursor() as cursor:
        cursor.execute(TYPOS)
        if (found := cursor.fetchone()) is None:
            return []
        (schema,) = found
        cursor.execute("SELECT set_config('pg_trgm.word_similarity_threshold', %s, true)", [str(SIMILAR)])
        alike = RawSQL(f"%s OPERATOR({schema}.<%%) {TITLE_AND_ARTIST}", [text], BooleanField())
        similarity = RawSQL(f"{schema}.word_similarity(%s, {TITLE_AND_ARTIST})", [text], FloatField())
        rows = songs.alias(alike=alike).filter(alike=True).annotate(rank=6 - similarity)
        return list(map(Hit._make, rows.order_by("rank", "pk").values_list("rank", "title", "pk")[:MOST_MISSPELLED]))
