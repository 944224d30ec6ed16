"""Recognise lyrics that are not in English, which the model cannot encode; by py3langid and the known words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

ENGLISH = ("en", "pcm")  # pcm: Nigerian Pidgin; py3langid takes other English creoles for it
FEWEST_WORDS = 8  # py3langid is wrong too often on shorter texts
# Least probability. Sung syllables ("shoop shoobedoo") get less than .4, two lines in a language more than .6.
SURE = 0.5


@cache
def _identifier() -> LanguageIdentifier:
    identifier: LanguageIdentifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier


def unsupported_language(words: list[str], known: float) -> str | None:
    """Return the code (ISO 639, or "und") of an unsupported language, None for English.

    ``known``: share of the words that are in the release's vocabulary. py3langid and ``known`` must both speak against
    English, because names, slang and dialect mislead one or the other. Measured on lyrics: English has a known share
    above .9, other languages in Latin letters below .6.
    """
    letters = {letter: count for letter, count in Counter("".join(words)).items() if letter.isalpha()}
    latin = sum(count for letter, count in letters.items() if unicodedata.name(letter, "").startswith("LATIN"))
    if latin < sum(letters.values()) / 2:
        return _identify(words) or "und"
    if not letters or len(words) < FEWEST_WORDS or known > 0.7:
        return None
    return _identify(words)


def _identify(words: list[str]) -> str | None:
    """Return the language of the words; None for English, and when the probability is low."""
    code, probability = _identifier().classify(" ".join(words))
    return None if code in ENGLISH or probability < SURE else str(code)
