"""Which models of a host hold photos, and what their rows say about each photo (``attach``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import InterfaceError, OperationalError, router
from django.db.models import FileField, Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.signals import post_delete, post_save

from ..models import Post

if TYPE_CHECKING:
    from ..user_types import Visitor

# A path of field names, as in a lookup of Django ("album__owner"), or a function of the photo.
Reach: TypeAlias = str | Callable[[Any], Any] | None

logger = logging.getLogger(__name__)

WRITES = (post_save, post_delete)
LONGEST_CAPTION = Post._meta.get_field("caption").max_length or 0


class NotAttached(ValueError):
    """The model of the photo is not attached, or its row does not count."""


class PhotoValues(NamedTuple):
    """What the row of an attached photo says: the name of its file, the owner's key, and what the post shows."""

    file_name: str
    owner: Any
    visibility: str
    caption: str


@dataclass(frozen=True)
class Attachment:
    """An attached model, with the arguments of ``attach``."""

    model: type[Model]
    image: str
    owner: Reach = None
    managed_by: str | Callable[[Any, Any], bool] | None = None
    visibility: Reach = None
    caption: Reach = None
    when: Q | Callable[[Any], bool] | None = None
    catch_up: bool = True

    @property
    def label(self) -> str:
        """The model's name as in Django's settings: "photos.Photo"."""
        return self.model._meta.label

    def rows(self) -> QuerySet[Any]:
        """Return all rows of the model, with the rows that the paths lead to: one query, however many photos."""
        return self._written().select_related(*self._joins()) if self._joins() else self._written()

    def _written(self) -> QuerySet[Any]:
        """Return all rows from the database that takes the model's writes: a replica may not have them yet."""
        return self.model._base_manager.using(router.db_for_write(self.model))

    def _joins(self) -> list[str]:
        """Return the relations along the paths; the last field of a path is a column of the row before."""
        paths = [reach for reach in (self.owner, self.visibility, self.caption) if isinstance(reach, str)]
        return sorted({head for path in paths if (head := path.rpartition(LOOKUP_SEP)[0])})

    def values(self, photo: Any) -> PhotoValues:
        """Return what the row says. Raises ImproperlyConfigured when the owner is no user of the site."""
        caption = _follow(photo, self.caption)
        return PhotoValues(
            file_name=getattr(photo, self.image).name or "",
            owner=self._owner(photo),
            visibility=self._visibility(photo),
            caption=str(caption or "").replace("\0", "")[:LONGEST_CAPTION],
        )

    def _owner(self, photo: Any) -> Any:
        if isinstance(self.owner, str):
            return _follow(photo, self.owner, key=True)
        owner = _follow(photo, self.owner)
        if owner is not None and not isinstance(owner, get_user_model()):
            raise ImproperlyConfigured(
                f"The owner of {self.label} {photo.pk} is {owner!r}, which is no {get_user_model().__name__}. Return a "
                "user or None, and name the users who manage the photo with managed_by=..."
            )
        return owner and owner.pk

    def _visibility(self, photo: Any) -> str:
        """Return "public" for True and "public", and "private" for all else, so that a mistake shows nothing."""
        found = self.visibility if self.visibility in Post.Visibility.values else _follow(photo, self.visibility)
        return Post.Visibility.PUBLIC if found is True or found == Post.Visibility.PUBLIC else Post.Visibility.PRIVATE

    def public_keys(self, photos: Sequence[Any]) -> set[Any]:
        """Return the keys of the photos that count and are public, by their rows; not those for which a function of the
        host fails."""
        try:
            counting = self.counting(photos)
            public = Post.Visibility.PUBLIC
            return {photo.pk for photo in photos if photo.pk in counting and self._visibility(photo) == public}
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # any: it is the host's code
            if len(photos) > 1:
                return {key for photo in photos for key in self.public_keys([photo])}
            logger.exception("Whether %s %s is public is not known; it counts as private", self.label, photos[0].pk)
            return set()

    def counting(self, photos: Sequence[Any]) -> set[Any]:
        """Return the keys of the photos that have a file and for which ``when`` holds."""
        with_file = {photo.pk: photo for photo in photos if getattr(photo, self.image)}
        if not with_file:
            return set()
        if isinstance(self.when, Q):
            return set(self._written().filter(self.when, pk__in=with_file).values_list("pk", flat=True))
        return {key for key, photo in with_file.items() if self.when is None or self.when(photo)}

    def is_manager(self, *, user: Visitor, photo: Any) -> bool:
        """Return whether ``managed_by`` names the person for this photo."""
        if self.managed_by is None or user.pk is None:
            return False
        if isinstance(self.managed_by, str):
            return self._written().filter(**{"pk": photo.pk, self.managed_by: user.pk}).exists()
        return bool(self.managed_by(user, photo))


