r"""What does diversity cost? Lists of ten songs by its strength: similarity, relevance, most frequent songs.

python bench/diversity.py [--songs FILE.jsonl ...] --photos FOLDER ... --judged FOLDER [--plot docs/diversity.png]

Lists are made as the workers make them: the nearest songs by stage one, their relevance, and the choice; without
popularity, taste, rules and exploration. For the photos of --photos, which need no labels, the catalogue is the sample
catalogue with all --songs (JSON Lines with lyrics, and artist or author). For the judged photos (FOLDER with photos/,
photos.jsonl and songs.jsonl) it is the judged songs.

similarity   mean cosine between two songs of a list, of their l0 less the mean song's
most         share of the lists for --photos that the most frequent song is in
skewness     of how many of these lists a song is in
95 % intervals of the changes are over photos (paired bootstrap).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the checkout need not be installed

from recommender.card import ReleaseError  # noqa: E402
from recommender.choose import artist_key, choose  # noqa: E402
from recommender.evaluate.diversity import Change, Hubness, change, hubness, list_ndcg, similarity  # noqa: E402
from recommender.evaluate.judged import read_judged, tag_photos  # noqa: E402
from recommender.evaluate.ranking_metrics import Array  # noqa: E402
from recommender.images import PhotoError, load_photo  # noqa: E402
from recommender.inputs import InputError, json_rows  # noqa: E402
from recommender.model import Image2Song  # noqa: E402
from recommender.rank import ENCODE_AT_ONCE, find_photos  # noqa: E402
from recommender.release import load_release  # noqa: E402
from recommender.results import EncodedLyric  # noqa: E402
from socialsongs.conf import PluginSettings  # noqa: E402

CATALOGUE = ROOT / "socialsongs" / "sample" / "catalogue.jsonl"
STRENGTHS = sorted({0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, PluginSettings.DIVERSITY})
PLACES = 10
Vector = NDArray[np.float32]
Lists = list[list[int]]


@dataclass(frozen=True)
class Catalogue:
    """The songs that can be encoded, row by row; ``places``: where each was among the given songs."""

    songs: list[EncodedLyric]
    artists: list[str]  # by ``artist_key``
    directions: Vector  # (S, D)
    places: list[int]

    @classmethod
    def read(cls, model: Image2Song, lyrics: Sequence[str], artists: Sequence[str]) -> Catalogue:
        starts = range(0, len(lyrics), ENCODE_AT_ONCE)
        read = [song for start in starts for song in model.encode(lyrics[start : start + ENCODE_AT_ONCE])]
        kept = {place: song for place, song in enumerate(read) if isinstance(song, EncodedLyric)}
        different = model.song_directions([song.stage_one for song in kept.values()])
        return cls(list(kept.values()), [artist_key(artists[place]) for place in kept], different, list(kept))


@dataclass(frozen=True)
class Candidates:
    """For one photo: rows of the catalogue, and the standing of each."""

    rows: list[int]
    utility: NDArray[np.float64]


def find(
    model: Image2Song, catalogue: Catalogue, photos: Sequence[Vector], *, corrected: bool = True
) -> list[Candidates]:
    """Find the candidates. ``corrected``: subtract each song's mean over reference photos, in both stages."""
    pooled = np.stack([song.stage_one for song in catalogue.songs])
    songs = catalogue.songs if corrected else [replace(song, mean_score=0.0) for song in catalogue.songs]
    mean_query = 0.0 if corrected else model.query(np.zeros(model.dim, np.float32))  # less the mean photo's
    found = []
    for photo in photos:
        estimates = pooled @ (model.query(photo) - mean_query)
        near = np.argsort(-estimates, kind="stable")[: PluginSettings.CANDIDATES].tolist()
        relevance = model.relevance(photo, [songs[row] for row in near])
        found.append(Candidates(near, model.standing(photo, relevance)))
    return found


def make_lists(catalogue: Catalogue, found: Sequence[Candidates], strength: float, per_artist: int) -> Lists:
    lists = []
    for one in found:
        artists = [catalogue.artists[row] for row in one.rows]
        likeness = catalogue.directions[one.rows]
        chosen = choose(one.utility, likeness, artists, limit=PLACES, strength=strength, per_artist=per_artist)
        lists.append([one.rows[place] for place in chosen])
    return lists


@dataclass(frozen=True)
class Figures:
    """Figures of one way to choose: one value per photo, and those of all lists for --photos."""

    similarity: Array
    judged_similarity: Array
    ndcg: Array
    hubs: Hubness

    def beside(self, plain: Figures) -> dict[str, Any]:
        """Return the figures relative to ``plain``, the lists by relevance alone."""
        return {
            "similarity": float(self.similarity.mean()),
            "similarity_change": change(self.similarity, plain.similarity),
            "judged_similarity": float(self.judged_similarity.mean()),
            "judged_similarity_change": change(self.judged_similarity, plain.judged_similarity),
            "ndcg": float(self.ndcg.mean()),
            "ndcg_change": change(self.ndcg, plain.ndcg),
            **self.hubs._asdict(),
        }


