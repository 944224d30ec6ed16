"""Which language lyrics are in, where nobody says so, by py3langid."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .codes import language_code

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

FEWEST_BYTES = 40  # of UTF-8: eight words of English, 13 characters of Chinese; shorter texts are named wrongly
SURE = 0.5
ENOUGH = 300  # characters; each takes time
ENGLISH = ("en", "pcm")  # pcm: Nigerian Pidgin, which other English creoles are taken for


@cache
def _identifier() -> LanguageIdentifier:
    # Imported at its first use: it brings numpy and its model, which a web process has no use for.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier: LanguageIdentifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier


def language_of(text: str) -> str | None:
    """The code (BCP 47); None when there is too little to tell by."""
    start = text[:ENOUGH]
    if len(start.encode()) < FEWEST_BYTES:
        return None
    code, probability = _identifier().classify(start)
    if probability < SURE:
        return None
    return "en" if code in ENGLISH else language_code(str(code))
