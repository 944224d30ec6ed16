"""Suggestions from a catalogue of a million songs: speed, fidelity, bytes and loading, beside a plain sentence encoder.

python bench/scale.py --photos FOLDER [--lyrics FILE.jsonl ...] [--judged FOLDER] [--songs 1000000] [--cache FOLDER]

PostgreSQL is started for it in a temporary folder (some 10 GB for a million songs). The full run takes about an hour on
two cores; the exhaustive ranking, a third of it, is kept in --cache.

songs       new ones from the lines of real lyrics (scaling/made.py): the sample catalogue's and those of --lyrics
query       the workers' ``suggest_songs`` for 20 songs of 300 candidates in a market where a fifth of the songs may not
            be shown, with all that a worker does but the write: both stages, a rule of staff, popularity, diversity,
            exploration, lines and reasons. cold: the first time for each photo, after the load; warm: the third time.
fidelity    against the exhaustive ranking of all songs by the full relevance. recall300: of the nearest 300 by stage
            one; score_ratio: mean full score of the ten that are returned, by relevance alone, over that of the best
            ten; overlap10: how many of them are the same. Per filter against the songs that it leaves.
growth      p95 of the whole catalogue over that of the first 10,000 songs, encoded for a release of their own.
sizes       the same for 10,000 and 100,000 songs, by p50 and p95.
import      COPY of prepared embedding rows, and the HNSW index after it. The rows lie in the order of their cells. (The
            songs' rows, with the index of words that staff search by, are loaded before; their rate is beside it.)
arrival     with --arrival they are loaded in no order, as songs come, and the query is timed; then follows all else
            after ``socialsongs_releases cluster`` and a new index.
churn       a fifth of 100,000 songs, of a release of their own, deleted and as many others added as they come:
            recall300 before, after, and after ``socialsongs_releases index``.
peer        all-MiniLM-L6-v2, 384 numbers a song in a plain pgvector table with an HNSW index: the photo's tags as a
            sentence, one query by cosine for 300 rows. (Its vectors: the mean of those of the stanzas of a song's three
            sources.)
nDCG@10     on --judged: ours, the peer's, and what two stages lose when all real songs are candidates.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

from servers import ROOT, bench_folder, environment, own_servers

FOLDER = bench_folder()
os.environ |= environment(FOLDER)

import django  # noqa: E402

import workers  # noqa: E402, F401  (sets how torch's threads wait, before torch is loaded)

django.setup()

import numpy as np  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import override_settings  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from scaling import load  # noqa: E402
from scaling.made import Made, make  # noqa: E402
from scaling.plots import plot  # noqa: E402

from recommender.evaluate.baselines import SentenceEncoder, tag_sentence  # noqa: E402
from recommender.evaluate.judged import JudgedSet, read_judged  # noqa: E402
from recommender.evaluate.ranking_metrics import graded_figures  # noqa: E402
from recommender.images import load_photo  # noqa: E402
from recommender.model import Image2Song  # noqa: E402
from recommender.rank import TwoStage, find_photos  # noqa: E402
from recommender.results import EncodedLyric, PhotoView  # noqa: E402
from recommender.train.songs import read_song_rows, stanzas_of  # noqa: E402
from recommender.train.teacher import sentence_vectors  # noqa: E402
from socialsongs.conf import config  # noqa: E402
from socialsongs.models import ModelRelease, Rule, SongEmbedding  # noqa: E402
from socialsongs.selectors.nearest import nearest_songs, song_filters  # noqa: E402
from workers.inference.loading import LoadedRelease, load_registered  # noqa: E402
from workers.suggesting import song_cache  # noqa: E402
from workers.suggesting.query import SongQuery  # noqa: E402
from workers.suggesting.suggest import suggest_songs  # noqa: E402

SAMPLE = ROOT / "socialsongs" / "sample" / "catalogue.jsonl"
PHOTOS, SHOWN, ROUNDS = 100, 20, 3
FEW, CHURNED = 10_000, 100_000
MEMORY_MIB = 2048  # for a graph of all songs
# A machine for a million songs gives the database more than the embedded server's few megabytes.
POSTGRES = {"shared_buffers": "2GB", "max_wal_size": "16GB", "effective_cache_size": "8GB", "random_page_cost": "1.1"}
BY_RELEVANCE_ALONE = {"DIVERSITY": 0.0, "SONGS_PER_ARTIST": 1_000_000, "POPULARITY": 0.0, "EXPLORATION": 0.0}
TARGETS = {
    "p50_ms": "<= 35", "p95_ms": "<= 70", "peer_ratio": "<= 4", "recall300": ">= 0.95", "score_ratio": ">= 0.98",
    "growth_10k_to_1m": "<= 3", "bytes_at_median_lyric": "<= 12000", "import_per_s": ">= 5000",
    "ndcg_lost_by_two_stages": "<= 0.01",
}  # fmt: skip
console = Console(width=120, stderr=True)


def say(what: str) -> None:
    console.print(f"{time.strftime('%H:%M:%S')} {what}", highlight=False)


class Bench:
    """``views``: what the model sees in P photos. ``genres``: each song's, by which searches are filtered. ``arrival``:
    are embeddings loaded in no order, or in that of their cells?"""

    def __init__(self, model: Image2Song, views: Sequence[PhotoView], made: Made, arrival: bool) -> None:
        self.model, self.views, self.made, self.arrival = model, views, made, arrival
        self.genres = load.genres(len(made))
        self.digests = load.lyrics_digests(made)
        self.estimates = np.stack([model.query(view.embedding) for view in views]) @ made.stage_one.T  # (P, N)

    # Loading

    def load(self, releases: dict[ModelRelease, int], whole: ModelRelease) -> dict[str, float]:
        """Load the songs, and the embeddings of the first ones of each release."""
        count = len(self.made)
        say(f"{count} songs' rows")
        rows = load.timed(load.copy_songs, self.made, range(count), self.genres)
        for release, songs in releases.items():
            self.copy(self.prepared(songs), release)
            self.index(release)
        say("their embeddings, prepared")
        copied = load.timed(self.copy, self.prepared(count), whole)
        say("the HNSW index")
        indexed = load.timed(self.index, whole)
        self.sql("VACUUM ANALYZE")
        return {
            "import_per_s": round(count / (copied + indexed)),
            "copy_per_s": round(count / copied),
            "index_s": round(indexed, 1),
            "song_rows_per_s": round(count / rows),
        }

    def prepared(self, songs: int) -> list[int]:
        """Return the first songs, in the order in which their embeddings are loaded."""
        order = np.arange(songs) if self.arrival else np.argsort(self.made.cells[:songs], kind="stable")
        numbers: list[int] = order.tolist()
        return numbers

    def copy(self, numbers: Sequence[int], release: ModelRelease) -> None:
        load.copy_embeddings(self.made, numbers, self.genres, release, self.digests)

    def index(self, release: ModelRelease) -> None:
        call_command("releases", "index", release.name, memory=MEMORY_MIB, stdout=StringIO())

    def sql(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    def arrival_then_order(self, release: ModelRelease) -> dict[str, Any]:
        """Time queries with the rows as they arrived, then put the rows in order."""
        say("speed in no order")
        in_no_order = quantiles("", self.times(release)[-1])
        for other in ModelRelease.objects.all():
            self.sql(f"DROP INDEX socialsongs_hnsw_{other.pk}")
        say(f"cluster, after {in_no_order}")
        clustered = load.timed(call_command, "releases", "cluster", memory=MEMORY_MIB, stdout=StringIO())
        indexed = {other: load.timed(self.index, other) for other in ModelRelease.objects.all()}
        return {
            "in_no_order": in_no_order,
            "cluster_s": round(clustered, 1),
            "index_after_cluster_s": round(indexed[release], 1),
        }

    # Speed

    def times(self, release: ModelRelease, **parameters: Any) -> list[list[float]]:
        """Return the milliseconds of each photo's suggestions, round by round; every list is full."""
        song_cache.cached_songs.cache_clear()
        rule = Rule.objects.create(name="A tenth is raised", action="boost", genre="tenth", strength=0.2)
        rounds = []
        for _ in range(ROUNDS):
            took = []
            for number, view in enumerate(self.views):
                ask = SongQuery([view], {"limit": SHOWN, "market": "US", **parameters}, seed=str(number))
                began = time.perf_counter()
                found = suggest_songs(LoadedRelease(release, self.model), ask)
                took.append((time.perf_counter() - began) * 1000)
                assert len(found.suggestions) == SHOWN, (parameters, len(found.suggestions))
            rounds.append(took)
        rule.delete()
        return rounds

    # Fidelity

    def fidelity(self, release: ModelRelease, songs: int, genre: str = "") -> dict[str, float]:
        """Return the fidelity among the first ``songs``, or those of them that have a genre."""
        allowed = np.arange(songs) if not genre else np.flatnonzero(self.genres[:songs] == genre)
        recalls, ratios, overlaps = [], [], []
        parameters = {"genre": genre} if genre else {}
        sure = patch.dict(self.model.card["confidence"], threshold=0.0)  # or popular songs took their place
        with sure, override_settings(SOCIALSONGS={**django.conf.settings.SOCIALSONGS, **BY_RELEVANCE_ALONE}):
            for photo, view in enumerate(self.views):
                recalls.append(self.recall(release, allowed, photo, parameters))
                best = np.sort(self.made.exact[photo, allowed])[-10:]
                query = SongQuery([view], {"limit": 10, **parameters})
                found = suggest_songs(LoadedRelease(release, self.model), query).suggestions
                mine = np.array([self.made.exact[photo, one.song_id.int - 1] for one in found])
                ratios.append(mine.mean() / best.mean())
                overlaps.append((mine >= best[0] - 1e-4).mean())
        return {
            "recall300": round(float(np.mean(recalls)), 4),
            "score_ratio": round(float(np.mean(ratios)), 4),
            "overlap10": round(float(np.mean(overlaps)), 3),
        }

    def recall(
        self, release: ModelRelease, allowed: NDArray[np.int64], photo: int, parameters: dict[str, Any]
    ) -> float:
        wanted = min(config().CANDIDATES, len(allowed))
        query = self.model.query(self.views[photo].embedding).tolist()
        condition = song_filters(parameters=parameters)
        of_genre = "genre" in parameters
        near = nearest_songs(release=release, embedding=query, condition=condition, limit=wanted, of_genre=of_genre)
        estimates = self.estimates[photo, allowed]
        least = np.partition(estimates, -wanted)[-wanted]
        found = self.estimates[photo, [one.song_id.int - 1 for one in near]]
        return float((found >= least - 1e-3).mean())

    # Churn

    def churn(self, release: ModelRelease, songs: int) -> dict[str, float]:
        """Delete a fifth of the songs and add as many others."""
        photos = range(len(self.views))

        def recall(allowed: NDArray[np.int64]) -> float:
            return round(float(np.mean([self.recall(release, allowed, photo, {}) for photo in photos])), 4)

        before = recall(np.arange(songs))
        gone = np.random.default_rng(2).permutation(songs)[: songs // 5]
        rows = SongEmbedding.objects.filter(release=release, song__in=[load.song_id(int(number)) for number in gone])
        rows._raw_delete(rows.db)
        added = np.arange(songs, min(songs + songs // 5, len(self.made)))
        took = load.timed(self.copy, added.tolist(), release)
        allowed = np.concatenate([np.setdiff1d(np.arange(songs), gone), added])
        after = recall(allowed)
        self.index(release)
        return {
            "recall300_before_churn": before,
            "recall300_after_churn": after,
            "recall300_after_index": recall(allowed),
            "added_per_s": round(len(added) / took),
        }


# The peer


def peer_vectors(made: Made) -> Sequence[NDArray[np.float32]]:
    """Return each new song's vector: the mean of its sources' vectors, weighted by their lines in it."""
    told = [stanzas_of(text) for text in made.real]
    vectors = sentence_vectors(list(chain.from_iterable(told)))
    owner = np.repeat(np.arange(len(told)), [len(part) for part in told])
    whole = np.stack([vectors[owner == song].mean(0) for song in range(len(told))])
    found: list[NDArray[np.float32]] = []
    for begin in range(0, len(made), 10_000):
        end = min(begin + 10_000, len(made))
        lines = whole[made.source_of(made.places[made.starts[begin] : made.starts[end]])]
        summed = np.add.reduceat(lines, made.starts[begin:end] - made.starts[begin])
        found += list(summed / np.linalg.norm(summed, axis=1, keepdims=True))
    return found


def peer(bench: Bench) -> dict[str, float]:
    say("the peer: sentences")
    vectors = peer_vectors(bench.made)
    say("the peer: rows and index")
    copied = load.timed(load.copy_peer, vectors)
    bench.sql(
        f"SET maintenance_work_mem = '6GB'; SET max_parallel_maintenance_workers = {max(1, (os.cpu_count() or 1) - 1)}"
    )
    indexed = load.timed(bench.sql, "CREATE INDEX peer_hnsw ON peer USING hnsw (embedding vector_cosine_ops)")
    for statement in ("RESET maintenance_work_mem", "VACUUM ANALYZE peer", "SET hnsw.ef_search = 300"):
        bench.sql(statement)
    queries = sentence_vectors([tag_sentence(view)[0] for view in bench.views])
    took: list[float] = []
    with connection.cursor() as cursor:
        for _ in range(ROUNDS):
            took = []
            for query in queries:
                text = str(query.tolist())
                began = time.perf_counter()
                cursor.execute(
                    "SELECT id, embedding <=> %s FROM peer ORDER BY embedding <=> %s LIMIT 300", [text, text]
                )
                assert len(cursor.fetchall()) == config().CANDIDATES
                took.append((time.perf_counter() - began) * 1000)
        cursor.execute("RESET hnsw.ef_search")
        cursor.execute("SELECT pg_total_relation_size('peer')")
        (size,) = cursor.fetchone()
    return {
        **quantiles("peer_", took),
        "peer_bytes_per_song": round(size / len(bench.made)),
        "peer_import_per_s": round(len(bench.made) / (copied + indexed)),
    }


# Judged


def judged(model: Image2Song, folder: Path, others: Sequence[str]) -> dict[str, float]:
    """Return nDCG@10 of model and peer over the judged songs, and of one and two stages over these and all others."""
    names = {"photos": folder / "photos", "labels": folder / "photos.jsonl", "songs": folder / "songs.jsonl"}
    found = read_judged(model, **names)

    def ndcg(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
        return round(float(graded_figures(scores, truth).ndcg.mean()), 4)

    full, two = _both_ways(model, found, others)
    truth = np.hstack([found.truth, np.zeros((len(found.truth), full.shape[1] - found.truth.shape[1]))])
    return {
        "ndcg": ndcg(found.relevance(model), found.truth),
        "peer_ndcg": ndcg(found.scores(model, SentenceEncoder(tag_sentence)), found.truth),
        "real_songs": full.shape[1],
        "ndcg_lost_by_two_stages": round(ndcg(full, truth) - ndcg(two, truth), 4),
    }


def _both_ways(
    model: Image2Song, judged: JudgedSet, others: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores (P, S) of the full ranking and of two stages; songs that are not ranked come last."""
    lyrics = [*(song.lyrics for song in judged.songs), *others]
    encoded = [one for start in range(0, len(lyrics), 64) for one in model.encode(lyrics[start : start + 64])]
    columns = [column for column, one in enumerate(encoded) if isinstance(one, EncodedLyric)]
    readable = [one for one in encoded if isinstance(one, EncodedLyric)]
    rank = TwoStage(model, readable)
    full = np.full((len(judged.truth), len(lyrics)), -np.inf)
    two = full.copy()
    for row, vector in enumerate(judged.tagger_output.vectors(model)):
        full[row, columns] = model.relevance(vector, readable)
        places, scores = rank(PhotoView([], vector), config().CANDIDATES)
        two[row, [columns[place] for place in places]] = scores
    return full, two


def quantiles(prefix: str, took: Sequence[float]) -> dict[str, float]:
    return {
        f"{prefix}p50_ms": round(float(np.median(took)), 1),
        f"{prefix}p95_ms": round(float(np.quantile(took, 0.95)), 1),
    }


def measure(given: argparse.Namespace, made: Made, views: Sequence[PhotoView], lyrics: Sequence[str]) -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    call_command("releases", "register", "starter", stdout=StringIO())
    whole = ModelRelease.objects.get()
    model = load_registered(whole).model
    bench = Bench(model, views, made, given.arrival)
    few = ModelRelease.objects.create(name="few", sha256=whole.sha256)
    churned = ModelRelease.objects.create(name="churned", sha256=whole.sha256)
    sizes = {few: min(FEW, len(made)), churned: min(CHURNED, len(made) * 4 // 5)}
    found: dict[str, Any] = {"songs": len(made), "photos": len(views)}
    found |= bench.load(sizes, whole)
    if given.arrival:
        found |= bench.arrival_then_order(whole)
    found |= load.sizes(whole, int(np.median(np.diff(made.starts))))
    say(f"loaded: {found}")
    return found | after_start(given, bench, whole, few, churned, sizes, lyrics)


def after_start(
    given: argparse.Namespace,
    bench: Bench,
    whole: ModelRelease,
    few: ModelRelease,
    churned: ModelRelease,
    sizes: dict[ModelRelease, int],
    lyrics: Sequence[str],
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    say("speed")
    cold, *_, warm = bench.times(whole)
    found |= quantiles("cold_", cold) | quantiles("", warm)
    by_size = {sizes[release]: quantiles("", bench.times(release)[-1]) for release in (few, churned)}
    by_size[len(bench.made)] = quantiles("", warm)
    found["sizes"] = by_size
    found["growth_10k_to_1m"] = round(found["p95_ms"] / by_size[sizes[few]]["p95_ms"], 2)
    say(f"fidelity, after {found}")
    found |= bench.fidelity(whole, len(bench.made))
    filters = {}
    for genre, share in load.GENRES.items():
        say(f"a filter that leaves {share:.1%}")
        *_, warm = bench.times(whole, genre=genre)
        filters[f"{share:.1%}"] = quantiles("", warm) | bench.fidelity(whole, len(bench.made), genre)
    found["filters"] = filters
    say(f"churn, after {found}")
    found |= bench.churn(churned, sizes[churned])
    found |= peer(bench)
    found["peer_ratio"] = round(found["p50_ms"] / found["peer_p50_ms"], 2)
    if given.judged:
        say("judged")
        found |= judged(bench.model, given.judged, lyrics)
    return found


def show(found: dict[str, Any]) -> None:
    table = Table("figure", "measured", "target", title=f"{found['songs']} songs, {os.cpu_count()} cores")
    for name, value in found.items():
        if name not in ("filters", "sizes", "in_no_order"):
            table.add_row(name, str(value), TARGETS.get(name, ""))
    if "in_no_order" in found:
        table.add_row("p50_ms / p95_ms, in no order", "{p50_ms} / {p95_ms}".format(**found["in_no_order"]), "")
    for songs, figures in found["sizes"].items():
        table.add_row(f"p50_ms / p95_ms, {songs} songs", f"{figures['p50_ms']} / {figures['p95_ms']}", "")
    targets = TARGETS | {"p50_ms": "", "p95_ms": "<= 90"}
    for share, figures in found["filters"].items():
        for name, value in figures.items():
            table.add_row(f"{name}, {share} of the songs", str(value), targets.get(name, ""))
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=1_000_000)
    parser.add_argument("--photos", type=Path, required=True, help="a folder; the first hundred of them are asked for")
    parser.add_argument("--lyrics", type=Path, nargs="*", default=[], help="JSON Lines with real lyrics")
    parser.add_argument("--judged", type=Path, help="a folder with photos/, photos.jsonl and songs.jsonl")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "socialsongs-scale-cache")
    parser.add_argument(
        "--arrival", action="store_true", help="embeddings are loaded in no order, and put in order later"
    )
    parser.add_argument("--plots", type=Path, help="a folder for scale.png and filters.png; needs matplotlib")
    given = parser.parse_args()
    from recommender.release import load_release

    model = load_release("starter", device=config().DEVICE)
    lyrics = [row["lyrics"] for path in (*given.lyrics, SAMPLE) for row in read_song_rows(path)]
    say("photos")
    views = [model.analyse([load_photo(path)])[0] for path in list(find_photos(given.photos).values())[:PHOTOS]]
    made = make(model, lyrics, np.stack([view.embedding for view in views]), given.songs, given.cache, say)
    with own_servers(FOLDER, POSTGRES):
        found = measure(given, made, views, lyrics)
        connection.close()
    show(found)
    print(json.dumps(found), flush=True)
    if given.plots:
        plot(found, given.plots)


if __name__ == "__main__":
    main()
