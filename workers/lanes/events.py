"""Tells receivers and endpoints of events, on threads beside the reconciler: none of them can hold it up.

The task only makes the deliveries and wakes the threads. One thread sends signals, several send webhooks; a thread ends
when nothing is due. Attempts are counted before they begin, so that they count when the process dies.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.db.models.functions import Now

from socialsongs.conf import config
from socialsongs.database import atomic
from socialsongs.models import Event
from socialsongs.selectors.events import as_post_event, sender_of
from socialsongs.services.webhooks import fan_out
from socialsongs.signals import BY_KIND

from .webhooks import deliver_to_one

logger = logging.getLogger(__name__)

RECEIVER_ATTEMPTS = 8
# Seconds before a receiver that failed is called again: 5, 20, 80 ... up to an hour.
FIRST_PAUSE, FACTOR, LONGEST_PAUSE = 5.0, 4.0, 3600.0
CALL_SECONDS = 60  # how long a receiver may take before another process calls it as well


class Threads:
    """Up to ``most`` threads, each of which calls ``work`` until it returns False.

    ``work`` starts a further thread with ``wake`` when it has found something to do.
    """

    def __init__(self, name: str, work: Callable[[], bool], most: Callable[[], int]) -> None:
        self._name, self._work, self._most = name, work, most
        self._lock = threading.Lock()
        self._running: set[threading.Thread] = set()
        self._again = False
        self.stopping = False

    def wake(self) -> None:
        """Start one more thread, unless there are enough; those look again before they end."""
        with self._lock:
            self._again = True
            if not self.stopping and len(self._running) < self._most():
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._running.add(thread)
                thread.start()

    def stop(self, *, within: float) -> None:
        """Let no thread begin anything new, and wait for them; what they leave is found again later."""
        self.stopping = True
        deadline = time.monotonic() + within
        for thread in list(self._running):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        try:
            while self._look_again():
                close_old_connections()
                while not self.stopping and self._work():
                    pass
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The database is away; events wait for the reconciler: %s", error)
        except Exception:
            logger.exception("A thread of %s stopped; events wait for the reconciler", self._name)
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())
            connections.close_all()  # of this thread

    def _look_again(self) -> bool:
        with self._lock:
            again, self._again = self._again, False
            if not again or self.stopping:
                self._running.discard(threading.current_thread())
                return False
            return True


def send_signal() -> bool:
    """Send the signal of the event that is due first; return False when none is due."""
    with atomic():
        due = Event.objects.filter(state=Event.State.WAITING, fanned_out=True, next_at__lte=Now()).order_by("next_at")
        locked = due.select_related("post__subject", "request").select_for_update(skip_locked=True, of=("self",))
        event = locked.first()
        if event is None:
            return False
        if event.attempts >= RECEIVER_ATTEMPTS:  # the last one killed the process, or outlasted its time
            _finish(event, Event.State.FAILED, error=event.error or "The process ended while receivers were called.")
            return True
        pause = _pause(event.attempts)
        event.attempts += 1
        Event.objects.filter(pk=event.pk).update(
            attempts=event.attempts, next_at=Now() + timedelta(seconds=CALL_SECONDS + pause)
        )
    told = as_post_event(event)
    failed = BY_KIND[event.kind].send_event(sender=sender_of(told), event=told, only=event.failing)
    if not failed:
        _finish(event, Event.State.SENT)
        return True
    error = "\n".join(f"{name}: {why!r}" for name, why in failed.items())
    if event.attempts < RECEIVER_ATTEMPTS:
        Event.objects.filter(pk=event.pk).update(
            failing=sorted(failed), error=error, next_at=Now() + timedelta(seconds=pause)
        )
    else:
        logger.error("Receivers failed %d times, the last time, for event %s: %s", event.attempts, event.pk, error)
        _finish(event, Event.State.FAILED, failing=sorted(failed), error=error)
    return True


def _pause(attempts: int) -> float:
    longest = min(FIRST_PAUSE * FACTOR**attempts, LONGEST_PAUSE)
    return longest * random.uniform(0.8, 1.2)


def _finish(event: Event, state: Event.State, **values: object) -> None:
    Event.objects.filter(pk=event.pk).update(state=state, **values)


def _send_webhooks() -> bool:
    return deliver_to_one(WEBHOOKS.wake, lambda: WEBHOOKS.stopping)


SIGNALS: Threads = Threads("signals", send_signal, lambda: 1)
WEBHOOKS: Threads = Threads("webhooks", _send_webhooks, lambda: config().WEBHOOK_CONNECTIONS)


def deliver() -> None:
    """Make the deliveries of new events, and let the threads work on them."""
    fan_out()
    SIGNALS.wake()
    WEBHOOKS.wake()


def stop(*, within: float) -> None:
    """Begin nothing new, and wait some seconds for what is being sent."""
    began = time.monotonic()
    SIGNALS.stop(within=within)
    WEBHOOKS.stop(within=within - (time.monotonic() - began))
