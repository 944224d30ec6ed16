"""Texts for people use the terms of docs/glossary.md."""

import re

import pytest

from .processes import ROOT

# Phrases that docs/glossary.md forbids, and what to write instead. Only phrases that have no other meaning.
FORBIDDEN = {
    r"photos? (was|were|is|are|being|been) (still being )?(looked at|seen)": "analysed",
    r"(what|tags?|things?) (was|were) seen in (a|the|this|your) photo": "recognised",
    r"(songs?|lyrics) (was|were|is|are|have been|has been|being) read": "encoded",
    r"encoded anew|answered anew|looked at anew": "encoded (answered, analysed) again",
    r"told along|told to clients": "sent",
    r"drawn by lot": "drawn at random",
    r"tried out": "explored",
    r"likeness(es)?": "similarity",
    r"view vectors?": "embedding",
    r"trials? of (a|the)? ?(staged )?releases?": "split",
    r"record of looks|looks are recorded": "access record",
    r"certainty of (a|the) tag|most certain tags? of": "score of a tag",
    r"gives? back (the |its )?(rows?|posts?|claims?)": "hands back",
    r"grabs? (a |the )?(rows?|posts?|batch)": "claims",
}
TEXTS = [
    *(path for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".yaml") and path.name != "glossary.md"),
    *(ROOT / "socialsongs").rglob("templates/**/*.html"),
    ROOT / "README.md",
]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_use_the_words_of_the_glossary(path):
    text = " ".join(path.read_text().split())  # phrases may go on in the next line
    for phrase, instead in FORBIDDEN.items():
        found = re.search(rf"\b({phrase})\b", text, re.IGNORECASE)
        assert not found, f"{path.relative_to(ROOT)} says {found[0]!r}; docs/glossary.md: {instead}"
