"""``python -m recommender evaluate``: all figures that the given data allow, as tables, JSON and parts of a document.

--photos DIR --labels FILE --songs FILE      a judged set: rankings, baselines, ablations, song2image, confidence, lines
--captions DIR [--weights FILE]              the tagger on captioned photos; means for the sentence encoder
--tag-labels DIR                             the tagger on labelled photos
--pairs PATH                                 (photo, song) pairs
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..images import load_photo
from ..inputs import InputError, json_rows
from ..model import Image2Song
from ..pairs import read_pairs
from ..rank import Ranker
from ..release import load_release
from ..results import PhotoView
from . import report
from .ablations import ablations, tag_numbers
from .baselines import SentenceEncoder, rank_at_random, rank_by_stage_one, rank_by_word_vectors, tag_sentence
from .bm25 import rank_by_tags
from .confidence import confidence_figures
from .judged import JudgedSet, compare, read_judged, song2image, songs_with_photos, tag_photos, vocabulary_figures
from .lines import line_figures
from .ranking_metrics import Array, Resampling, graded_figures
from .retrieval import evaluate_pairs

REFERENCES = 256
ENCODER = "sentence encoder on ten tags"
CENTERED = f"{ENCODER}, means removed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", type=Path, help="folder of judged photos")
    parser.add_argument("--labels", type=Path, help="JSON Lines with id, main, side, mood of each photo")
    parser.add_argument("--songs", type=Path, help="JSON Lines with id, title, artist, lyrics, main, side, mood")
    parser.add_argument("--beside", nargs="*", default=[], help="other releases with the same tagger, to compare")
    parser.add_argument("--captions", type=Path, help="folder with captions.jsonl and images/")
    parser.add_argument("--weights", type=Path, help="weights of an ImageNet MobileNetV2: the tagger's baseline")
    parser.add_argument("--tag-labels", type=Path, help="folder with labels.jsonl")
    parser.add_argument(
        "--pairs", type=Path, help="JSON Lines with image, lyrics or song; or a Shuttersong-style folder"
    )
    parser.add_argument(
        "--write", type=Path, metavar="DOCUMENT", help="put the tables, and plots beside, in a document"
    )


def run(given: argparse.Namespace) -> int:
    """Raises InputError, ReleaseError."""
    judged = [given.photos, given.labels, given.songs]
    if any(judged) and not all(judged):
        raise InputError("A judged set needs --photos, --labels and --songs.")
    if not any([*judged, given.captions, given.tag_labels, given.pairs]):
        raise InputError("Nothing to evaluate: give --photos with --labels and --songs, --captions, or --pairs.")
    model = load_release(given.release, folder=given.releases, device=given.device)
    figures: dict[str, Any] = {}
    sections: list[report.Section] = []
    if given.photos:
        judged_set = read_judged(model, photos=given.photos, labels=given.labels, songs=given.songs)
        others = {name: load_release(name, folder=given.releases, device=given.device) for name in given.beside}
        figures |= evaluate_judged(model, judged_set, given.captions, others)
        sections += judged_sections(figures)
    if given.captions or given.tag_labels:
        from .tagger import evaluate_tagger, tagger_sections

        figures["tagger"] = evaluate_tagger(model, given.captions, given.tag_labels, given.weights)
        sections += tagger_sections(figures["tagger"])
    if given.pairs:
        figures["pairs"] = evaluate_pairs(model, read_pairs(given.pairs))
        sections.append(report.table_section("pairs", "Pairs", figures["pairs"]))
    report.show(sections)
    if given.write:
        report.write(sections, given.write)
        if given.photos:
            stem = given.write.with_suffix("")
            report.plot_rankings(figures["image2song"], Path(f"{stem}-rankings.png"))
            points = {int(number): value for number, value in figures["tags"].items()}
            report.plot_line(points, Path(f"{stem}-tags.png"), "most certain tags", "nDCG@10")
    print(json.dumps(figures))
    return 0


def evaluate_judged(
    model: Image2Song, judged: JudgedSet, captions: Path | None = None, beside: Mapping[str, Image2Song] | None = None
) -> dict[str, Any]:
    """Return all figures of a judged set; ``captions``: training photos, for the sentence encoder's means."""
    relevance = judged.relevance(model)
    scores: dict[str, Array] = {"model": relevance}
    rankers = {"stage one alone": rank_by_stage_one, **_encoders(model, captions)}
    rankers |= {"BM25, tags as query": rank_by_tags, "mean word vectors": rank_by_word_vectors}
    scores |= {name: judged.scores(model, ranker) for name, ranker in rankers.items()}
    scores["popularity (oracle)"] = judged.popularity()
    scores["random"] = judged.scores(model, rank_at_random)
    figures: dict[str, Any] = {"image2song": compare(scores, judged.truth, judged.resampling)}
    for source, rows in judged.sources().items():
        part = judged.part(rows)
        chosen = {name: ranking[rows] for name, ranking in scores.items()}
        figures.setdefault("sources", {})[source] = compare(chosen, part.truth, part.resampling)
    if captions and (captioned := _captioned(judged, captions)):
        figures["captions"] = _against_captions(model, judged, relevance, captioned, captions)

    columns = songs_with_photos(judged.truth)
    turned = {name: song2image(ranking)[columns] for name, ranking in scores.items() if "popularity" not in name}
    truth = judged.truth.T[columns]
    figures["song2image"] = compare(turned, truth, Resampling(*truth.shape))

    without = {"model": relevance, **dict(ablations(model, judged))}
    without |= {name: judged.relevance(other) for name, other in (beside or {}).items()}
    figures["ablations"] = compare(without, judged.truth, judged.resampling)
    figures["tags"] = {
        str(number): round(float(graded_figures(ranking, judged.truth).ndcg.mean()), 4)
        for number, ranking in tag_numbers(model, judged)
    }
    figures["vocabulary"] = vocabulary_figures(model, judged.songs)
    figures["confidence"] = confidence_figures(model, judged, relevance)
    figures["lines"] = line_figures(model, judged, relevance)
    return figures