class Bench:
    """Photos and catalogues, encoded once."""

    def __init__(self, model: Image2Song, given: argparse.Namespace) -> None:
        self.model = model
        paths = {"photos": "photos", "labels": "photos.jsonl", "songs": "songs.jsonl"}
        judged = read_judged(model, **{name: given.judged / path for name, path in paths.items()})
        files = [path for folder in given.photos for path in find_photos(folder).values()]
        files = files[:: max(1, len(files) // given.most_photos)][: given.most_photos]
        self.photos = tag_photos(model, [load_photo(path) for path in files]).vectors(model)
        rows = [row for path in [CATALOGUE, *given.songs] for _, row in json_rows(path)]
        artists = [row.get("artist") or row.get("author") or "" for row in rows]
        self.large = Catalogue.read(model, [row.get("lyrics") or "" for row in rows], artists)
        self.judged_photos = judged.tagger_output.vectors(model)
        lyrics, artists = [song.lyrics for song in judged.songs], [song.artist for song in judged.songs]
        self.small = Catalogue.read(model, lyrics, artists)
        self.truth = judged.truth[:, self.small.places]
        self.found = find(model, self.large, self.photos), find(model, self.small, self.judged_photos)

    def measure(
        self, strength: float, per_artist: int = PluginSettings.SONGS_PER_ARTIST, corrected: bool = True
    ) -> Figures:
        large, small = self.found
        if not corrected:
            large = find(self.model, self.large, self.photos, corrected=False)
            small = find(self.model, self.small, self.judged_photos, corrected=False)
        lists = make_lists(self.large, large, strength, per_artist)
        judged = make_lists(self.small, small, strength, per_artist)
        return Figures(
            np.array([similarity(chosen, self.large.directions) for chosen in lists]),
            np.array([similarity(chosen, self.small.directions) for chosen in judged]),
            list_ndcg(judged, self.truth),
            hubness(lists, len(self.large.songs)),
        )


def show(measured: dict[str, dict[str, Any]], title: str) -> None:
    columns = ("similarity", "change", "judged similarity", "change", "nDCG@10", "change", "most", "skewness", "never")
    table = Table("strength", *columns, title=title)
    for name, found in measured.items():
        cells = [cell for figure in ("similarity", "judged_similarity", "ndcg")
                 for cell in (f"{found[figure]:.3f}", as_percent(found[f"{figure}_change"]))]  # fmt: skip
        table.add_row(name, *cells, f"{found['most']:.1%}", f"{found['skewness']:.2f}", f"{found['never']:.0%}")
    Console(width=170).print(table)


def as_percent(found: Change) -> str:
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f} {100 * found.high:+.1f}]"


def plot(measured: dict[float, dict[str, Any]], path: Path) -> None:
    """Plot the nDCG that is kept by the similarity that is lost, on the judged set, with the goals and the default."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="similarity within a list, against relevance alone", ylabel="nDCG@10 kept")
    points = {
        strength: (1 + found["judged_similarity_change"].value, 1 + found["ndcg_change"].value)
        for strength, found in measured.items()
    }
    axes.plot(*zip(*points.values(), strict=True), marker="o", color="tab:blue")
    axes.plot(*points[PluginSettings.DIVERSITY], "o", markersize=10, color="tab:orange", label="the default")
    for strength, point in points.items():
        if not 0 < strength < 0.5:  # those lie too close together
            axes.annotate(f"{strength:g}", point, textcoords="offset points", xytext=(5, -12))
    axes.axvline(0.8, linestyle=":", color="grey", label="the goals")
    axes.axhline(0.97, linestyle=":", color="grey")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=Path, nargs="*", default=[], help="songs beside the sample catalogue's")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos without labels")
    parser.add_argument("--most-photos", type=int, default=600, help="so many of them, evenly")
    parser.add_argument("--judged", type=Path, required=True, help="folder of a judged set")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plot", type=Path, help="a PNG to write")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    bench = Bench(load_release(), given)
    by_strength = {strength: bench.measure(strength) for strength in STRENGTHS}
    plain = by_strength[0.0]
    curve = {strength: figures.beside(plain) for strength, figures in by_strength.items()}
    measured = {
        "0, means not removed": bench.measure(0.0, corrected=False).beside(plain),
        "0, any number of an artist": bench.measure(0.0, per_artist=PLACES).beside(plain),
        **{f"{strength:g}": found for strength, found in curve.items()},
    }
    title = (
        f"{len(bench.photos)} photos, {len(bench.large.songs)} songs; {len(bench.truth)} judged photos, "
        f"{len(bench.small.songs)} judged songs; {os.cpu_count()} cores"
    )
    show(measured, title)
    if given.plot:
        plot(curve, given.plot)
    print(json.dumps(measured))


if __name__ == "__main__":
    try:
        main()
    except (InputError, PhotoError, ReleaseError) as error:
        raise SystemExit(str(error)) from error
