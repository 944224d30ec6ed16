"""``python -m recommender train eyes|tagger|matcher``; ``train matcher --pairs`` learns from (image, song) pairs.

Raises InputError and ReleaseError.
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in ("eyes", "tagger", "matcher"):
        print("usage: python -m recommender train {eyes,tagger,matcher,matcher --pairs} [--help]", file=sys.stderr)
        return 2
    if arguments[0] == "eyes":
        from . import eyes as part
    elif arguments[0] == "tagger":
        from . import tagger as part  # type: ignore[no-redef]
    elif any(argument.partition("=")[0] == "--pairs" for argument in arguments):
        from . import from_pairs as part  # type: ignore[no-redef]
    else:
        from . import matcher as part  # type: ignore[no-redef]
    return part.main(arguments[1:])