_attached: dict[type[Model], Attachment] = {}


def attach(
    model: type[Model],
    *,
    image: str = "image",
    owner: Reach = None,
    managed_by: str | Callable[[Any, Any], bool] | None = None,
    visibility: Reach = Post.Visibility.PRIVATE,
    caption: Reach = None,
    when: Q | Callable[[Any], bool] | None = None,
    catch_up: bool = True,
) -> None:
    """Suggest songs for the photos of a model of yours; call it in ``AppConfig.ready()``, once for each model.

    From then on every row that counts has a post: new rows, changed files, owners and captions, ``bulk_create`` and
    deletions follow. The file stays where it is; workers read it from its own storage.

    image       name of the model's FileField or ImageField
    owner       path to the user who owns the photo ("author", "album__owner"), or a function of the photo that returns
                a user or None. Their choices and taste count. None: nobody owns the photos
    managed_by  whoever else may see and choose songs: a path to users ("page__admins"), or a function of user and photo
    visibility  "public", "private", a path to a boolean ("is_public"), or a function of the photo that returns True or
                "public" for photos that everybody may see. Anything but True and "public" counts as private
    caption     path to a text, or a function of the photo
    when        which rows count: a Q object, or a function of the photo. A row without a file never counts. A row that
                no longer counts keeps its post, which only its owner and managers see
    catch_up    whether the reconciler also takes rows that it finds without a post, such as those of ``bulk_create``
                and those that were there before. False: only rows that are saved from now on, and ``backfill``

    Raises ImproperlyConfigured when the model is attached already with other arguments, or has no such field.
    """
    if model._meta.abstract or model._meta.proxy:
        raise ImproperlyConfigured(f"{model._meta.label} has no table of its own. Attach the model that has the rows.")
    _check_image(model, image)
    _check_owner(model, owner)
    _check_managers(model, managed_by)
    _check_visibility(model, visibility)
    for argument, reach in (("visibility", visibility), ("caption", caption)):
        if isinstance(reach, str) and not (argument == "visibility" and reach in Post.Visibility.values):
            _field_at(model, reach, argument)
    attachment = Attachment(model, image, owner, managed_by, visibility, caption, when, catch_up)
    if _described(_attached.setdefault(model, attachment)) != _described(attachment):
        raise ImproperlyConfigured(
            f"{model._meta.label} is attached already, with other arguments. Call attach once for each model."
        )
    for kind in _kinds(model):
        for signal in WRITES:
            signal.connect(_follow_row, sender=kind)


def detach(model: type[Model]) -> None:
    """Stop following a model, as before ``attach``; its posts stay. Does nothing for a model that is not attached."""
    _attached.pop(model, None)
    for kind in _kinds(model):
        for signal in WRITES:
            signal.disconnect(_follow_row, sender=kind)


def _kinds(model: type[Model]) -> list[type[Model]]:
    """Return the model with those that inherit from it: Django names the class that was written as the sender."""
    return [kind for kind in apps.get_models() if issubclass(kind, model)]


def _follow_row(instance: Model, using: str, **_: Any) -> None:
    """Bring the post of an attached photo in line after a write to its row.

    Connected to the attached models alone: with a receiver of all models, Django would read every row of the host that
    it deletes.
    """
    from .sync import follow_row  # which needs this module

    follow_row(instance, using)


