r"""Does learning from choices raise the choose rate without making all lists alike? A simulation.

python bench/learning.py [--rounds 5] [--lists 3000] [--songs FILE.jsonl ...] [--plot learning.png]

In each round the present model answers for --lists new photos, people choose or do not, and the learner (that of
``socialsongs_train_matcher --from-choices``) makes a new one from all its lists; that one answers from then on if it is
better by the command's own measure. Beside it: no learning, and learning from choices that all count alike, wherever
they stood. All are measured on the same photos and people, which no round has.

What is assumed of the people, and hidden from the learner:

- Photos are mixtures of two of the release's reference photos and noise; those of the rounds are of three quarters of
  them. It is measured on new ones of the same, and on "other photos", of the rest. Songs are the sample catalogue's, as
  the release reads them.
- How much a song appeals to somebody for a photo is SHARED of the starter's own relevance and HIDDEN of a taste that
  the starter does not know (a sum of products of a soft yes or no to the photo and one to the song), both in standard
  deviations over songs, and PERSONAL noise of each person and song.
- A person examines the place r with probability r^-ETA, each place on its own, and chooses what appeals most of what
  was examined, if it appeals more than a threshold; it is set so that START of the starter's lists have a choice.

So people do not follow the learner's click model: they choose one song of a list at most, and the chance depends on
the other songs. They do not tire of songs and do not change; all of them share the hidden taste.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the checkout need not be installed

from recommender.choose import artist_key, choose, directions, explore  # noqa: E402
from recommender.evaluate.click_model import difference  # noqa: E402
from recommender.evaluate.judged import TaggerOutput  # noqa: E402
from recommender.lyrics import Encoded, parse_lyric  # noqa: E402
from recommender.network import Network  # noqa: E402
from recommender.release import load_release  # noqa: E402
from recommender.train.from_choices import (  # noqa: E402
    ChoiceExamples,
    ChoicesConfig,
    ChoicesResult,
    ShownList,
    encode_songs,
    relevances,
    train_and_compare,
)
from socialsongs.conf import PluginSettings  # noqa: E402

Array = NDArray[np.float64]
CATALOGUE = ROOT / "socialsongs" / "sample" / "catalogue.jsonl"
PLACES, NEAREST, CANDIDATES = 10, 40, 110
DIVERSITY = PluginSettings().DIVERSITY
SHARED, HIDDEN, PERSONAL, TASTES = 0.6, 0.8, 1.0, 3
ETA, START = 1.0, 0.25
# Of ``Given``: a tenth of the photo encoder's inputs, and smaller ones, turn a vector as far by thirty times the steps.
PHOTO_RATE = 3e-3


class Given(nn.Module):
    """Stands in for the photo encoder: photos are vectors v here, which learning can rotate."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.turn = nn.Linear(dim, dim, bias=False)
        nn.init.zeros_(self.turn.weight)

    def forward(self, probabilities: Tensor, features: Tensor) -> Tensor:
        return nn.functional.normalize(features + self.turn(features), dim=1)


@dataclass(frozen=True)
class Songs:
    read: Encoded
    artists: list[str]
    directions: NDArray[np.float32]


class Answers(NamedTuple):
    """The songs of each list, best first, and their relevance."""

    songs: NDArray[np.int64]  # (N, PLACES)
    scores: Array  # (N, PLACES)


