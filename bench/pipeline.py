"""The pipeline, from queued rows to rows that are ready, beside the bare model; with real servers and a real worker.

python bench/pipeline.py [--songs 10000] [--photos 400] [--singles 40] [--memory-photos 20000] [--skip-memory]

The full run takes about 45 minutes on two cores, 25 of these for memory. PostgreSQL and Redis are started for it in a
temporary folder, the worker and the reconciler by the commands of a deployment. All rates are medians of rounds that
take turns.

bare        a process with the model, the songs and the photos' files: no database, no broker. Batches of the worker's
            size, decoded by as many threads as the worker has while the batch before is computed, as many threads of
            torch. For each photo the two stages of recommender.rank, and line, reasons and confidence of the best ten
            as a worker finds them; pipeline_vs_bare_without_reasons is beside the same without those three.
pipeline    posts that wait while the worker is warm: from the message to the last row that is ready.
single      one photo a second by ``services.posts.create_post``, called in this process in the place of the web
            server's: from its return, where the web answers 202, to the statement that makes the row ready. Only that
            transaction's commit is not in it. Both times are the database's.
bulk        the whole catalogue encoded anew, by ``manage.py socialsongs_reencode``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from servers import ROOT, bench_folder, environment, own_servers

from socialsongs.site.embedded import die_with_parent

# The folder of one run. The process of the bare model gets its parent's.
FOLDER = Path(os.environ.get("PIPELINE_BENCH_FOLDER") or bench_folder())
os.environ |= environment(FOLDER) | {
    "PIPELINE_BENCH_FOLDER": str(FOLDER),
    "MEDIA_ROOT": str(FOLDER / "media"),
    "SOCIALSONGS_HEARTBEAT_SECONDS": "1",
}

import django  # noqa: E402

import workers  # noqa: E402, F401  (sets how torch's threads wait, before torch is loaded)

django.setup()

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.models import Count, Max, Min  # noqa: E402
from PIL import ImageOps  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from torch import Tensor  # noqa: E402
from upload import samples  # noqa: E402

from recommender.images import load_photo  # noqa: E402
from recommender.model import Image2Song  # noqa: E402
from recommender.rank import TwoStage  # noqa: E402
from recommender.release import load_release  # noqa: E402
from recommender.results import EncodedLyric, PhotoView  # noqa: E402
from recommender.train.songs import stanzas_of  # noqa: E402
from socialsongs import dispatch  # noqa: E402
from socialsongs.broker import INTERACTIVE, queue_name  # noqa: E402
from socialsongs.conf import config  # noqa: E402
from socialsongs.models import (  # noqa: E402
    PhotoSubject,
    Post,
    PostPhoto,
    RecommendationRequest,
    Song,
    SongEmbedding,
    State,
    Worker,
)
from socialsongs.services.catalogue import sync_embeddings  # noqa: E402
from socialsongs.services.posts import create_post  # noqa: E402
from socialsongs.site.processes import BEAT, WORKER  # noqa: E402
from workers.inference.loading import leave_cores  # noqa: E402
from workers.inference.photo_loading import DECODING_THREADS  # noqa: E402

CATALOGUE = ROOT / "socialsongs" / "sample" / "catalogue.jsonl"
FEWEST_LINES = 30, 38  # a song's lines: at least a number drawn between these
LONG_SIDE, QUALITY = 1600, 88  # as uploads are stored
ENCODE_AT_ONCE = 64
PORTION = 500  # posts that are queued at once when memory is measured
FEW_PHOTOS = 1000
POLL_SECONDS = 0.2  # between queries of the rows' states
STOP_SECONDS, STALL_SECONDS = 30, 120
MIB = 1024 * 1024
TARGETS = {
    "pipeline_vs_bare": ">= 0.85",
    "single_extra_ms": "<= 150",
    "idle_p95_ms": "<= 2 * idle_p50_ms",
    "p95_under_bulk_ratio": "<= 2",
    "bulk_share_of_idle": ">= 0.5",
    "bulk_vs_encoder": ">= 0.7",
    "memory_growth": "<= 0.05",
}
console = Console(width=110, stderr=True)


# The bare model


class Bare:
    """The bare model in a process of its own: answers questions from standard input."""

    def __init__(self, lyrics: Sequence[str], photos: Sequence[str]) -> None:
        self.lyrics, self.photos = lyrics, photos
        self.model = load_release(folder=_releases(), device=config().DEVICE)
        if self.model.device.type == "cpu":
            leave_cores()
        self.model.warm_up(config().INTERACTIVE_BATCH)
        self.decoders = ThreadPoolExecutor(DECODING_THREADS)
        self.rank = TwoStage(self.model, [])

    def encode(self, threads: int = 0) -> float:
        """Return songs per second. ``threads``: 0 is torch's default."""
        own = torch.get_num_threads()
        torch.set_num_threads(threads or own)
        began = time.perf_counter()
        encoded: list[Any] = []
        for start in range(0, len(self.lyrics), ENCODE_AT_ONCE):
            encoded += self.model.encode(self.lyrics[start : start + ENCODE_AT_ONCE])
        seconds = time.perf_counter() - began
        torch.set_num_threads(own)
        self.rank = TwoStage(self.model, [song for song in encoded if isinstance(song, EncodedLyric)])
        return len(self.lyrics) / seconds

    def batches(self, reasons: bool = True) -> float:
        """Return photos per second."""
        size = config().INTERACTIVE_BATCH
        began = time.perf_counter()
        ahead = self._decode(self.photos[:size])
        for start in range(size, len(self.photos) + size, size):
            decoding, ahead = ahead, self._decode(self.photos[start : start + size])
            for view in self.model.analyse_pixels([photo.result() for photo in decoding]):
                self._answer(view, reasons)
        return len(self.photos) / (time.perf_counter() - began)

    def singles(self, count: int) -> list[float]:
        """Return the milliseconds of single photos, one after another."""
        taken = []
        for path in islice(cycle(self.photos), count):
            began = time.perf_counter()
            (view,) = self.model.analyse_pixels([_decoded(self.model, path)])
            self._answer(view, True)
            taken.append(1000 * (time.perf_counter() - began))
        return taken

    def _decode(self, paths: Sequence[str]) -> list[Future[Tensor]]:
        return [self.decoders.submit(_decoded, self.model, path) for path in paths]

    def _answer(self, view: PhotoView, reasons: bool) -> None:
        places, scores = self.rank(view, config().CANDIDATES)
        if reasons:
            best = places[: config().SUGGESTIONS]
            self.model.explain(view.tags, view.embedding, [self.rank.songs[place] for place in best])
            self.model.confidence(view, scores[: len(best)])


