"""Which language a lyric is in, by py3langid: the model reads English alone."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

ENGLISH = ("en", "pcm")  # pcm: Nigerian Pidgin, which other English creoles are taken for
FEWEST_WORDS = 8  # shorter texts are named wrongly too often
SURE = 0.5  # sung syllables ("shoop shoobedoo") are named with less than .4, two lines of a language with more than .6


@cache
def _identifier() -> LanguageIdentifier:
    identifier: LanguageIdentifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier


def unsupported_language(words: list[str], known: float) -> str | None:
    """The code (ISO 639, or "und") of an unsupported language, None for English; ``known``: share of words the
    release has met.

    Both must speak against English: names, slang and dialect fool the one or the other. Measured on lyrics: English
    has a known share above .9, other languages in Latin letters below .6.
    """
    letters = {letter: count for letter, count in Counter("".join(words)).items() if letter.isalpha()}
    latin = sum(count for letter, count in letters.items() if unicodedata.name(letter, "").startswith("LATIN"))
    if latin < sum(letters.values()) / 2:
        return _identify(words) or "und"
    if not letters or len(words) < FEWEST_WORDS or known > 0.7:
        return None
    return _identify(words)


def _identify(words: list[str]) -> str | None:
    """None for English, and when in doubt."""
    code, probability = _identifier().classify(" ".join(words))
    return None if code in ENGLISH or probability < SURE else str(code)
