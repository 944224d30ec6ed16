"""Line states from half precision to packed numbers of a byte, in place: nothing has to be read again. Markets in
capitals."""

import numpy as np
from django.db import migrations

DIM = 128
PACKED = np.dtype([("values", "i1", (DIM,)), ("scale", "<f2")])
BATCH = 500


def _pack(states):
    packed = np.empty(len(states), PACKED)
    packed["scale"] = np.maximum(np.abs(states).max(1, initial=0.0) / 127, 1e-6)
    packed["values"] = np.clip(np.rint(states / packed["scale"].astype(np.float32)[:, None]), -127, 127)
    return packed


def pack(apps, schema_editor):
    rows = apps.get_model("socialsongs", "SongEmbedding").objects.using(schema_editor.connection.alias)
    last = 0
    while batch := list(rows.filter(pk__gt=last, line_states__isnull=False).order_by("pk").only("line_states")[:BATCH]):
        for row in batch:
            states = np.frombuffer(bytes(row.line_states), "<f2").astype(np.float32).reshape(-1, DIM)
            row.line_states = _pack(states).tobytes()
        rows.bulk_update(batch, ["line_states"])
        last = batch[-1].pk


def unpack(apps, schema_editor):
    rows = apps.get_model("socialsongs", "SongEmbedding").objects.using(schema_editor.connection.alias)
    last = 0
    while batch := list(rows.filter(pk__gt=last, line_states__isnull=False).order_by("pk").only("line_states")[:BATCH]):
        for row in batch:
            packed = np.frombuffer(bytes(row.line_states), PACKED)
            states = packed["values"] * packed["scale"].astype(np.float32)[:, None]
            row.line_states = states.astype("<f2").tobytes()
        rows.bulk_update(batch, ["line_states"])
        last = batch[-1].pk


class Migration(migrations.Migration):

    dependencies = [("socialsongs", "0004_suggestions_at_scale")]

    operations = [
        migrations.RunPython(pack, unpack),
        # As they are asked for.
        migrations.RunSQL(
            "UPDATE socialsongs_song SET markets = upper(markets::text)::varchar[] "
            "WHERE markets::text <> upper(markets::text)",
            migrations.RunSQL.noop,
        ),
    ]
