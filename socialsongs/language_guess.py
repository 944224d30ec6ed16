"""Detects the language of lyrics when the catalogue does not name it, by py3langid."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .codes import language_code

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

FEWEST_BYTES = (
    40  # of UTF-8: eight words of English, 13 characters of Chinese; shorter texts are often detected wrongly
)
SURE = 0.5
ENOUGH = 300  # characters: the time grows with each
ENGLISH = ("en", "pcm")  # pcm: Nigerian Pidgin; other English creoles are detected as it, too


@cache
def _identifier() -> LanguageIdentifier:
    # Imported at its first use: it loads numpy and a model, which a web process does not need.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier: LanguageIdentifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier


def language_of(text: str) -> str | None:
    """Return the BCP 47 code; None when the text is too short or the detection is uncertain."""
    start = text[:ENOUGH]
    if len(start.encode()) < FEWEST_BYTES:
        return None
    code, probability = _identifier().classify(start)
    if probability < SURE:
        return None
    return "en" if code in ENGLISH else language_code(str(code))