class People:
    """The people who are shown lists; the same for every learner."""

    def __init__(self, start: Network, songs: Songs, reference: Tensor, rng: np.random.Generator) -> None:
        l0 = songs.read.pooled.numpy().astype(np.float64)
        self.start, self.songs = start, songs
        self.mean = reference.numpy().astype(np.float64).mean(0)
        self.of_photos = rng.normal(size=(TASTES, l0.shape[1]))
        spread = np.tanh(3 * standard((l0 - l0.mean(0)) @ rng.normal(size=(l0.shape[1], TASTES)), 0))
        self.of_songs = spread - spread.mean(0)
        self.photo_scale = ((reference.numpy() - self.mean) @ self.of_photos.T).std(0)
        self.threshold = np.inf

    @torch.no_grad()
    def appeal(self, photos: Tensor) -> Array:
        """Return how much each song appeals to everybody, (N, S)."""
        sides = np.tanh(3 * ((photos.numpy() - self.mean) @ self.of_photos.T) / self.photo_scale)
        own = (self.start.stage_one(photos, self.songs.read.pooled)).double().numpy()
        return SHARED * standard(own, 1) + HIDDEN * standard(sides @ self.of_songs.T, 1)

    def choose(self, appeal: Array, shown: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """Return the place that is chosen in each list, or -1. ``seed``: makes people and examination reproducible."""
        rng = np.random.default_rng(seed)
        to_me = appeal + PERSONAL * rng.normal(size=appeal.shape)
        looked = rng.random(shown.shape) < np.arange(1, shown.shape[1] + 1) ** -ETA
        liked = np.where(looked, np.take_along_axis(to_me, shown, 1), -np.inf)
        return np.where(liked.max(1) > self.threshold, liked.argmax(1), -1)

    def set_threshold(self, appeal: Array, shown: NDArray[np.int64], seed: int) -> None:
        low, high = -5.0, 10.0
        for _ in range(40):
            self.threshold = (low + high) / 2
            low, high = (
                (self.threshold, high)
                if (self.choose(appeal, shown, seed) >= 0).mean() > START
                else (low, self.threshold)
            )


def standard(values: Array, axis: int) -> Array:
    found: Array = (values - values.mean(axis, keepdims=True)) / values.std(axis, keepdims=True)
    return found


def some_photos(reference: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """Return mixtures of two reference photos and noise, (N, D)."""
    pairs = torch.randint(len(reference), (2, count), generator=draw)
    part = torch.rand(count, 1, generator=draw)
    noise = torch.randn(count, reference.shape[1], generator=draw) / reference.shape[1] ** 0.5
    mixed = part * reference[pairs[0]] + (1 - part) * reference[pairs[1]]
    return nn.functional.normalize(nn.functional.normalize(mixed, dim=1) + 0.3 * noise, dim=1)


def answer(network: Network, photos: Tensor, songs: Songs, exploration: float, seed: int) -> Answers:
    """Answer as a worker does: diverse lists, and in a share of them a random song at a random place."""
    rng = Random(seed)
    seen = network.embed_photos(torch.empty(len(photos), 0), photos).detach()
    scores = standard(relevances(network, seen, songs.read, range(len(songs.artists))), 1)
    near = np.argsort(-scores, axis=1, kind="stable")[:, :CANDIDATES]
    shown = np.empty((len(photos), PLACES), np.int64)
    for row, places in enumerate(near):
        first = places[:NEAREST]
        artists = [songs.artists[place] for place in first]
        chosen = choose(scores[row, first], songs.directions[first], artists, limit=PLACES, strength=DIVERSITY)
        listed = first[chosen].tolist()
        rest = [place for place in places.tolist() if place not in listed]
        shown[row], _, _ = explore(listed, rest, share=exploration, rng=rng)
    return Answers(shown, np.take_along_axis(scores, shown, 1))


@dataclass
class Learner:
    """``most``: for how many a choice counts at most, 0: nothing is learned. ``lists``, ``photos``: what the present
    network answered. ``chosen``: of the lists that are measured by, whether a song was chosen."""

    name: str
    network: Network
    most: float
    lists: list[ShownList] = field(default_factory=list)
    photos: list[Tensor] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)
    chosen: Array = field(default_factory=lambda: np.zeros(0))


class Measured(NamedTuple):
    """Photos like those of the rounds, then as many of other kinds, and the songs' appeal for them."""

    photos: Tensor
    appeal: Array


def measure(
    learner: Learner, people: People, by: Measured, start: Array | None, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure the present network. ``start``: what the same people chose of the starter's lists."""
    answers = answer(learner.network, by.photos, people.songs, options.exploration, options.seed)
    learner.chosen = (people.choose(by.appeal, answers.songs, options.seed) >= 0).astype(np.float64)
    before = learner.chosen if start is None else start
    half = len(by.photos) // 2
    figures: dict[str, Any] = {}
    for kind, rows in (("", slice(half)), (", other photos", slice(half, None))):
        rate = difference(np.zeros(half), learner.chosen[rows])
        lead = difference(before[rows], learner.chosen[rows])
        figures[f"choose rate{kind}"] = [round(value, 4) for value in rate]
        figures[f"gain{kind}"] = [round(value, 4) for value in lead]
    alike = people.songs.directions[answers.songs]  # (N, PLACES, D)
    together = np.einsum("nid,njd->n", alike, alike) - PLACES
    counts = Counter(answers.songs.ravel().tolist())
    return figures | {
        "songs shown": round(len(counts) / len(people.songs.artists), 3),
        "most shown": round(max(counts.values()) / len(by.photos), 3),
        "alike": round(float(together.mean()) / (PLACES * (PLACES - 1)), 3),
    }


def go_on(
    learner: Learner, people: People, photos: Tensor, appeal: Array, options: argparse.Namespace, seed: int
) -> ChoicesResult:
    """Answer for new photos, note what is chosen, and learn from all lists of the present network."""
    answers = answer(learner.network, photos, people.songs, options.exploration, seed)
    learner.photos.append(photos)
    places = people.choose(appeal, answers.songs, seed)
    for shown, scores, place in zip(answers.songs, answers.scores, places, strict=True):
        learner.lists.append(
            ShownList(
                photos=[len(learner.lists)],
                songs=shown.tolist(),
                ranks=range(1, PLACES + 1),
                scores=scores.tolist(),
                chosen=int(place) if place >= 0 else None,
            )
        )
    inputs = TaggerOutput(torch.empty(len(learner.lists), 0), torch.cat(learner.photos))
    examples = ChoiceExamples(learner.lists, inputs, people.songs.read)
    return train_and_compare(
        learner.network,
        examples,
        ChoicesConfig(epochs=options.epochs, photo_rate=PHOTO_RATE, most=learner.most, seed=seed),
    )


def told(found: ChoicesResult) -> str:
    seen, lead = found.examination, found.lead
    return (
        f"{found.learned} choices, eta {seen.eta:.2f} ± {seen.error:.2f}; estimated lead "
        f"{lead.value:+.4f} [{lead.low:+.4f} {lead.high:+.4f}], R@10 {found.figures['old']['R@10']:.3f} to "
        f"{found.figures['new']['R@10']:.3f}: {found.why_not or 'better'}"
    )


def show(console: Console, learners: Sequence[Learner]) -> None:
    columns = [name for name in learners[0].measured[0] if name != "choose rate, other photos"]
    table = Table("round", *columns)
    for learner in learners:
        table.add_section()
        table.add_row(learner.name)
        for at, figures in enumerate(learner.measured):
            table.add_row(str(at), *(_cell(figures[name], name.startswith("gain")) for name in columns))
    console.print(table)


def _cell(value: float | list[float], signed: bool) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "{:+.3f} [{:+.3f} {:+.3f}]".format(*value) if signed else "{:.3f} [{:.3f} {:.3f}]".format(*value)


def plot(learners: Sequence[Learner], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    shown = {
        "choose rate": "choose rate, 95 %",
        "songs shown": "share of the songs shown",
        "alike": "likeness in a list",
    }
    for place, (key, title) in enumerate(shown.items(), start=1):
        axes = figure.add_subplot(1, 3, place, title=title, xlabel="rounds")
        for learner in learners:
            values = [figures[key] for figures in learner.measured]
            rounds = range(len(values))
            if key == "choose rate":
                values, low, high = zip(*values, strict=True)
                axes.fill_between(rounds, low, high, alpha=0.12)
            axes.plot(rounds, values, marker="o", label=learner.name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(0, 1.15 * axes.dataLim.y1)
        if place == 1:
            axes.legend(loc="lower right")
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lists", type=int, default=3000, help="in each round")
    parser.add_argument("--measured", type=int, default=2000, help="lists to measure by after each")
    parser.add_argument("--epochs", type=int, default=ChoicesConfig.epochs)
    parser.add_argument("--exploration", type=float, default=0.1, help="share of the lists with a random song")
    parser.add_argument("--songs", type=Path, nargs="+", default=[CATALOGUE], help="JSON Lines with artist, lyrics")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, help="PNG or SVG file for the curves; needs matplotlib")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console = Console(width=130, highlight=False)
    began = time.perf_counter()
    draw = torch.Generator().manual_seed(options.seed)

    model = load_release()
    rows = [json.loads(line) for path in options.songs for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if model.refusal(row["lyrics"]) is None]
    network = model.network
    reference = network.reference.clone()[torch.randperm(len(network.reference), generator=draw)]
    network.matcher.photo = Given(model.dim)  # type: ignore[assignment]
    read = encode_songs(network, [parse_lyric(row["lyrics"]) for row in rows])
    first = read.pooled.numpy()
    songs = Songs(read, [artist_key(row["artist"]) for row in rows], directions(first - first.mean(0)))
    people = People(copy.deepcopy(network), songs, reference, np.random.default_rng(options.seed))
    rest, half = len(reference) * 3 // 4, options.measured // 2
    kept = torch.cat([some_photos(part, half, draw) for part in (reference[:rest], reference[rest:])])
    by = Measured(kept, people.appeal(kept))
    shown = answer(network, kept[:half], songs, options.exploration, options.seed).songs
    people.set_threshold(by.appeal[:half], shown, options.seed)
    head = f"{model.name}: {len(rows)} songs, {options.lists} lists a round"
    console.print(f"{head}, {os.cpu_count()} cores, {options.threads} threads, torch {torch.__version__}")

    learners = [
        Learner("no learning", network, 0),
        Learner("learning", network, ChoicesConfig.most),
        Learner("learning, choices count alike", network, 1.0),
    ]
    for learner in learners:
        learner.measured.append(measure(learner, people, by, None, options))
    start = learners[0].chosen
    for at in range(1, options.rounds + 1):
        photos = some_photos(reference[:rest], options.lists, draw)
        appeal = people.appeal(photos)
        for learner in learners:
            figures = learner.measured[-1]
            if learner.most:
                found = go_on(learner, people, photos, appeal, options, options.seed + at)
                console.print(f"round {at}, {learner.name}: {told(found)}")
                if found.better:
                    learner.network, learner.lists, learner.photos = found.network, [], []
                    figures = measure(learner, people, by, start, options)
            learner.measured.append(figures)
    show(console, learners)
    last = learners[1].chosen - learners[2].chosen
    figures = {
        "rounds": options.rounds,
        "lists": options.lists,
        "seconds": round(time.perf_counter() - began),
        "best possible": round(float((people.choose(by.appeal, best(by.appeal), options.seed)[:half] >= 0).mean()), 4),
        "correction": [round(value, 4) for value in difference(np.zeros(half), last[:half])],
        **{learner.name: learner.measured for learner in learners},
    }
    if options.plot:
        plot(learners, options.plot)
    print(json.dumps(figures))


def best(appeal: Array) -> NDArray[np.int64]:
    """Return the lists of an oracle that knows how songs appeal to everybody."""
    return np.argsort(-appeal, axis=1)[:, :PLACES]


if __name__ == "__main__":
    main()