def _decoded(model: Image2Song, path: str) -> Tensor:
    return model.preprocessing(load_photo(BytesIO(Path(path).read_bytes())))


def _releases() -> Path | None:
    return Path(folder) if (folder := config().RELEASES_DIR) else None


def answer_questions() -> None:
    """Answer each line, a method's name and its arguments, with a line."""
    bare = Bare(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(bare, name)(*arguments)), flush=True)


class BareProcess:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, *question: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("The process of the bare model is gone.")
        return json.loads(answer)


@contextmanager
def bare_process(lyrics: Sequence[str], photos: Sequence[Path]) -> Iterator[BareProcess]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--bare"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    assert process.stdin is not None
    print(json.dumps({"lyrics": lyrics, "photos": [str(path) for path in photos]}), file=process.stdin, flush=True)
    try:
        yield BareProcess(process)
    finally:
        process.stdin.close()
        process.wait(STOP_SECONDS)


# The work


def make_songs(count: int) -> list[Song]:
    """Make songs of the sample catalogue's stanzas, of usual length; no two are alike."""
    rows = [json.loads(line) for line in CATALOGUE.read_text(encoding="utf-8").splitlines()]
    stanzas = [stanza for row in rows for stanza in stanzas_of(row["lyrics"])]
    chance = random.Random(0)
    songs = []
    for number in range(count):
        wanted = chance.randint(*FEWEST_LINES)
        chosen: list[str] = []
        while sum(stanza.count("\n") + 1 for stanza in chosen) < wanted:
            chosen.append(chance.choice(stanzas))
        songs.append(
            Song(title=f"Song {number}", artist="Several Hands", lyrics="\n\n".join(chosen), status="published")
        )
    return songs


