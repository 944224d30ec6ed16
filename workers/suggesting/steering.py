"""From the text of a request to its wishes, and to the query that they steer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from recommender.wish_words import RELATED_MOOD_OF, SMALL, english
from recommender.wishes import Clause, Sign, parse_wishes
from socialsongs.models import SongEmbedding
from socialsongs.selectors.catalogue import published_songs
from socialsongs.selectors.nearest import song_filters
from socialsongs.selectors.search import artists_alike

from ..inference.loading import LoadedRelease
from .query import SongQuery
from .text_wishes import FieldWish, Wishes, WordWish
from .wish_fields import WORD, CatalogueWords, Field, by_artists, find_fields

# A name of a field stands in its clause as its number between these two characters of private use, which no text has
# otherwise: so a name may contain words that say how a clause is meant ("No Doubt").
OPEN, CLOSE = "\ue000", "\ue001"
TOKEN = re.compile(rf"{OPEN}(\d+){CLOSE}|{WORD.pattern}")
MOST_WISHES = 12  # of one text; each about lyrics takes as long as ranking for a photo
MOST_LOOKED_UP = 3  # unknown names for which similar artists are looked up


def steered(loaded: LoadedRelease, query: SongQuery, text: str) -> SongQuery:
    """Return a query as the text of its request steers it. Without views, the query is for the text alone.

    Raises ValueError when there are no views, and no word of the text has an effect.
    """
    wishes = read_wishes(loaded, query, text)
    wanted = wishes.wanted_text
    model = loaded.model
    if query.views:
        views = [model.steer(view, wanted) for view in query.views] if wanted else query.views
    elif not wishes:
        raise ValueError("No word of the text has an effect.")
    else:
        views = [model.view_text(wanted) if wanted else model.plain_view]
    return replace(query, views=views, wishes=wishes)


def read_wishes(loaded: LoadedRelease, query: SongQuery, text: str) -> Wishes:
    """Return the wishes of a text that have an effect on this query, and the words that have none."""
    reading = _Reading(loaded, query)
    text = text.replace("\u2019", "'").replace(OPEN, " ").replace(CLOSE, " ")
    names = find_fields(text, release=loaded.release, known=loaded.model.vocabulary)
    masked, end = "", 0
    for number, name in enumerate(names):
        masked += f"{text[end : name.start]}{OPEN}{number}{CLOSE}"
        end = name.end
    spans = [text[name.start : name.end] for name in names]
    for clause in parse_wishes(masked + text[end:]):
        reading.read(clause, spans, [name.field for name in names])
    return reading.wishes


@dataclass
class _Reading:
    loaded: LoadedRelease
    query: SongQuery
    fields: dict[tuple[Sign, str], FieldWish] = field(default_factory=dict)
    words: dict[tuple[Sign, str], WordWish] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    looked_up: int = 0

    @property
    def wishes(self) -> Wishes:
        """All that was read so far; what is said twice counts once."""
        return Wishes([*self.fields.values()], [*self.words.values()], [*dict.fromkeys(self.unused)])

    def read(self, clause: Clause, spans: Sequence[str], fields: Sequence[Field]) -> None:
        """Add the wishes of one clause, in which numbers stand for the names of fields."""
        typed = [(match.group(), match.group(1)) for match in TOKEN.finditer(clause.text)]
        if len(self.fields) + len(self.words) >= MOST_WISHES:
            spelled = [word if number is None else spans[int(number)] for word, number in typed]
            self.unused += [word for word in spelled if word.lower() not in SMALL]
            return
        has_words = any(number is None and word.lower() not in SMALL for word, number in typed)
        words: list[str] = []  # that follow each other without a field or a small word between them
        about: list[tuple[str, str]] = []  # what the lyrics are about: as it was typed, and for the model
        for word, number in typed:
            named = None if number is None else fields[int(number)]
            span = word if number is None else spans[int(number)]
            if named is not None and not (named.doubtful and has_words):
                about += self._words(clause, words)
                words = []
                about += self._field(clause, span, named)
            elif number is not None:
                words += span.split()
            elif word.lower() not in SMALL:
                words.append(word)
        about += self._words(clause, words)
        if about:
            as_typed, phrases = zip(*about, strict=True)
            wish = WordWish(" ".join(as_typed), clause.sign, " ".join(phrases))
            self.words.setdefault((wish.sign, wish.phrase), wish)
            self._related_moods(wish)

    def _related_moods(self, wish: WordWish) -> None:
        """Add a wish for each mood that goes with the words: who refuses heartbreak does not want sad songs, either."""
        catalogue = CatalogueWords.read(self.loaded.release)
        for mood in dict.fromkeys(RELATED_MOOD_OF[word] for word in wish.phrase.split() if word in RELATED_MOOD_OF):
            if (condition := catalogue.mood_condition(mood)) is not None:
                related = FieldWish(wish.words, wish.sign, condition, "mood", related=True)
                self.fields.setdefault((wish.sign, f"related: {mood}"), related)

    def _field(self, clause: Clause, span: str, named: Field) -> list[tuple[str, str]]:
        """Add a wish for a field if songs have it; a mood that no song has is a word for lyrics, which is returned."""
        if named.condition is None and named.mood in self.loaded.model.vocabulary:
            return [(span, named.mood)]
        only = clause.sign is Sign.WANTED and (clause.only or named.alone)
        if clause.sign is Sign.REFUSED or self._exists(named):
            if named.condition is not None:
                wish = FieldWish(span, clause.sign, named.condition, named.kind, only)
                self.fields.setdefault((wish.sign, span.casefold()), wish)
        else:
            self.unused.append(span)
        return []

    def _exists(self, named: Field) -> bool:
        if named.condition is None:
            return False
        condition = song_filters(parameters=self.query.all_parameters) & named.condition
        rows = SongEmbedding.objects.filter(condition, release=self.loaded.release, stage_one__isnull=False)
        return rows.exists()

    def _words(self, clause: Clause, words: Sequence[str]) -> list[tuple[str, str]]:
        """Return those of the words that the model knows; unknown ones may be the misspelled name of an artist."""
        vocabulary = self.loaded.model.vocabulary
        phrases = [english(word, vocabulary) for word in words]
        known = [all(part in vocabulary for part in phrase.split()) for phrase in phrases]
        if not all(known):
            name = " ".join(words)
            if self.looked_up < MOST_LOOKED_UP:
                self.looked_up += 1
                if artists := artists_alike(songs=published_songs(), name=name):
                    self._field(clause, name, Field("artist", by_artists(artists)))
                    return []
            self.unused += [word for word, one in zip(words, known, strict=True) if not one]
        return [(word, phrase) for word, phrase, one in zip(words, phrases, known, strict=True) if one]
