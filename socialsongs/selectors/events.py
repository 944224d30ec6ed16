"""Events that wait, and what they say."""

from __future__ import annotations

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from ..models import Event, Post, WebhookDelivery, WebhookEndpoint
from ..signals import PostEvent


def as_post_event(event: Event) -> PostEvent:
    """Return what receivers get of an event."""
    of = event.post or event.request
    subject = event.post.subject if event.post else None
    model = ContentType.objects.get_for_id(subject.content_type_id) if subject else None
    return PostEvent(
        id=event.pk,
        kind=event.kind,
        created_at=event.created_at,
        post_id=event.post_id,
        request_id=event.request_id,
        song_id=event.song,
        owner_id=of.owner_id if of else None,
        photo_model=f"{model.app_label}.{model.model}" if model else None,
        photo_key=subject.object_id if subject else None,
        reason=event.reason,
    )


def sender_of(event: PostEvent) -> type[Model]:
    """Return the sender of its signal: the class of the attached photo, else ``Post``."""
    try:
        return apps.get_model(event.photo_model) if event.photo_model else Post
    except LookupError:  # the host has removed the model
        return Post


def due_deliveries() -> QuerySet[WebhookDelivery]:
    """Return the deliveries whose time has come: to verified endpoints, and pings to any."""
    due = WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING, next_at__lte=Now())
    return due.filter(Q(event__kind=Event.Kind.PING) | Q(endpoint__verified_at__isnull=False))


def serving_endpoints() -> QuerySet[WebhookEndpoint]:
    """Return the endpoints that may hear of anything: those of the site, and of clients that are not turned off."""
    return WebhookEndpoint.objects.filter(Q(client=None) | Q(client__active=True), active=True)


def due_endpoints() -> QuerySet[WebhookEndpoint]:
    """Return the endpoints to which something is due, and nobody sends at the moment."""
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    resumed = Q(resume_at=None) | Q(resume_at__lte=Now())
    return serving_endpoints().filter(free, resumed, Exists(due_deliveries().filter(endpoint=OuterRef("pk"))))


def due_events() -> QuerySet[Event]:
    """Return the events whose deliveries are not made yet, and those whose signal is due."""
    new = Event.objects.filter(fanned_out=False)
    return new | Event.objects.filter(state=Event.State.WAITING, next_at__lte=Now())
