"""How often the attended line names what the photo shows, compared with a random line of the same lyric.

A line does so when it shares a word, apart from inflection, with the photo's shown tags or with its labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..lyrics import WORD, parse_lyric
from ..model import SHOWN_SCORE, Image2Song
from ..results import EncodedLyric
from .judged import JudgedSet
from .ranking_metrics import DEPTH, Array, Resampling

STOP_WORDS = {"and", "the"}
FEWEST_LETTERS = 3
DOUBLED = ("bb", "dd", "gg", "mm", "nn", "pp", "rr", "tt")  # running, but not falling


def line_figures(model: Image2Song, judged: JudgedSet, relevance: Array) -> dict[str, dict[str, Any]]:
    """Return the figures over the ten best songs of each photo, by relevances (P, S)."""
    lyrics = [parse_lyric(song.lyrics) for song in judged.songs]
    said = [[stems(line) for line in lyric.lines] for lyric in lyrics]
    encoded = dict(enumerate(model.encode([song.lyrics for song in judged.songs])))
    readable = {place: song for place, song in encoded.items() if isinstance(song, EncodedLyric)}
    matches: dict[str, list[Array]] = {"shown tags": [], "labels": []}
    best = np.argsort(-relevance, axis=1, kind="stable")[:, :DEPTH].tolist()
    for view, label, ranked in zip(judged.tagger_output.views(model), judged.labels, best, strict=True):
        songs = [song for song in ranked if song in readable]
        explanations = model.explain(view.tags, view.embedding, [readable[song] for song in songs])
        lines = {
            song: lyrics[song].offsets.index(explanation.line)
            for song, explanation in zip(songs, explanations, strict=True)
            if explanation.line is not None
        }
        shown = words_of(tag.name for tag in view.tags if tag.score >= SHOWN_SCORE)
        for name, words in (("shown tags", shown), ("labels", words_of(label.main | label.side))):
            pairs = [line_overlap(said[song], line, words) for song, line in lines.items()]
            matches[name].append(np.array(pairs))
    return {name: _compare(overlaps, judged.resampling) for name, overlaps in matches.items()}


def line_overlap(lines: Sequence[set[str]], shown: int, words: set[str]) -> tuple[float, float]:
    """Return 1.0 if the shown line has a word of ``words``, else 0.0, and the share of all lines that have one."""
    has_word = [bool(line & words) for line in lines]
    return float(has_word[shown]), sum(has_word) / len(has_word)


def _compare(matches: Sequence[Array], resampling: Resampling) -> dict[str, Any]:
    """Return figures from ``line_overlap`` of each photo's songs, (n, 2); the interval resamples photos."""
    attended, drawn = np.array([overlaps.mean(0) for overlaps in matches]).T  # (P,) each
    difference = attended - drawn
    draws = np.array([difference[photos].mean() for photos, _ in resampling.drawn])
    every = np.concatenate(matches)
    return {
        "songs": len(every),
        "with such a line": round(float((every[:, 1] > 0).mean()), 4),
        "attended line": round(float(attended.mean()), 4),
        "random line": round(float(drawn.mean()), 4),
        "difference": round(float(difference.mean()), 4),
        "difference, 95 %": resampling.interval(draws, float(difference.mean())),
    }


def words_of(names: Iterable[str]) -> set[str]:
    """Return the stems of the words of tags or labels."""
    return stems(word for name in names for word in WORD.findall(name))


def stems(words: Iterable[str]) -> set[str]:
    """Return the stems of words, without stop words and short words."""
    return {stem(word) for word in words if len(word) >= FEWEST_LETTERS and word not in STOP_WORDS}


def stem(word: str) -> str:
    """Return the stem of a word, as in the first step of Porter (1980): danc of danced, dances."""
    word = word.removesuffix("'s")
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > FEWEST_LETTERS:
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= FEWEST_LETTERS and any(letter in "aeiouy" for letter in rest):
            word = rest[:-1] if rest.endswith(DOUBLED) else rest
            break
    return word[:-1] if word.endswith("e") and len(word) > FEWEST_LETTERS else word
