"""Train a new release from the songs that people chose here, and stage it if it is better than the active one.

The training uses the lists of the active release only: earlier releases were trained from their own lists. It also uses
photos of private posts, unless --public-only is given. Photos are not copied, except by --export.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_slug
from django.utils import timezone
from rich.console import Console
from rich.table import Table

import workers.installed  # noqa: F401  (says what to install, before the imports of PyTorch fail)
from recommender.card import RELEASES, ReleaseError
from recommender.model import Image2Song
from recommender.release import save_release
from recommender.train.from_choices import ChoicesConfig, ChoicesResult, choices_card, train_and_compare
from socialsongs.conf import config
from socialsongs.models import ModelRelease
from socialsongs.selectors.releases import active_release
from socialsongs.selectors.shown_lists import ShownSuggestions, shown_lists
from socialsongs.services.releases import register
from workers.failures import Outage
from workers.inference.loading import load_registered
from workers.training_lists import gather, write_pairs

LISTS = 20_000
MIN_CHOICES = 300


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from-choices",
            action="store_true",
            required=True,
            help="train from the lists that people were shown, and their choices",
        )
        parser.add_argument("--name", help="name of the new release (default: choices-DATE-TIME)")
        parser.add_argument("--out", type=Path, help="write the release to this folder, and do not stage it")
        parser.add_argument(
            "--export",
            type=Path,
            metavar="FILE",
            help="also write (photo, song) pairs to FILE, and copies of the photos beside it",
        )
        parser.add_argument("--public-only", action="store_true", help="leave out private posts")
        parser.add_argument(
            "--lists", type=int, default=LISTS, help=f"use at most so many lists, the newest (default {LISTS})"
        )
        parser.add_argument(
            "--min-choices",
            type=int,
            default=MIN_CHOICES,
            help=f"stop if there are fewer choices (default {MIN_CHOICES})",
        )
        parser.add_argument(
            "--test-share",
            type=float,
            default=ChoicesConfig.test_share,
            help="share of the choices, the newest, that are held out for the comparison",
        )
        parser.add_argument("--epochs", type=int, default=ChoicesConfig.epochs)
        parser.add_argument("--seed", type=int, default=ChoicesConfig.seed)

    def handle(
        self,
        *args: Any,
        name: str | None,
        out: Path | None,
        export: Path | None,
        public_only: bool,
        lists: int,
        min_choices: int,
        test_share: float,
        epochs: int,
        seed: int,
        **options: Any,
    ) -> None:
        _check(lists=lists, min_choices=min_choices, test_share=test_share, epochs=epochs)
        folder = out or Path(config().RELEASES_DIR or RELEASES)
        name = _check_name(name or f"choices-{timezone.now():%Y%m%d-%H%M%S}", folder)
        release = active_release()
        if release is None:
            raise CommandError("No model release is active. Run `manage.py socialsongs_releases register` first.")
        shown = shown_lists(release=release, limit=lists, public_only=public_only)
        _check_number(sum(one.chosen is not None for one in shown), min_choices, f"of songs that {release} suggested")
        try:
            model = load_registered(release).model
        except ReleaseError as error:
            raise CommandError(str(error)) from error
        training = ChoicesConfig(test_share, epochs, seed=seed)
        result = self._train(model, shown, export, min_choices, training)
        self._print(result)
        if not result.better:
            self.stdout.write(f"Not better than {model.name}: {result.why_not}. Nothing is written.")
            return
        try:
            card = choices_card(model, result, training, name)
            save_release(result.network, card, folder)
        except OSError as error:
            raise CommandError(f"The release cannot be written to {folder}: {error}. Choose another --out.") from error
        if out is None:
            register(name=name, sha256=card["sha256"], card=card)
            self.stdout.write(
                f"{name}: staged. Every worker needs {folder / name}. When its songs are encoded: "
                f"`manage.py socialsongs_releases activate {name}`."
            )
        else:
            self.stdout.write(f"{name}: written to {folder}")

    def _train(
        self,
        model: Image2Song,
        lists: list[ShownSuggestions],
        export: Path | None,
        min_choices: int,
        training: ChoicesConfig,
    ) -> ChoicesResult:
        try:
            gathered = gather(model, lists)
            if gathered.unusable:
                self.stdout.write(
                    f"{gathered.unusable} lists are left out: their photos or lyrics cannot be read any more"
                )
            choices = sum(one.chosen is not None for one in gathered.examples.lists)
            _check_number(choices, min_choices, "with photos and lyrics that can be read")
            if export is not None:
                self.stdout.write(f"{export}: {write_pairs(gathered, export)} pairs")
        except Outage as error:
            raise CommandError(f"The photos cannot be read: {error}. Try again when the storage works.") from error
        except OSError as error:
            raise CommandError(f"{error}. Choose another file for --export.") from error
        return train_and_compare(model.network, gathered.examples, training)

    def _print(self, result: ChoicesResult) -> None:
        table = Table(
            "",
            "R@1",
            "R@5",
            "R@10",
            "Med r",
            "choose rate, 95 %",
            title=f"{result.held_out} held-out choices",
        )
        for name, rate in result.rates.items():
            figures = result.figures.get(name, {})
            recalls = [f"{figures[key]:.3f}" if figures else "" for key in ("R@1", "R@5", "R@10")]
            median = f"{figures['Med r']:g}" if figures else ""
            table.add_row(name, *recalls, median, f"{rate.value:.3f} [{rate.low:.3f} {rate.high:.3f}]")
        console = Console(file=self.stdout, width=100, highlight=False)  # type: ignore[arg-type]
        console.print(table)
        examination, lead = result.examination, result.lead
        console.print(
            f"learned from {result.learned} choices; people examine rank r with probability r^-{examination.eta:.2f} "
            f"(±{examination.error:.2f}, from {examination.choices} choices); choose rate, new minus old: "
            f"{lead.value:+.4f} [{lead.low:+.4f} {lead.high:+.4f}]"
        )


def _check(*, lists: int, min_choices: int, test_share: float, epochs: int) -> None:
    if lists < 1 or epochs < 1:
        raise CommandError("--lists and --epochs: at least 1.")
    if min_choices < 10:
        raise CommandError("--min-choices: at least 10, or nothing can be held out.")
    if not 0.1 <= test_share <= 0.9:
        raise CommandError("--test-share: from 0.1 to 0.9.")


def _check_name(name: str, folder: Path) -> str:
    """Return the name if a new release can be written to the folder under it. Raises CommandError."""
    try:
        validate_slug(name)
    except ValidationError:
        raise CommandError(f"--name {name!r}: letters, digits, - and _ only.") from None
    if len(name) > 64:
        raise CommandError("--name: at most 64 characters.")
    if ModelRelease.objects.filter(name=name).exists() or (folder / name).exists():
        raise CommandError(f"There is a release {name!r} already: give the new one another --name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{folder} cannot be created: {error}. Choose another --out.") from error
    if not os.access(folder, os.W_OK):
        raise CommandError(f"{folder} is not writable. Choose another --out.")
    return name


def _check_number(choices: int, needed: int, what: str) -> None:
    if choices < needed:
        raise CommandError(
            f"There are {choices} choices {what}, at least {needed} are needed (--min-choices). A choice counts when "
            "the server recorded that the owner was shown the list, no text steered it, and the post still exists."
        )