def make_photos(count: int, folder: Path) -> list[Path]:
    """Make photos by random crops and flips of real ones, in the size of stored photos; no two are alike."""
    folder.mkdir(parents=True)
    sources = [ImageOps.contain(load_photo(path), (2 * LONG_SIDE, 2 * LONG_SIDE)) for path in samples()]
    chance = random.Random(0)
    made = []
    for number in range(count):
        photo = sources[number % len(sources)]
        share = chance.uniform(0.6, 1.0)
        width, height = (round(side * share) for side in photo.size)
        left, top = chance.randint(0, photo.width - width), chance.randint(0, photo.height - height)
        photo = photo.crop((left, top, left + width, top + height))
        if chance.random() < 0.5:
            photo = ImageOps.mirror(photo)
        scale = LONG_SIDE / max(photo.size)
        photo = photo.resize((max(1, round(photo.width * scale)), max(1, round(photo.height * scale))))
        made.append(folder / f"{number}.jpg")
        photo.save(made[-1], "JPEG", quality=QUALITY)
    return made


def queue_posts(owner: Any, photos: Sequence[Path]) -> None:
    """Insert posts of one photo each, in one transaction and without a wake-up. Several may share a file."""
    posts = [Post(owner=owner) for _ in photos]
    rows = [
        PostPhoto(post=post, image=f"posts/{path.name}", width=LONG_SIDE, height=LONG_SIDE)
        for post, path in zip(posts, photos, strict=True)
    ]
    kind = ContentType.objects.get_for_model(PostPhoto)
    with transaction.atomic():
        Post.objects.bulk_create(posts)
        PostPhoto.objects.bulk_create(rows)
        PhotoSubject.objects.bulk_create(PhotoSubject(content_type=kind, object_id=str(row.pk)) for row in rows)
        RecommendationRequest.objects.bulk_create(RecommendationRequest(post=post, is_default=True) for post in posts)


# The processes of a deployment


@contextmanager
def program(command: Sequence[str], name: str) -> Iterator[None]:
    with (FOLDER / f"{name}.log").open("ab") as log:
        started = subprocess.Popen(
            [str(Path(sys.executable).with_name(command[0])), *command[1:]],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )
    try:
        yield
    finally:
        started.terminate()
        try:
            started.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def worker() -> Iterator[None]:
    """Start a worker and wait until its model is loaded and warm."""
    with program(WORKER, "worker"):
        wait_until(
            lambda: Worker.objects.filter(queues__contains=[queue_name(INTERACTIVE)], state=Worker.State.READY).exists()
        )
        yield


def wait_until(true: Callable[[], bool], progress: Callable[[], object] = lambda: None) -> None:
    """Poll rarely, so as not to slow anything down. Raises when ``progress`` stands still."""
    last, since = progress(), time.monotonic()
    while not true():
        time.sleep(POLL_SECONDS)
        if time.monotonic() - since > STALL_SECONDS:
            if progress() == last:
                end = (FOLDER / "worker.log").read_text(errors="replace").splitlines()[-20:]
                raise SystemExit("\n".join(["The worker makes no progress. The end of its log:", *end]))
            last, since = progress(), time.monotonic()


def figures() -> dict[str, Any]:
    """Return the worker's figures, from its row."""
    time.sleep(config().HEARTBEAT_SECONDS + 1.5)  # until a heartbeat has written all figures
    found: dict[str, Any] = Worker.objects.get(queues__contains=[queue_name(INTERACTIVE)]).figures
    return found


