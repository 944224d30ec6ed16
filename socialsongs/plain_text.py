"""Texts that name something, as ids and names of platforms: what looks the same is the same."""

from __future__ import annotations

import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


def plain_text(text: str) -> None:
    """Raise ValidationError unless the text is visible characters and inner spaces, in normal form C.

    Control characters, NUL, bidirectional and other invisible marks, lone surrogates, private and unassigned
    characters, and spaces but U+0020 are refused (``str.isprintable``).
    """
    if not text or text != text.strip():
        raise ValidationError(_("It is empty, or begins or ends with a space."), code="plain_text")
    if not text.isprintable():
        bad = next(letter for letter in text if not letter.isprintable())
        raise ValidationError(
            _("It has the character U+%(code)s, which cannot be seen. Leave it out.") % {"code": f"{ord(bad):04X}"},
            code="plain_text",
        )
    if not unicodedata.is_normalized("NFC", text):
        raise ValidationError(
            _("It is not in Unicode normal form C: the same text could be written in two ways."), code="plain_text"
        )
