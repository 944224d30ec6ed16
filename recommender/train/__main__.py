"""``python -m recommender train tagger|matcher``."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in ("tagger", "matcher"):
        print("usage: python -m recommender train {tagger,matcher} [--help]", file=sys.stderr)
        return 2
    if arguments[0] == "tagger":
        from . import tagger as part
    else:
        from . import matcher as part  # type: ignore[no-redef]
    return part.main(arguments[1:])
