"""Endpoints of webhooks, and the deliveries of events to them."""

from __future__ import annotations

from ..database import atomic
from ..models import Event
from ..signals import BY_KIND

FAN_OUT = 500  # events of one transaction


def fan_out() -> None:
    """Make a delivery of each new event to each endpoint that wants it, and finish events that no receiver hears."""
    while _fan_out_some() == FAN_OUT:
        pass


def _fan_out_some() -> int:
    with atomic():
        waiting = Event.objects.filter(fanned_out=False).order_by("created_at")
        new = list(waiting.select_for_update(skip_locked=True, of=("self",))[:FAN_OUT])
        unheard = [event.pk for event in new if not BY_KIND[event.kind].receivers]
        Event.objects.filter(pk__in=[event.pk for event in new]).update(fanned_out=True)
        Event.objects.filter(pk__in=unheard).update(state=Event.State.SENT)
    return len(new)
