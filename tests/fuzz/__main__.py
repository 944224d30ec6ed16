"""Fuzz a real site: ``python -m tests.fuzz --files 5000 --cases 10000 --seed 1``. The last line is one JSON object."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    from .. import servers  # noqa: F401  (real ones, as for the tests)

    os.environ["DJANGO_SETTINGS_MODULE"] = "socialsongs.site.settings"
    import django

    django.setup()
    from ..accounts import token_of
    from .contract import check_contract
    from .prepared import accounts, catalogue
    from .site import MOST_MB, running_site, running_worker, test_database
    from .uploads import upload_files

    with tempfile.TemporaryDirectory() as name, test_database():
        folder = Path(name)
        catalogue()
        people = accounts()
        tokens = {each: token_of(person) for each, person in people.items()}
        cases = broken = 0
        with running_site(folder) as site:
            with running_worker(folder):
                for each, token in tokens.items():
                    found = check_contract(site, token, folder, cases=options.cases // len(tokens), seed=options.seed)
                    print(f"{found.count} cases of {each}: {found.broken} broken", flush=True)
                    cases, broken = cases + found.count, broken + found.broken
            uploaded = upload_files(site, tokens["ordinary"], count=options.files, seed=options.seed)
            for answer, count in uploaded.answers.most_common():
                print(f"{count:6} {answer}")
            for problem in uploaded.broken:
                print(problem)
            broken += len(uploaded.broken) + (not site.alive)
            if errors := site.log.read_text(errors="replace").count("Traceback (most recent call last)"):
                print(f"{errors} tracebacks in the log of the web server")
                broken += errors
            if site.peak_mb > MOST_MB:
                print(f"The web server and its decoders took {site.peak_mb:.0f} MB.")
                broken += 1
            figures = {"files": options.files, "cases": cases, "broken": broken, "peak_mb": round(site.peak_mb)}
            print(json.dumps(figures))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
