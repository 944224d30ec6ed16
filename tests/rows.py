"""One row for every table, by the fields alone: for tests that are about any table, also those of earlier versions."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from pgvector.django import HalfVectorField

VALUES: dict[type[models.Field], Any] = {
    models.BooleanField: False,
    models.BinaryField: None,
    models.DurationField: timedelta(seconds=1),
    models.FloatField: 0.5,
    models.IntegerField: 1,
    models.JSONField: {},
    models.URLField: "https://example.org/",
    models.CharField: "x",
    models.TextField: "x",
    models.FileField: "folder/x",
}


def fill(apps: Apps, label: str, using: str) -> None:
    """Make a row in each empty table of an app, and the rows that it refers to."""
    for model in apps.get_app_config(label).get_models():
        row_of(model, using)


def row_of(model: type[models.Model], using: str) -> models.Model:
    """Return the first row; make one when there is none."""
    rows = model._base_manager.using(using)
    if (found := rows.first()) is not None:
        return found
    return rows.create(
        **{field.name: _value(field, using) for field in model._meta.concrete_fields if _is_given(field)}
    )


def _is_given(field: models.Field) -> bool:
    return not (field.generated or isinstance(field, models.AutoField | models.BigAutoField))


def _value(field: models.Field, using: str) -> Any:
    match field:
        case models.ForeignKey():
            return row_of(field.related_model, using)
        case HalfVectorField():
            return [0.5] * field.dimensions
        case ArrayField():
            return []
        case models.DateTimeField():
            return timezone.now()
        case models.UUIDField():
            return uuid.uuid4()
    if field.choices:
        return field.choices[0][0]
    return next(VALUES[kind] for kind in type(field).__mro__ if kind in VALUES)
