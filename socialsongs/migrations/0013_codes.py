"""Languages and markets that were saved before codes were mapped: ``eng`` is ``en``, ``UK`` is ``GB``, as requests have it.

What is no code stays as it is. The reconciler brings the search in line.
"""

from django.db import connections, migrations

from socialsongs.codes import language_code, market_code

LONGEST_LANGUAGE = 12
# A song that has both keeps one.
MARKET = """
UPDATE socialsongs_song SET markets =
    CASE WHEN %(code)s = ANY(markets) THEN array_remove(markets, %(old)s) ELSE array_replace(markets, %(old)s, %(code)s) END
WHERE %(old)s = ANY(markets)
"""


def mapped(codes, code_of):
    """(old, new) of those that are written otherwise."""
    for old in codes:
        try:
            code = code_of(old)
        except ValueError:
            continue
        if code != old:
            yield old, code


def map_codes(apps, schema_editor):
    alias = schema_editor.connection.alias
    songs = apps.get_model("socialsongs", "Song").objects.using(alias)
    rules = apps.get_model("socialsongs", "Rule").objects.using(alias)
    languages = list(songs.order_by().values_list("language", flat=True).distinct())
    for old, code in mapped(languages, language_code):
        if len(code) <= LONGEST_LANGUAGE:
            songs.filter(language=old).update(language=code)
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT DISTINCT unnest(markets) FROM socialsongs_song")
        for old, code in mapped([old for (old,) in cursor.fetchall()], market_code):
            cursor.execute(MARKET, {"old": old, "code": code})
    markets = list(rules.exclude(market="").values_list("market", flat=True).order_by().distinct())
    for old, code in mapped(markets, market_code):
        rules.filter(market=old).update(market=code)


class Migration(migrations.Migration):
    dependencies = [("socialsongs", "0012_old_search")]

    operations = [migrations.RunPython(map_codes, migrations.RunPython.noop)]