def now() -> Any:
    """Return the time by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def are_waiting(rows: Any) -> bool:
    return bool(rows.filter(state__in=[State.QUEUED, State.ANALYSING]).exists())


# Measuring


@dataclass
class Bench:
    owner: Any
    photos: Sequence[Path]
    bare: BareProcess

    def work_off(self, photos: Sequence[Path]) -> float:
        """Return photos per second, from the wake-up to the last ready post."""
        queue_posts(self.owner, photos)
        began = now()
        dispatch.send(dispatch.DRAIN_INTERACTIVE)
        wait_until(lambda: not are_waiting(Post.objects), lambda: Post.objects.filter(state=State.READY).count())
        done = Post.objects.filter(finished_at__gte=began)
        if done.filter(state=State.READY).count() != len(photos):
            raise SystemExit("Not every post found its songs.")
        return float(len(photos) / (done.aggregate(last=Max("finished_at"))["last"] - began).total_seconds())

    def reencode(self) -> float:
        """Return songs per second, from the end of the first batch to that of the last."""
        call_command("reencode", stdout=StringIO())
        wait_for_songs()
        ends = SongEmbedding.objects.aggregate(first=Min("finished_at"), last=Max("finished_at"), all=Count("pk"))
        later = SongEmbedding.objects.filter(finished_at__gt=ends["first"]).count()
        return float(later / (ends["last"] - ends["first"]).total_seconds())

    def throughput(self, rounds: int) -> dict[str, Any]:
        self.work_off(self.photos[: 2 * config().INTERACTIVE_BATCH])
        before = figures()
        bare, without, pipeline = [], [], []
        for _ in range(rounds):
            bare.append(self.bare.ask("batches", True))
            pipeline.append(self.work_off(self.photos))
            without.append(self.bare.ask("batches", False))
        after = figures()
        seconds = {
            stage: round(taken - before["seconds"].get(stage, 0.0), 3) for stage, taken in after["seconds"].items()
        }
        sizes = Counter(after["batches"]["interactive"])
        sizes.subtract(before["batches"]["interactive"])
        rate, bare_rate = statistics.median(pipeline), statistics.median(bare)
        return {
            "pipeline_vs_bare": round(rate / bare_rate, 3),
            "pipeline_vs_bare_without_reasons": round(rate / statistics.median(without), 3),
            "bare_photos_per_s": round(bare_rate, 2),
            "pipeline_photos_per_s": round(rate, 2),
            "batch_sizes": {size: count for size, count in sizes.items() if count},
            "stage_seconds": seconds,
        }

    def each_second(self, going_on: Callable[[int], bool]) -> tuple[list[float], list[Any]]:
        """Post photos while ``going_on(how many were posted)``: milliseconds of each until ready, and when it was."""
        chance = random.Random(1)  # not in step with anything periodic
        accepted: dict[Any, Any] = {}
        began = time.monotonic()
        for number, path in enumerate(cycle(self.photos)):
            time.sleep(max(0.0, began + number + chance.uniform(-0.2, 0.2) - time.monotonic()))
            if not going_on(number):
                break
            post, _ = create_post(
                owner=self.owner, uploads=[SimpleUploadedFile(path.name, path.read_bytes(), "image/jpeg")]
            )
            accepted[post.pk] = now()
        wait_until(lambda: not are_waiting(Post.objects))
        ends = dict(Post.objects.filter(pk__in=accepted, state=State.READY).values_list("pk", "finished_at"))
        if len(ends) != len(accepted):
            raise SystemExit("Not every post found its songs.")
        return [1000 * (ends[key] - at).total_seconds() for key, at in accepted.items()], [*map(ends.get, accepted)]

    def singles(self, count: int) -> dict[str, Any]:
        self.bare.ask("singles", 3)
        bare = statistics.median(self.bare.ask("singles", count))
        taken, _ = self.each_second(lambda number: number < count)
        p50, p95 = statistics.median(taken), quantile95(taken)
        return {
            "single_extra_ms": round(p50 - bare, 1),
            "bare_single_ms": round(bare, 1),
            "idle_p50_ms": round(p50, 1),
            "idle_p95_ms": round(p95, 1),
        }

    def singles_under_bulk(self, idle: dict[str, Any], bulk_rate: float) -> dict[str, Any]:
        """Post one photo per second while the whole catalogue is encoded anew."""
        began = now()
        call_command("reencode", stdout=StringIO())
        taken, ends = self.each_second(lambda _: are_waiting(SongEmbedding.objects))
        wait_for_songs()
        over = SongEmbedding.objects.aggregate(last=Max("finished_at"))["last"]
        meanwhile = [one for one, end in zip(taken, ends, strict=True) if end <= over]
        if not meanwhile:
            raise SystemExit("The catalogue was encoded before a photo was ready: take more songs.")
        seconds = (over - began).total_seconds()
        # Of the time that the photos, at the bare model's pace, leave.
        idle_share = 1 - len(meanwhile) / seconds * idle["bare_single_ms"] / 1000
        rate = SongEmbedding.objects.count() / seconds
        p95 = quantile95(meanwhile)
        return {
            "p95_under_bulk_ratio": round(p95 / idle["idle_p95_ms"], 2),
            "bulk_p50_ms": round(statistics.median(meanwhile), 1),
            "bulk_p95_ms": round(p95, 1),
            "bulk_photos": len(meanwhile),
            "bulk_share_of_idle": round(rate / (bulk_rate * idle_share), 3),
        }

    def bulk(self, rounds: int) -> dict[str, Any]:
        """Compare the bulk lane, database included, with the encoder alone on the same lyrics.

        The encoder runs on one thread, where steps need not wait for each other, or on all, whichever is faster.
        """
        alone, together, lane = [], [], []
        for _ in range(rounds):
            alone.append(self.bare.ask("encode", 1))
            lane.append(self.reencode())
            together.append(self.bare.ask("encode"))
        encoder = max(statistics.median(alone), statistics.median(together))
        return {
            "bulk_vs_encoder": round(statistics.median(lane) / encoder, 3),
            "encoder_songs_per_s": round(encoder, 1),
            "encoder_songs_per_s_by_threads": {
                "1": round(statistics.median(alone), 1),
                "all": round(statistics.median(together), 1),
            },
            "bulk_songs_per_s": round(statistics.median(lane), 1),
        }

    def memory(self, many: int) -> dict[str, Any]:
        """Return a new worker's resident set after few and after many photos."""
        resident, done = {}, 0
        for goal in (min(FEW_PHOTOS, many), many):
            while done < goal:
                portion = min(PORTION, goal - done)
                self.work_off([self.photos[(done + place) % len(self.photos)] for place in range(portion)])
                done += portion
            process = psutil.Process(Worker.objects.get(queues__contains=[queue_name(INTERACTIVE)]).pid)
            resident[goal] = process.memory_info().rss
            console.print(f"  {done} photos: {resident[goal] / MIB:.0f} MiB")
        few, all_of_them = min(resident), max(resident)
        return {
            "memory_growth": round(resident[all_of_them] / resident[few] - 1, 4),
            "memory_1000_mib": round(resident[few] / MIB),
            "memory_20000_mib": round(resident[all_of_them] / MIB),
            "memory_photos": all_of_them,
        }


