"""``python -m tests.adoption FILE`` writes into FILE what a site edits to adopt the plugin: tests/hostsite/adopted."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from .marked import replace_marked

BEGIN, END = "<!-- adoption: begin (written by `make adoption`) -->", "<!-- adoption: end -->"
HOSTSITE = Path(__file__).with_name("hostsite")
SITE, ADOPTED = HOSTSITE / "site", HOSTSITE / "adopted"


def edited() -> dict[str, list[str]]:
    """Return the lines that each edited file of the site has beyond those that it had, by the file's name."""
    files = sorted(path.relative_to(ADOPTED).as_posix() for path in ADOPTED.rglob("*") if path.is_file())
    found = {}
    for name in files:
        before, after = ((folder / name).read_text().splitlines() for folder in (SITE, ADOPTED))
        lines = [line for line in difflib.ndiff(before, after) if line[0] in "+-" and line[2:].strip()]
        removed = [line[2:] for line in lines if line[0] == "-"]
        assert not removed, f"{name} loses lines: {removed}"
        found[name] = [line[2:] for line in lines]
    return found


def written(text: str) -> str:
    """``text`` with the edited lines as they are now."""
    lines = []
    for name, added in edited().items():
        lines += [f"`{name}`", "", *(f"    {line}" for line in added), ""]
    return replace_marked(text, BEGIN, END, lines[:-1])


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(written(file.read_text()))
