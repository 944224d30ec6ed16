"""Learn from what people chose here: a new release, if it is better than the one that answers.

It learns from the lists of the release that answers; what earlier ones showed, their own training has learned from.
Photos of private posts count, too, unless --public-only says otherwise: they are looked at where they are, and only
weights come out of it. --export copies them.
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

from recommender.model import Image2Song
from recommender.release import RELEASES, ReleaseError, save_release
from recommender.train.from_choices import ChoicesConfig, ChoicesResult, choices_card, train_and_compare
from socialsongs.conf import config
from socialsongs.models import ModelRelease
from socialsongs.selectors.releases import active_release
from socialsongs.selectors.shown_lists import Shown, shown_lists
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
            "--from-choices", action="store_true", required=True, help="from the lists that were shown and chosen from"
        )
        parser.add_argument("--name", help="of the new release (default: choices and the time)")
        parser.add_argument("--out", type=Path, help="write it to this folder, and do not stage it")
        parser.add_argument("--export", type=Path, metavar="FILE", help="also write (photo, song) pairs")
        parser.add_argument("--public-only", action="store_true", help="leave out private posts")
        parser.add_argument("--lists", type=int, default=LISTS, help=f"the newest so many at most (default {LISTS})")
        parser.add_argument("--min-choices", type=int, default=MIN_CHOICES, help=f"default {MIN_CHOICES}")
        parser.add_argument(
            "--test-share",
            type=float,
            default=ChoicesConfig.test_share,
            help="share of the choices, the newest, to judge by",
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
        name = _free(name or f"choices-{timezone.now():%Y%m%d-%H%M%S}", folder)
        release = active_release()
        if release is None:
            raise CommandError("No model release is active. Run `manage.py releases register` first.")
        found = shown_lists(release=release, limit=lists, public_only=public_only)
        _enough(sum(shown.chosen is not None for shown in found), min_choices, f"of songs that {release} suggested")
        try:
            model = load_registered(release).model
        except ReleaseError as error:
            raise CommandError(str(error)) from error
        plan = ChoicesConfig(test_share, epochs, seed=seed)
        learned = self._learn(model, found, export, min_choices, plan)
        self._print(learned)
        if not learned.better:
            self.stdout.write(f"Not better than {model.name}: {learned.why_not}. Nothing is written.")
            return
        try:
            save_release(learned.network, made := choices_card(model, learned, plan, name), folder)
        except OSError as error:
            raise CommandError(f"The release cannot be written to {folder}: {error}. Choose another --out.") from error
        if out is None:
            register(name=name, sha256=made["sha256"], card=made)
            self.stdout.write(
                f"{name}: staged. Every worker needs {folder / name}; then `manage.py releases activate {name}`."
            )
        else:
            self.stdout.write(f"{name}: written to {folder}")

    def _learn(
        self, model: Image2Song, lists: list[Shown], file: Path | None, min_choices: int, plan: ChoicesConfig
    ) -> ChoicesResult:
        try:
            gathered = gather(model, lists)
            if gathered.unusable:
                self.stdout.write(f"{gathered.unusable} lists are left out: photo or lyrics cannot be read any more")
            choices = sum(shown.chosen is not None for shown in gathered.examples.lists)
            _enough(choices, min_choices, "with photos and lyrics that can be read")
            if file is not None:
                self.stdout.write(f"{file}: {write_pairs(gathered, file)} pairs")
        except Outage as error:
            raise CommandError(f"The photos cannot be read: {error}. Try again when the storage works.") from error
        except OSError as error:
            raise CommandError(f"{error}. Choose another file for --export.") from error
        return train_and_compare(model.network, gathered.examples, plan)

    def _print(self, learned: ChoicesResult) -> None:
        table = Table(
            "",
            "R@1",
            "R@5",
            "R@10",
            "Med r",
            "choose rate, 95 %",
            title=f"{learned.held_out} held-out choices",
        )
        for name, rate in learned.rates.items():
            figures = learned.figures.get(name, {})
            shown = [f"{figures[key]:.3f}" if figures else "" for key in ("R@1", "R@5", "R@10")]
            middle = f"{figures['Med r']:g}" if figures else ""
            table.add_row(name, *shown, middle, f"{rate.value:.3f} [{rate.low:.3f} {rate.high:.3f}]")
        console = Console(file=self.stdout, width=100, highlight=False)  # type: ignore[arg-type]
        console.print(table)
        seen, lead = learned.examination, learned.lead
        console.print(
            f"learned from {learned.learned} choices; place r is looked at with a chance of r^-{seen.eta:.2f} "
            f"(±{seen.error:.2f}, from {seen.choices} choices); choose rate "
            f"{lead.value:+.4f} [{lead.low:+.4f} {lead.high:+.4f}]"
        )


def _check(*, lists: int, min_choices: int, test_share: float, epochs: int) -> None:
    if lists < 1 or epochs < 1:
        raise CommandError("--lists and --epochs: at least 1.")
    if min_choices < 10:
        raise CommandError("--min-choices: at least 10, or nothing can be held out.")
    if not 0.1 <= test_share <= 0.9:
        raise CommandError("--test-share: from 0.1 to 0.9.")


def _free(name: str, folder: Path) -> str:
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
        raise CommandError(f"{folder} cannot be made: {error}. Choose another --out.") from error
    if not os.access(folder, os.W_OK):
        raise CommandError(f"Nothing can be written to {folder}. Choose another --out.")
    return name


def _enough(choices: int, needed: int, what: str) -> None:
    if choices < needed:
        raise CommandError(
            f"There are {choices} choices {what}, at least {needed} are needed (--min-choices). They count where the "
            "owner was shown the list (which the server notes), no text steered it, and the post is still there."
        )
