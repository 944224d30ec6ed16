"""The people of API clients: finds or makes their accounts, and deletes all that the site has of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import IntegrityError, models
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from ..conf import config
from ..database import atomic
from ..errors import InvalidExternalId, UnknownUser
from ..models import ApiClient, ExternalUser, Feedback, IdempotencyKey, Post, RecommendationRequest, Taste
from ..plain_text import plain_text
from .posts import delete_posts, lock_uploads
from .recommendation_requests import delete_requests

if TYPE_CHECKING:
    from ..user_types import Person

LONGEST_ID = 255  # characters
BATCH = 200


def checked_id(external_id: str) -> str:
    """Return the id as it was given. Raises InvalidExternalId."""
    if len(external_id) > LONGEST_ID:
        raise InvalidExternalId(
            _("The id of a person has at most %(most)s characters; this has %(characters)s.")
            % {"most": LONGEST_ID, "characters": len(external_id)}
        )
    try:
        plain_text(external_id)
    except ValidationError as error:
        raise InvalidExternalId(_("This id of a person is refused. %(problem)s") % {"problem": error.message}) from None
    return external_id


def find_external_user(*, client: ApiClient, external_id: str) -> ExternalUser:
    """Raises UnknownUser."""
    found = _find(client, external_id)
    if found is None:
        raise UnknownUser(_("There is nobody with this id, or all data of them is deleted already."))
    return found


def get_external_user(*, client: ApiClient, external_id: str) -> ExternalUser:
    """Return the person of the client with this id; their first use makes the row, by the setting EXTERNAL_USER.

    ``external_id``: checked before (``checked_id``). Raises UnknownUser when the function of the setting does.
    """
    found = _find(client, external_id)
    if found is not None:
        return found
    account_of: Callable[..., tuple[Person, bool]] = import_string(config().EXTERNAL_USER)
    try:
        with atomic():
            user, made = account_of(client=client, external_id=external_id)
            return ExternalUser.objects.create(client=client, external_id=external_id, user=user, made=made)
    except IntegrityError:
        if (found := _find(client, external_id)) is None:
            raise
        return found  # another request was first


def _find(client: ApiClient, external_id: str) -> ExternalUser | None:
    return ExternalUser.objects.filter(client=client, external_id=external_id).select_related("user").first()


def make_account(*, client: ApiClient, external_id: str) -> tuple[Person, bool]:
    """Make an account for a person of an API client: the default of the setting EXTERNAL_USER.

    Returns the account, and True: it belongs to the client's person and is deleted with them. The account has no
    password, and a random name, which nobody can have taken before or log in with. Raises ImproperlyConfigured when
    the host's user model needs more than a name.
    """
    model: Any = get_user_model()
    name = f"socialsongs-{secrets.token_hex(16)}"
    address = f"{name}@socialsongs.invalid"  # RFC 2606: nobody has such an address
    username = model._meta.get_field(model.USERNAME_FIELD)
    user = model()
    is_address = isinstance(username, models.EmailField)
    setattr(user, username.name, address if is_address else name[-(username.max_length or len(name)) :])
    email = next((field for field in model._meta.fields if field.name == model.get_email_field_name()), None)
    if email is not None and email.unique:
        setattr(user, email.name, address)
    user.set_unusable_password()
    try:
        with atomic():
            user.save()
    except IntegrityError as error:
        raise ImproperlyConfigured(
            f"{model._meta.label} needs more than a name: {error}. Write a function that makes an account and name it "
            "in SOCIALSONGS['EXTERNAL_USER']; see docs/api.md."
        ) from error
    return user, True


def delete_external_user(*, person: ExternalUser) -> None:
    """Delete all that the site has of a person of an API client: posts, photos, requests, taste, the account.

    An account that was not made for them stays; only what this app has of it is deleted. Feedback on songs stays
    without the person (``receivers``).
    """
    with atomic():
        lock_uploads(owner=person.user)
        delete_posts(posts=Post.objects.filter(owner=person.user))
        delete_requests(requests=RecommendationRequest.objects.filter(owner=person.user))
        IdempotencyKey.objects.filter(user=person.user).delete()
        Taste.objects.filter(user=person.user).delete()
        Feedback.objects.filter(user=person.user).update(user=None)
        person.delete()
        if person.made:
            person.user.delete()


def delete_client(*, client: ApiClient) -> None:
    """Delete an API client with its keys and all that the site has of its people.

    Each person is deleted in a transaction of their own, so that an interruption loses no progress. The client is
    turned off first: nobody is added meanwhile.
    """
    ApiClient.objects.filter(pk=client.pk).update(active=False)
    people = ExternalUser.objects.filter(client=client).select_related("user").order_by("pk")
    while batch := list(people[:BATCH]):
        for person in batch:
            delete_external_user(person=person)
    client.delete()
