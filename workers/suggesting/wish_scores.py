"""How far candidates meet the wishes of a text: what it adds to their utility, and the words that they meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.lyrics import parse_lyric
from recommender.wishes import Sign
from socialsongs.models import Song, SongEmbedding

from ..inference.loading import LoadedRelease
from .candidates import Candidates
from .text_wishes import FieldWish, Wishes, WordWish

# What a song gains for each wanted field that it has, and loses for one beside which others are wanted, in standard
# deviations: the songs of a list lie about four above what the photo gives to songs in general.
PREFERRED, NEUTRAL = 6.0, -0.75
# What a song gains or loses for a mood that goes with words of the text.
RELATED = 2.0
# A song of an artist who is named comes first, whatever it is about.
OF_ARTIST = 15.0
# What a song loses for each standard deviation by which it is about refused words.
REFUSED, NEUTRAL_WORDS = 1.5, 0.3
# Wanted words are a reason from this closeness on if they are sung, else from the higher one: without the words, every
# second song is not about them even then.
MET_IF_SUNG, MET = 1.0, 3.0


@dataclass(frozen=True)
class WishScores:
    """What wishes mean for N candidates.

    adjustments (N,)    what they add to the utility, in standard deviations
    met                 the words of wanted fields, as they were typed, that each candidate has
    closeness           of each wish for words that is wanted, (N,): how much the candidates are about them
    of_artist (N,)      True: its artist is wanted, and may have several songs in the list
    """

    adjustments: NDArray[np.float64]
    met: Sequence[Sequence[str]]
    closeness: Sequence[tuple[WordWish, NDArray[np.float64]]]
    of_artist: NDArray[np.bool_]

    def reasons(self, row: int, song: Song) -> list[str]:
        """Return the words, as they were typed, that led to the candidate ``row``, which is this song."""
        sung = _stems(f"{song.title}\n{song.lyrics}")
        return [
            *self.met[row],
            *(
                wish.words
                for wish, closeness in self.closeness
                if closeness[row] >= (MET if sung.isdisjoint(_stems(wish.phrase)) else MET_IF_SUNG)
            ),
        ]


def score_wishes(loaded: LoadedRelease, wishes: Wishes, candidates: Candidates) -> WishScores:
    adjustments, of_artist = np.zeros(len(candidates.ids)), np.zeros(len(candidates.ids), bool)
    met: list[list[str]] = [[] for _ in candidates.ids]
    if not candidates.ids:
        return WishScores(adjustments, met, [], of_artist)
    about: list[tuple[WordWish, NDArray[np.float64]]] = []
    for wish in wishes.fields:
        has_field = _has_field(loaded, wish, candidates)
        match wish.sign:
            case Sign.NEUTRAL:
                adjustments += NEUTRAL * has_field
            case Sign.REFUSED:  # unless it is only related, no candidate has it
                adjustments -= RELATED * has_field
            case Sign.WANTED if wish.related:
                adjustments += RELATED * has_field
            case Sign.WANTED:
                is_artist = wish.kind == "artist"
                of_artist |= has_field & is_artist
                adjustments += (OF_ARTIST if is_artist else PREFERRED) * has_field
                for row in np.flatnonzero(has_field).tolist():
                    met[row].append(wish.words)
    for words in wishes.words:
        closeness = loaded.model.closeness(words.phrase, candidates.lyrics)
        match words.sign:
            case Sign.WANTED:
                about.append((words, closeness))
            case Sign.REFUSED:
                adjustments -= REFUSED * np.maximum(closeness, 0.0)
            case Sign.NEUTRAL:
                adjustments -= NEUTRAL_WORDS * np.maximum(closeness, 0.0)
    return WishScores(adjustments, met, about, of_artist)


def _has_field(loaded: LoadedRelease, wish: FieldWish, candidates: Candidates) -> NDArray[np.bool_]:
    rows = SongEmbedding.objects.filter(wish.condition, release=loaded.release, song__in=candidates.ids)
    having = set(rows.values_list("song_id", flat=True))
    return np.array([song in having for song in candidates.ids])


def _stems(text: str) -> set[str]:
    """Return the words of a text without the "s" of plurals."""
    return {word.removesuffix("s") for line in parse_lyric(text).lines for word in line}
