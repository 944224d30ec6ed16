"""Stage one in the database gives the result in memory, with and without the index, for any filter."""

from collections import Counter
from io import StringIO
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from socialsongs.models import SEARCH_DIM, Song, SongEmbedding, State
from socialsongs.selectors import nearest
from socialsongs.selectors.nearest import nearest_songs, song_filters
from socialsongs.services import indexes

SONGS = 1000
GENRES, LANGUAGES, MARKETS = ("folk", "pop", "rock"), ("en", "en-GB", "de", "pt-BR"), ("AT", "BR", "US")


@pytest.fixture
def many(release):
    """Make songs in 40 clusters with all kinds of rights; return them by the key of their embedding."""
    random = np.random.default_rng(7)
    matters = np.tile(random.normal(size=(40, SEARCH_DIM)), (SONGS // 40, 1))
    vectors = matters + 0.1 * random.normal(size=matters.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    songs = Song.objects.bulk_create(
        Song(
            title="Song",
            artist="Nobody",
            genre=str(random.choice(GENRES, p=[0.1, 0.3, 0.6])),
            language=str(random.choice(LANGUAGES, p=[0.7, 0.2, 0.08, 0.02])),
            markets=sorted({str(market) for market in random.choice(MARKETS, int(random.integers(0, 3)))}),
            explicit=bool(random.random() < 0.1),
            status=str(random.choice(["published", "draft", "retired"], p=[0.9, 0.05, 0.05])),
        )
        for _ in range(SONGS)
    )
    copied = ("genre", "language", "markets", "explicit", "status")
    rows = SongEmbedding.objects.bulk_create(
        SongEmbedding(
            song=song,
            release=release,
            state=State.READY,
            stage_one=vector.tolist(),
            **{name: getattr(song, name) for name in copied},
        )
        for song, vector in zip(songs, vectors, strict=True)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE socialsongs_songembedding")
    return rows


@pytest.fixture
def indexed(many, release):
    for _ in range(2):  # the second takes the first one's place
        out = StringIO()
        call_command("releases", "index", release.name, stdout=out)
        assert f"{release.name}: index done" in out.getvalue()
    return many


def photo(seed):
    return np.random.default_rng(seed).normal(size=SEARCH_DIM).astype(np.float16).astype(float)


def allows(row, parameters):
    """Return whether a request's parameters allow a song: a second implementation of the filters."""
    language, market = parameters.get("language"), parameters.get("market")
    return (
        row.status == "published"
        and (parameters.get("explicit") or not row.explicit)
        and (not language or row.language == language or row.language.startswith(f"{language}-"))
        and row.genre in (parameters.get("genre") or row.genre,)
        and (not market or not row.markets or market in row.markets)
        and str(row.song_id) not in parameters.get("exclude", [])
    )


def in_memory(rows, query, parameters):
    """Return the keys of all allowed rows, best first."""
    allowed = [row for row in rows if allows(row, parameters)]
    products = np.array([np.dot(np.float16(row.stage_one), query) for row in allowed])
    return [allowed[place].pk for place in np.argsort(-products, kind="stable")]


def search(release, query, limit, parameters):
    return nearest_songs(
        release=release, embedding=query.tolist(), condition=song_filters(parameters=parameters), limit=limit
    )


def wishes(rows):
    some = [str(row.song_id) for row in rows[:300]]
    return st.fixed_dictionaries(
        {},
        optional={
            "genre": st.sampled_from([*GENRES, "jazz"]),
            "language": st.sampled_from(["en", "en-GB", "de", "pt", "fr"]),
            "market": st.sampled_from([*MARKETS, "ZZ"]),
            "explicit": st.booleans(),
            "exclude": st.lists(st.sampled_from(some), max_size=100, unique=True),
        },
    )


EVERY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_without_the_index_the_search_gives_the_result_in_memory(release, many):
    @EVERY
    @given(wishes(many), st.integers(0, 9), st.sampled_from([1, 20, 300]))
    def check(parameters, seed, limit):
        found = search(release, photo(seed), limit, parameters)
        assert [one.pk for one in found] == in_memory(many, photo(seed), parameters)[:limit]

    check()


@pytest.mark.django_db(transaction=True)
def test_by_the_index_no_song_is_missing_that_is_allowed(release, indexed, monkeypatch):
    monkeypatch.setattr(nearest, "SORTED_ROWS", 0)
    missed = Counter()

    @EVERY
    @given(wishes(indexed), st.integers(0, 9), st.sampled_from([1, 20, 300]))
    def check(parameters, seed, limit):
        with transaction.atomic():
            with connection.cursor() as cursor:  # a catalogue this small would be sorted without the index
                cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            found = [one.pk for one in search(release, photo(seed), limit, parameters)]
        best = in_memory(indexed, photo(seed), parameters)
        assert len(set(found)) == len(found) == min(limit, len(best))
        assert set(found) <= set(best)
        missed["all"] += len(found)
        missed["not among the best"] += len(set(found) - set(best[:limit]))

    check()
    assert missed["all"] > 1000
    assert missed["not among the best"] < 0.03 * missed["all"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("index", [False, True])
def test_embeddings_can_be_laid_next_to_their_neighbours(release, many, index, monkeypatch):
    for number, row in enumerate(many):
        row.cell = number * 7919 % SONGS if number % 10 else None
    SongEmbedding.objects.bulk_update(many, ["cell"])
    everything = search(release, photo(6), SONGS, {})
    if index:
        call_command("releases", "index", release.name, stdout=StringIO())
    call_command("releases", "cluster", stdout=StringIO())
    # With the transactions that wrote the rows, by which workers know whether their cache is current.
    assert search(release, photo(6), SONGS, {}) == everything
    with connection.cursor() as cursor:
        cursor.execute("SELECT cell FROM socialsongs_songembedding ORDER BY ctid")
        cells = [cell for (cell,) in cursor.fetchall()]
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'socialsongs_songembedding'")
        there = [name for (name,) in cursor.fetchall()]
    assert cells == sorted(cells, key=lambda cell: SONGS if cell is None else cell)
    assert cells.count(None) == SONGS // 10
    assert "socialsongs_embedding_order" not in there
    monkeypatch.setattr(nearest, "SORTED_ROWS", 0)
    assert any(f"socialsongs_hnsw_{release.pk}" in plan for plan in plans(release, photo(6), {})) == index


@pytest.mark.django_db(transaction=True)
def test_embeddings_stay_as_they_are_while_somebody_uses_them(release, many, monkeypatch):
    monkeypatch.setattr(indexes, "LOCK_SECONDS", 1)
    with psycopg.connect(**connection.get_connection_params(), autocommit=False) as other:
        other.execute("SELECT 1 FROM socialsongs_songembedding LIMIT 1")
        with pytest.raises(CommandError, match=r"in use\. Stop the workers"):
            call_command("releases", "cluster", stdout=StringIO())
    call_command("releases", "cluster", stdout=StringIO())


def plans(release, query, parameters):
    """Return the plan of each query that searched for songs."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        with CaptureQueriesContext(connection) as queries:
            search(release, query, 20, parameters)
        found = []
        for sql in (query["sql"] for query in queries if query["sql"].startswith("SELECT")):
            cursor.execute(f"EXPLAIN {sql}")
            found.append("\n".join(line for (line,) in cursor.fetchall()))
    return found


@pytest.mark.django_db(transaction=True)
def test_the_index_is_used_when_many_songs_are_allowed_and_the_b_tree_when_few_are(release, indexed, monkeypatch):
    monkeypatch.setattr(nearest, "SORTED_ROWS", 300)
    hnsw = f"socialsongs_hnsw_{release.pk}"
    (wide,) = plans(release, photo(1), {})
    assert f"Index Scan using {hnsw}" in wide
    for parameters in ({"genre": "folk"}, {"language": "de"}):
        (narrow,) = plans(release, photo(1), parameters)
        assert hnsw not in narrow
        (name,) = parameters
        assert f"socialsongs_embedding_{name}" in narrow


@pytest.mark.django_db(transaction=True)
def test_when_the_index_finds_too_few_all_allowed_songs_are_compared(release, indexed, monkeypatch):
    """The database's statistics may be wrong: here they estimate many, and there are few."""
    monkeypatch.setattr(nearest, "SORTED_ROWS", 0)
    monkeypatch.setattr(nearest, "MOST_SCANNED", 1)
    with transaction.atomic(), connection.cursor() as cursor, CaptureQueriesContext(connection) as queries:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        found = search(release, photo(2), 50, {"genre": "folk", "language": "de"})
    assert sum(query["sql"].startswith("SELECT") for query in queries) == 2
    best = in_memory(indexed, photo(2), {"genre": "folk", "language": "de"})
    assert [one.pk for one in found] == best[:50]
    assert 0 < len(best) < 50


def test_an_exclusion_that_names_unknown_songs_takes_nothing_away(release, many):
    everything = search(release, photo(3), 20, {})
    assert search(release, photo(3), 20, {"exclude": [str(uuid4())]}) == everything


def test_the_sites_own_market_counts_unless_a_request_names_one(release, many, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MARKET": "AT"}
    for parameters, market in (({}, "AT"), ({"market": "BR"}, "BR")):
        found = search(release, photo(4), 300, parameters)
        assert [one.pk for one in found] == in_memory(many, photo(4), {"market": market})[:300]
