"""The writer: the database to which the host's router sends what this app writes.

The app reads from it as well. A replica lags behind, and the app reads again what it has just written: the post that it
stored, the row that a worker claimed. Only who reads nothing but the catalogue may use ``reader``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.apps import apps
from django.db import connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

Row = TypeVar("Row", bound=models.Model)
View = TypeVar("View", bound=Callable[..., Any])


def writer() -> str:
    """Return the alias of the writer. All tables of this app are in one database."""
    return router.db_for_write(apps.get_model("socialsongs", "Post"))


def reader() -> str:
    """Return the alias that the router chooses for reading the catalogue: a replica, where the host has one."""
    return router.db_for_read(apps.get_model("socialsongs", "Song"))


def connection() -> BaseDatabaseWrapper:
    """Return this thread's connection to the writer."""
    return connections[writer()]


def atomic(*, durable: bool = False) -> transaction.Atomic:
    """Return a transaction of the writer, as a context manager."""
    return transaction.atomic(using=writer(), durable=durable)


def on_commit(work: Callable[[], object], *, using: str | None = None, robust: bool = False) -> None:
    """Call ``work`` after the commit of the present transaction of the writer, or of ``using``; at once without one.

    ``robust``: an error of ``work`` is only logged.
    """
    transaction.on_commit(work, using=using or writer(), robust=robust)


def without_host_transaction(view: View) -> View:
    """Exempt a view from the host's ATOMIC_REQUESTS, whichever database has it."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


class WriterQuerySet(models.QuerySet[Row]):
    @property
    def db(self) -> str:
        """The writer, unless ``using`` names another database."""
        return self._db or router.db_for_write(self.model)  # type: ignore[attr-defined]  # not in the stubs


class WriterManager(models.Manager[Row]):
    def get_queryset(self) -> models.QuerySet[Row]:
        return WriterQuerySet(self.model, using=self._db, hints=self._hints)  # type: ignore[attr-defined]  # not in the stubs
