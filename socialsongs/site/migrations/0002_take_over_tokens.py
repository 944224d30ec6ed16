"""Tokens of rest_framework.authtoken, which kept them as they are, go on working as digests; the plain ones go."""

from django.db import migrations

from knox.crypto import hash_token
from knox.settings import CONSTANTS

TABLE = "authtoken_token"


def take_over(apps, schema_editor):
    connection = schema_editor.connection
    if TABLE not in connection.introspection.table_names():
        return
    Token = apps.get_model("socialsongs_site", "Token")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT key, user_id, created FROM {TABLE}")
        for key, user, created in cursor.fetchall():
            # They could do all that the account may, without an end.
            row = Token(
                digest=hash_token(key),
                token_key=key[: CONSTANTS.TOKEN_KEY_LENGTH],
                user_id=user,
                expiry=None,
                name="made before tokens had names",
                scopes=["metrics", "read", "write"],
            )
            row.save(force_insert=True)
            Token.objects.filter(pk=row.pk).update(created=created)
        cursor.execute(f"DELETE FROM {TABLE}")


class Migration(migrations.Migration):
    dependencies = [("socialsongs_site", "0001_tokens")]
    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]
