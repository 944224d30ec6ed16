"""Parts of the docs that commands write, each between two marks."""

from __future__ import annotations


def replace_marked(text: str, begin: str, end: str, lines: list[str]) -> str:
    """Return ``text`` with ``lines`` in place of what stands between its two marks. Raises ValueError without them."""
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"There are no marks {begin} and {end} to write between.")
    return head + "\n".join([begin, "", *lines, "", end]) + tail