def attachments() -> Collection[Attachment]:
    return _attached.values()


def attachment_of(photo: Any) -> Attachment | None:
    """Return the attachment of a photo: of its model, or of the one from which its model inherits; or None."""
    return next((found for model, found in _attached.items() if isinstance(photo, model)), None)


def attachment_named(label: str) -> Attachment | None:
    """Return the attachment of a model by its name, "photos.Photo", in any case; or None."""
    return next((found for found in _attached.values() if found.label.lower() == label.lower()), None)


def _described(attachment: Attachment) -> list[str]:
    """Return its arguments as texts, functions by their names: Django calls ``ready()`` again in some tests."""
    values = vars(attachment).values()
    return [f"{value.__module__}.{value.__qualname__}" if callable(value) else repr(value) for value in values]


def _check_image(model: type[Model], image: str) -> None:
    field = _field_at(model, image, "image")
    if not isinstance(field, FileField):
        raise ImproperlyConfigured(
            f"image={image!r}: {model._meta.label}.{image} is a {type(field).__name__}. Name a FileField or ImageField."
        )


def _check_owner(model: type[Model], owner: Reach) -> None:
    if not isinstance(owner, str):
        return
    field = _field_at(model, owner, "owner")
    if not (_leads_to_people(field) and (field.many_to_one or field.one_to_one)):
        raise ImproperlyConfigured(
            f"owner={owner!r} of {model._meta.label} does not lead to one {get_user_model().__name__}. Name the users "
            "who manage a photo with managed_by=..., or give a function of the photo that returns its owner."
        )


def _check_managers(model: type[Model], managed_by: object) -> None:
    if not isinstance(managed_by, str):
        return
    if not _leads_to_people(_field_at(model, managed_by, "managed_by")):
        raise ImproperlyConfigured(
            f"managed_by={managed_by!r} of {model._meta.label} does not lead to rows of {get_user_model().__name__}. "
            "Name the path to the users who manage a photo, or give a function of user and photo."
        )


def _leads_to_people(field: Any) -> bool:
    return field.related_model is not None and issubclass(field.related_model, get_user_model())


def _check_visibility(model: type[Model], visibility: Reach) -> None:
    if visibility in Post.Visibility.values and visibility in {field.name for field in model._meta.get_fields()}:
        raise ImproperlyConfigured(
            f"visibility={visibility!r} is both a value for all photos and a field of {model._meta.label}. Give a "
            f"function of the photo that says which: lambda photo: photo.{visibility}, or lambda photo: {visibility!r}."
        )


def _field_at(model: type[Model], path: str, argument: str) -> Any:
    """Return the field at the end of a path. Raises ImproperlyConfigured for an unknown name."""
    at: Any = model
    field: Any = None
    for name in path.split(LOOKUP_SEP):
        try:
            field = at._meta.get_field(name)
        except (AttributeError, FieldDoesNotExist):  # the field before leads to no model
            known = ", ".join(sorted(each.name for each in at._meta.get_fields())) if at is not None else "none"
            raise ImproperlyConfigured(
                f"{argument}={path!r}: {getattr(at, '__name__', path)} has no field {name!r}. Fields: {known}. For a "
                "property or a method, give a function of the photo."
            ) from None
        at = field.related_model
    return field


def _follow(photo: Any, reach: Reach, *, key: bool = False) -> Any:
    """Return what a path or a function leads to; None where a relation on the way is empty.

    ``key``: the key of the row at the end instead of the row, which costs no query.
    """
    if reach is None or callable(reach):
        return reach and reach(photo)
    *heads, last = reach.split(LOOKUP_SEP)
    for name in heads:
        photo = None if photo is None else getattr(photo, name)
    if photo is None:
        return None
    if not key:
        return getattr(photo, last)
    field = photo._meta.get_field(last)
    if field.target_field.primary_key:
        return getattr(photo, field.attname)
    owner = getattr(photo, last)  # the column holds another field of the user's
    return owner and owner.pk
