"""``python -m tests.settings_table FILE`` writes the table of settings into FILE, between its two marks."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

from socialsongs.conf import PluginSettings, describe_bounds

from .marked import replace_marked

BEGIN, END = "<!-- settings: begin (written by `make settings`) -->", "<!-- settings: end -->"


def table() -> list[str]:
    lines = ["| key | default | allowed | |", "|---|---|---|---|"]
    for setting in fields(PluginSettings):
        default = setting.metadata["default_text"] or f"`{setting.default}`"
        lines.append(f"| `{setting.name}` | {default} | {describe_bounds(setting)} | {setting.metadata['about']} |")
    return lines


def written(text: str) -> str:
    """``text`` with the table as the fields say it now."""
    return replace_marked(text, BEGIN, END, table())


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(written(file.read_text()))
