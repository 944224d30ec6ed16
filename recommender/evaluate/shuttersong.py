"""Pairs of a folder that is laid out as Shuttersong is, the data set of the Image2song paper.

    images/  clips/  lyrics/    the images, the music (not needed here), a text file for each song
    manifest.csv                or .tsv or .jsonl, with the columns image, clip, lyrics[, weight][, split]

The manifest names files from these subfolders, or from the folder itself.

    python -m recommender.evaluate.shuttersong FOLDER --out pairs.jsonl
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ..inputs import InputError, json_rows, read_text
from .pairs import Pair, make_pair

MANIFESTS = ("manifest.csv", "manifest.tsv", "manifest.jsonl")


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
        write_pairs(read_folder(given.folder), given.out)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def write_pairs(pairs: list[Pair], out: Path) -> None:
    """As ``read_pairs`` reads them, images named from the file's folder. Raises InputError."""
    try:
        with out.open("w", encoding="utf-8") as file:
            for pair in pairs:
                image = os.path.relpath(pair.image, out.parent.resolve())
                row = {"image": image, "lyrics": pair.lyrics, "weight": pair.weight, "split": pair.split}
                file.write(json.dumps(row) + "\n")
    except OSError as error:
        raise InputError(f"{out}: {error}") from error


def read_folder(folder: Path) -> list[Pair]:
    """The pairs that the folder's manifest names. Raises InputError."""
    found = [folder / name for name in MANIFESTS if (folder / name).is_file()]
    if len(found) != 1:
        raise InputError(f"{folder}: has {len(found)} manifests; give one of {', '.join(MANIFESTS)}")
    rows = json_rows(found[0]) if found[0].suffix == ".jsonl" else _table_rows(found[0])
    pairs = [make_pair(_located(row, where, folder), where=where, folder=folder) for where, row in rows]
    if not pairs:
        raise InputError(f"{found[0]}: there are no pairs; give one a line, with image and lyrics")
    return pairs


def _table_rows(path: Path) -> Iterator[tuple[str, object]]:
    """The rows of a CSV or TSV file; cells are texts but for the weight, empty ones are left out."""
    table = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t" if path.suffix == ".tsv" else ",")
    try:
        for row in table:
            filled: dict[str, object] = {key: text for key, text in row.items() if key and text}
            if "weight" in filled:
                filled["weight"] = _number(row["weight"])
            yield f"{path}, line {table.line_num}", filled
    except csv.Error as error:
        raise InputError(f"{path}, line {table.line_num}: {error}; save it as plain CSV or TSV") from error


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _located(row: object, where: str, folder: Path) -> object:
    """A manifest's row as ``make_pair`` takes it: files from ``folder``."""
    if not isinstance(row, dict):
        return row
    files = {}
    for column, key, inside in (("image", "image", "images"), ("lyrics", "song", "lyrics")):
        name = row.get(column)
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}: {column!r} is missing; name a file of {folder / inside}")
        files[key] = name if os.path.isfile(folder / name) else str(Path(inside, name))
    return files | {key: row[key] for key in ("weight", "split") if row.get(key) is not None}
