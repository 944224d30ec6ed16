"""``python -m recommender rank | bm25 | evaluate | train``: rank, measure and train without a database."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .card import ReleaseError
from .evaluate import command as evaluation
from .inputs import InputError
from .rank import write_ranking
from .release import load_release


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0 done, 1 some photos are unreadable (named on stderr), 2 wrong input."""
    release = argparse.ArgumentParser(add_help=False)
    release.add_argument("--release", help="name of a release (default: the one that ships)")
    release.add_argument("--releases", type=Path, help="folder with releases (default: those that ship)")
    release.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... or auto (a GPU if there is one)")
    parser = argparse.ArgumentParser(prog="python -m recommender", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("rank", "rank a JSON Lines catalogue for every photo of a folder"),
        ("bm25", "the same by a baseline: BM25 over the lyrics with the photo's tags as the query"),
    ):
        command = commands.add_parser(name, help=text, parents=[release])
        command.add_argument("--photos", type=Path, required=True, help="folder with jpg, jpeg, png, webp")
        command.add_argument("--songs", type=Path, required=True, help="JSON Lines with id, title, artist, lyrics")
        command.add_argument("--out", type=Path, required=True, help="run file to write, one JSON line per photo")
    command = commands.add_parser(
        "evaluate",
        help="measure the model, its baselines and ablations",
        parents=[release],
        description=evaluation.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluation.add_arguments(command)
    commands.add_parser("train", help="train a part: eyes, tagger or matcher (see docs/model.md)", add_help=False)

    given, rest = parser.parse_known_args(arguments)
    if rest and given.command != "train":
        parser.error(f"unrecognised arguments: {' '.join(rest)}")
    try:
        if given.command == "train":
            from .train.__main__ import main as train

            return train(rest)
        if given.command == "evaluate":
            return evaluation.run(given)
        model = load_release(given.release, folder=given.releases, device=given.device)
        if given.command == "bm25":
            from .evaluate.bm25 import rank_by_tags

            unreadable = write_ranking(given.photos, given.songs, given.out, model, ranker=rank_by_tags)
        else:
            unreadable = write_ranking(given.photos, given.songs, given.out, model)
    except (InputError, ReleaseError) as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