def _encoders(model: Image2Song, captions: Path | None) -> dict[str, Ranker]:
    """Return rankers by the sentence encoder, if it is installed; the one with means needs training photos."""
    try:
        import sentence_transformers  # noqa: F401
    except ImportError:
        return {}
    rankers: dict[str, Ranker] = {ENCODER: SentenceEncoder(tag_sentence)}
    if captions:
        photos = [load_photo(path) for path, _ in _training_photos(captions)]
        sentences = [tag_sentence(view) for view in tag_photos(model, photos).views(model)]
        rankers[CENTERED] = SentenceEncoder(tag_sentence, sentences)
    return rankers


def _training_photos(captions: Path) -> list[tuple[Path, list[str]]]:
    rows = [row for row in _caption_rows(captions) if row["split"] == "train"]
    chosen = random.Random(0).sample(rows, min(REFERENCES, len(rows)))
    return [(captions / "images" / row["image"], list(row["captions"])) for row in chosen]


def _caption_rows(captions: Path) -> list[dict[str, Any]]:
    return [row for _, row in json_rows(captions / "captions.jsonl")]


def _captioned(judged: JudgedSet, captions: Path) -> dict[int, list[str]]:
    """Return the captions of judged photos, by row. A photo's id must end with the name of the image."""
    known = {Path(row["image"]).stem: list(row["captions"]) for row in _caption_rows(captions)}
    names = {row: name if name in known else name.partition("_")[2] for row, name in enumerate(judged.ids)}
    return {row: known[name] for row, name in names.items() if name in known}


def _against_captions(
    model: Image2Song, judged: JudgedSet, relevance: Array, captioned: dict[int, list[str]], captions: Path
) -> dict[str, Any]:
    """Compare the model with the sentence encoder on captions by people, on the photos that have some."""
    rows = list(captioned)
    part = judged.part(rows)
    sentences = iter([captioned[row] for row in rows])

    def next_captions(_: PhotoView) -> Sequence[str]:
        return next(sentences)

    references = [said for _, said in _training_photos(captions)]
    human = part.scores(model, SentenceEncoder(next_captions, references))
    scores = {"model": relevance[rows], "human captions through the sentence encoder, means removed": human}
    return compare(scores, part.truth, part.resampling)


def judged_sections(figures: Mapping[str, Any]) -> list[report.Section]:
    sections = [report.ranking_section("image2song", "Songs for photos", figures["image2song"])]
    sources = {
        f"{source}: {name}": figures_of_ranking
        for source, rankings in figures.get("sources", {}).items()
        for name, figures_of_ranking in rankings.items()
    }
    if sources:
        keep = ["nDCG@10", "interval", "P@5", "MRR", "Med r"]
        rows = {name: {key: figures_of_ranking[key] for key in keep} for name, figures_of_ranking in sources.items()}
        sections.append(report.table_section("sources", "By source of the photos", rows, "ranking"))
    for name, title in (
        ("captions", "Beside human captions"),
        ("song2image", "Photos for songs"),
        ("ablations", "Without one part"),
    ):
        if name in figures:
            sections.append(report.ranking_section(name, title, figures[name]))
    tags = {"nDCG@10": figures["tags"]}
    sections.append(report.table_section("tags", "By number of tags in v", tags, "most certain tags"))
    sections.append(report.figure_section("confidence", "No confident match", figures["confidence"]))
    sections.append(report.table_section("lines", "The line that is shown", figures["lines"], "it says"))
    sections.append(report.figure_section("vocabulary", "Words of the judged lyrics", figures["vocabulary"]))
    return sections
