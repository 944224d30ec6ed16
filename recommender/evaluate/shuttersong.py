"""Convert a folder in the layout of Shuttersong, the data set of the Image2song paper, to a file of pairs.

    images/  clips/  lyrics/    the images, the music (not needed here), a text file for each song
    manifest.csv                or .tsv or .jsonl, with the columns image, clip, lyrics[, weight][, split]

The manifest names files from these subfolders, or from the folder itself.

    python -m recommender.evaluate.shuttersong FOLDER --out pairs.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from ..inputs import InputError
from ..pairs import Pair, read_shuttersong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m recommender.evaluate.shuttersong",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="file of pairs to write, JSON Lines")
    given = parser.parse_args(arguments)
    try:
        write_pairs(read_shuttersong(given.folder), given.out)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def write_pairs(pairs: list[Pair], out: Path) -> None:
    """Write pairs in the format of ``read_pairs``, with images relative to the file's folder. Raises InputError."""
    try:
        with out.open("w", encoding="utf-8") as file:
            for pair in pairs:
                image = os.path.relpath(pair.image, out.parent.resolve())
                row = {"image": image, "lyrics": pair.lyrics, "weight": pair.weight, "split": pair.split}
                file.write(json.dumps(row) + "\n")
    except OSError as error:
        raise InputError(f"{out}: {error}") from error
