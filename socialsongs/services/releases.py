"""Registers, stages, activates, splits and retires releases."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from .. import dispatch
from ..database import atomic
from ..models import ModelRelease
from ..selectors.releases import encoding_coverage
from .catalogue import sync_embeddings

State = ModelRelease.State
MOST_SHARED = 99


class NotPossible(Exception):
    """The release cannot be registered or switched; the text says why."""


def register(*, name: str, sha256: str, card: dict[str, Any]) -> ModelRelease:
    """Register a release: the first is activated, later ones are staged, a registered one keeps its state.

    Raises NotPossible when the name is registered with other weights.
    """
    with atomic():
        release, created = ModelRelease.objects.get_or_create(name=name, defaults={"sha256": sha256, "card": card})
        if release.sha256 != sha256:
            raise NotPossible(
                f"Release {name!r} is registered with other weights "
                f"(SHA-256 {release.sha256[:12]}, now {sha256[:12]}). "
                "Weights never change under a name: give the new ones a new name."
            )
        if created and not ModelRelease.objects.filter(state=State.ACTIVE).exists():
            _set_active(release)
        sync_embeddings()
    return release


def stage(*, release: ModelRelease) -> None:
    """Have all songs encoded for a release while another one serves. Raises NotPossible for the active one."""
    with atomic():
        if not ModelRelease.objects.filter(pk=release.pk).exclude(state=State.ACTIVE).update(state=State.STAGED):
            raise NotPossible(f"{release.name} is active already.")
        sync_embeddings()  # rows of a retired release are outdated


def pause(*, release: ModelRelease, paused: bool) -> None:
    """Stop encoding songs for a release for now, or go on."""
    with atomic():
        ModelRelease.objects.filter(pk=release.pk).update(paused=paused)
        dispatch.announce_songs()


def limit(*, release: ModelRelease, songs_per_second: float | None) -> None:
    """Limit how fast songs are encoded for a release; None: no limit. Raises NotPossible."""
    if songs_per_second is not None and not 0.01 <= songs_per_second < float("inf"):
        raise NotPossible(f"{songs_per_second} songs a second are no rate: give 0.01 or more.")
    with atomic():
        ModelRelease.objects.filter(pk=release.pk).update(songs_per_second=songs_per_second, encode_after=None)
        dispatch.announce_songs()


def activate(*, release: ModelRelease, force: bool = False) -> None:
    """Make a release the active one. Raises NotPossible while songs are not encoded, unless ``force``.

    The previous one stays staged, with its songs encoded, for a rollback.
    """
    if not force:
        _check_coverage(release, otherwise=", or use --force")
    with atomic():
        _lock_releases()
        _replace_active_by(release)
    sync_embeddings()  # rows of a retired release are outdated; outside the transaction, which answers wait for


def rollback() -> ModelRelease:
    """Activate the previous release again, at once. Raises NotPossible when there is none or it is retired."""
    with atomic():
        _lock_releases()
        replaced = ModelRelease.objects.filter(state=State.STAGED, activated_at__isnull=False)
        before = replaced.order_by("-activated_at").first()
        if before is None:
            raise NotPossible("No previous release is staged any more; activate another one by name.")
        _replace_active_by(before)
    return before


def retire(*, release: ModelRelease) -> None:
    """Stop encoding songs for a release. Raises NotPossible for the active one."""
    if not ModelRelease.objects.filter(pk=release.pk).exclude(state=State.ACTIVE).update(state=State.RETIRED, share=0):
        raise NotPossible(f"{release.name} is active: activate another release first.")


def split(*, release: ModelRelease, share: int) -> None:
    """Let a staged release serve this percentage of the people; 0 ends the split. Raises NotPossible."""
    if not 0 <= share <= MOST_SHARED:
        raise NotPossible(f"{share} of a hundred people is no share: give 0 to {MOST_SHARED}.")
    if share:
        _check_coverage(release)
    with atomic():
        _lock_releases()
        staged = ModelRelease.objects.filter(pk=release.pk, state=State.STAGED)
        if not staged.exists():
            raise NotPossible(
                f"{release.name} is not staged: `manage.py socialsongs_releases stage {release.name}` comes first."
            )
        others = ModelRelease.objects.filter(share__gt=0).exclude(pk=release.pk)
        if share and (other := others.first()):
            raise NotPossible(f"{other.name} already serves {other.share} of a hundred people: end that split first.")
        staged.update(share=share)


def _check_coverage(release: ModelRelease, *, otherwise: str = "") -> None:
    encoded, total = encoding_coverage(release=release)
    if encoded < total:
        way = "wait for the workers"
        if ModelRelease.objects.filter(pk=release.pk, state=State.RETIRED).exists():
            stage = f"`manage.py socialsongs_releases stage {release.name}`"
            way = f"it is retired, so no songs are encoded for it: {stage} comes first"
        raise NotPossible(f"{release.name} has encoded {encoded} of {total} songs as they are now; {way}{otherwise}.")


def _lock_releases() -> None:
    """Lock all releases until the commit. Rows that refer to one can still be written; answers wait for the lock
    (``selectors.releases.lock_serving_releases``)."""
    list(ModelRelease.objects.select_for_update(no_key=True).order_by("pk").defer("card"))


def _replace_active_by(release: ModelRelease) -> None:
    ModelRelease.objects.filter(state=State.ACTIVE).exclude(pk=release.pk).update(state=State.STAGED)
    _set_active(release)


def _set_active(release: ModelRelease) -> None:
    release.state, release.activated_at, release.paused, release.share = State.ACTIVE, timezone.now(), False, 0
    release.save(update_fields=["state", "activated_at", "paused", "share"])