def wait_for_songs() -> None:
    songs = SongEmbedding.objects
    wait_until(lambda: not are_waiting(songs), lambda: songs.filter(state=State.QUEUED).count())


def quantile95(values: Sequence[float]) -> float:
    return float(np.quantile(values, 0.95))


def measure(given: argparse.Namespace) -> dict[str, Any]:
    say(f"a catalogue of {given.songs} songs and {given.photos} photos")
    call_command("migrate", verbosity=0)
    call_command("releases", "register", stdout=StringIO())
    owner = get_user_model().objects.create_user("poster")
    songs = Song.objects.bulk_create(make_songs(given.songs), batch_size=PORTION)
    sync_embeddings()
    photos = make_photos(given.photos, FOLDER / "media" / "posts")
    with bare_process([song.lyrics for song in songs], photos) as bare, maintenance():
        bench = Bench(owner, photos, bare)
        with worker():
            say("its songs are encoded for the first time")
            dispatch.send(dispatch.DRAIN_BULK)
            wait_for_songs()
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE")  # autovacuum's work, but now and not at any time
            say("bulk: bare encoder and lane")
            found = bench.bulk(given.rounds)
            say("photos: bare model and pipeline")
            found |= bench.throughput(given.rounds)
            say("one photo a second")
            found |= bench.singles(given.singles)
            say("one photo a second, all songs encoded anew")
            found |= bench.singles_under_bulk(found, found["bulk_songs_per_s"])
        if given.skip_memory:
            return found | dict.fromkeys(("memory_growth", "memory_1000_mib", "memory_20000_mib", "memory_photos"))
        with worker():
            say("memory of a fresh worker")
            return found | bench.memory(given.memory_photos)


@contextmanager
def maintenance() -> Iterator[None]:
    with program(BEAT, "maintenance"):
        yield


def say(what: str) -> None:
    console.print(f"{time.strftime('%H:%M:%S')} {what}", highlight=False)


def show(found: dict[str, Any], given: argparse.Namespace) -> None:
    head = f"{given.songs} songs, {given.photos} photos, {given.rounds} rounds, {os.cpu_count()} cores"
    table = Table("figure", "measured", "target", title=head)
    for name in sorted(found, key=lambda name: name not in TARGETS):
        value = found[name]
        text = ", ".join(f"{key}: {part}" for key, part in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name, "" if value is None else text, TARGETS.get(name, ""))
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--singles", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-photos", type=int, default=20_000)
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        answer_questions()
        return
    with own_servers(FOLDER):
        found = measure(given)
        connection.close()
    show(found, given)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
