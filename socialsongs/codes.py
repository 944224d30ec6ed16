"""Brings codes of languages, countries and recordings into the one form that songs and requests use."""

from __future__ import annotations

import re
from functools import cache, lru_cache

import langcodes
from django.conf.locale import LANG_INFO
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext as _
from langcodes.data_dicts import TERRITORY_REPLACEMENTS

ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}\d{7}")
# Excludes codes for private use in ISO 3166: in some catalogues XW means the world. XK is Kosovo everywhere.
COUNTRY = re.compile(r"(?!AA|Q[M-Z]|X[A-JL-Z]|ZZ)[A-Z]{2}")
# For the OpenAPI schema: all texts that ``language_code`` and ``market_code`` accept have these forms.
LANGUAGE_FORM, MARKET_FORM = r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$", r"^([A-Za-z]{2,3}|[0-9]{3})$"


@cache
def _names() -> dict[str, str]:
    """Return language codes by case-folded name, in English and in the language itself."""
    found: dict[str, str] = {}
    for code, known in LANG_INFO.items():
        if "name" in known:
            for name in (known["name"], known["name_local"]):
                found.setdefault(name.casefold(), code)
    return found


# Names that are common and in no list of Django's.
OTHER_NAMES = {"chinese": "zh", "chinesisch": "zh", "mandarin": "zh", "中文": "zh", "汉语": "zh"}


@cache
def _german_names() -> dict[str, str]:
    with translation.override("de"):
        return {gettext(known["name"]).casefold(): code for code, known in LANG_INFO.items() if "name" in known}


def language_named(name: str) -> str | None:
    """Return the code of a language by its name in English, in German or in the language itself; None for other words.

    Codes are no names: "in", "no" and "so" are words.
    """
    name = name.casefold()
    return OTHER_NAMES.get(name) or _names().get(name) or _german_names().get(name)


@lru_cache(4096)  # bounded, because requests can contain any text
def language_code(text: str) -> str:
    """Return the shortest BCP 47 tag: eng gives en, en_us gives en-US, and a language's name gives its code.

    Raises ValueError.
    """
    tag = _names().get(text.strip().casefold(), text.strip())
    first, *rest = re.split("[-_]", tag)
    rest = [TERRITORY_REPLACEMENTS.get(part.lower(), part) if len(part) == 3 else part for part in rest]
    try:
        code = langcodes.standardize_tag("-".join([first, *rest]), macro=first.lower() in ("cmn", "arb"))
        known = langcodes.tag_is_valid(code) and re.match("[a-z]{2}", code) is not None  # not x-private or 001
    except ValueError:
        known = False
    if not known:
        raise ValueError(_("%(text)s is no language tag of BCP 47, such as en or pt-BR.") % {"text": repr(text)})
    return code


@lru_cache(4096)
def market_code(text: str) -> str:
    """Return the two letters of ISO 3166: UK, gb and GBR give GB. Raises ValueError."""
    code = text.strip().upper()
    code = TERRITORY_REPLACEMENTS.get(code.lower(), code)
    if not COUNTRY.fullmatch(code) or not langcodes.tag_is_valid(f"und-{code}"):
        raise ValueError(_("%(text)s is no country code of ISO 3166, such as DE.") % {"text": repr(text)})
    return code


def isrc_code(text: str) -> str:
    """Return an ISRC as twelve characters without hyphens; empty stays empty. Raises ValueError."""
    code = re.sub(r"[\s\-\u2010-\u2015]", "", text).upper().removeprefix("ISRC").removeprefix(":")
    if code and not ISRC.fullmatch(code):
        raise ValueError(
            _("%(text)s is no ISRC: two letters, three letters or digits, seven digits, as in US-S1Z-99-00001.")
            % {"text": repr(text)}
        )
    return code
