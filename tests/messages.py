"""Bring the German catalogues in line with the code: ``python -m tests.messages`` (``make messages``).

Babel finds the texts and writes the files, so that GNU gettext need not be installed. New texts arrive untranslated;
tests/test_languages.py refuses them until somebody has translated them.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from babel.messages import Catalog
from babel.messages.extract import extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from .processes import ROOT

KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}


class Package(NamedTuple):
    """A Django app with catalogues of its own."""

    folder: Path
    without: tuple[Path, ...] = ()

    @property
    def po(self) -> Path:
        return self.folder / "locale" / "de" / "LC_MESSAGES" / "django.po"

    @property
    def mo(self) -> Path:
        return self.po.with_suffix(".mo")

    def files(self, suffixes: tuple[str, ...]) -> Iterator[Path]:
        for path in sorted(self.folder.rglob("*")):
            if path.suffix in suffixes and not any(part in path.parents for part in self.without):
                yield path


SITE = ROOT / "socialsongs" / "site"
PACKAGES = [Package(ROOT / "socialsongs", without=(SITE,)), Package(SITE)]


def texts_of(package: Package) -> Catalog:
    """Return the texts in the code and the templates of an app, by the files that hold them."""
    found = Catalog(locale="de", domain="django")
    for path in package.files((".py", ".html", ".txt")):
        code = path.read_text()
        if path.suffix != ".py":  # what is no call becomes words of X; indents would be errors of Python's
            code = "\n".join(line.strip() for line in templatize(code).splitlines())
        for _, function, messages, _ in extract_python(BytesIO(code.encode()), KEYWORDS, [], {}):
            _add(found, KEYWORDS[function], messages, str(path.relative_to(ROOT)))
    return found


def _add(found: Catalog, places: object, messages: object, path: str) -> None:
    values = list(messages) if isinstance(messages, tuple) else [messages]
    context = None
    if isinstance(places, tuple) and isinstance(places[0], tuple):
        context = values.pop(0)
    texts = values[:2] if isinstance(places, tuple) and len(places) - bool(context) == 2 else values[:1]
    if all(isinstance(text, str) and text for text in texts):
        found.add(tuple(texts) if len(texts) == 2 else texts[0], locations=[(path, None)], context=context)


def updated(package: Package) -> tuple[bytes, bytes]:
    """Return the catalogue as it should be, as the contents of its .po and .mo file."""
    with package.po.open("rb") as file:
        catalogue = read_po(file, locale="de", domain="django")
    wanted = texts_of(package)
    wanted.creation_date = catalogue.creation_date
    catalogue.update(wanted, no_fuzzy_matching=True, update_header_comment=False)
    po, mo = BytesIO(), BytesIO()
    write_po(po, catalogue, width=110, ignore_obsolete=True, include_lineno=False)
    write_mo(mo, catalogue)
    return po.getvalue(), mo.getvalue()


def main() -> None:
    for package in PACKAGES:
        po, mo = updated(package)
        package.po.write_bytes(po)
        package.mo.write_bytes(mo)


if __name__ == "__main__":
    main()
