"""Songs are searched by what a database can compute of their texts alone, so that whoever writes a song keeps its index
right: functions without an extension, and indexes over them. pg_trgm forgives typos, where the server has it.

The indexes are built while the table is locked against writing, but not against reading: some minutes for a million songs.
The old one, whose end locks out readers, goes in a migration of its own."""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.db import ProgrammingError, migrations, models, transaction

# Marks that are left out: of Latin, Greek and Cyrillic letters, Hebrew and Arabic vowels. Those of other scripts make
# another letter.
MARKS = r"[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\u200b-\u200f\u2060\ufeff\u00ad]+"
# What is neither a letter nor a digit; apostrophes are left out before.
PUNCTUATION = r"[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u02c2-\u02df\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u0e2f\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u303d\u30fb\ufe10-\ufe6f\ufffd\U0001f000-\U0001faff]+"
# Written without spaces: each is a word of its own.
UNSPACED = r"([\u3040-\u3098\u309b-\u30fa\u30fc-\u30ff\u3400-\u9fff\U00020000-\U0003134f][\u3099\u309a]?)"

COLLATIONS = ["pg_c_utf8", "und-x-icu", "C.utf8", "C.UTF-8"]  # in which every letter has its case, best first


# What Unicode does not take apart, and the forms of two signs. Many replacements are faster than one translation.
LETTERS = dict(zip("ßæœþđðøłıςħŧ", "ss ae oe th d d o l i σ h t".split(), strict=True))
APOSTROPHES, DASHES = "‘’ʼʻʹʾʿ`´′", "‐‑‒–—−"


def replaced(text, others):
    for sign, other in others.items():
        text = f"replace({text}, '{sign}', '{other}')"
    return text


def letters(text, collate):
    return replaced(f"lower(regexp_replace(normalize({text}, NFKD), '{MARKS}', '', 'g'){collate})", LETTERS)


def fold(text, collate):
    return replaced(letters(text, collate), dict.fromkeys(APOSTROPHES, "''") | dict.fromkeys(DASHES, "-"))


def clean(text, collate):
    """The short way, for ASCII alone, comes to the same."""
    said = f"regexp_replace({letters(text, collate)}, '[''{APOSTROPHES}]+', '', 'g')"
    short = f"replace(replace(lower({text}), '''', ''), '`', '')"
    return (
        f"CASE WHEN octet_length({text}) = length({text}) THEN regexp_replace({short}, '[^a-z0-9]+', ' ', 'g') "
        f"ELSE regexp_replace({said}, '{PUNCTUATION}', ' ', 'g') END"
    )


def key(text, collate):
    said = f"regexp_replace({clean(text, collate)}, '\\s+', '', 'g')"
    return f"left(coalesce(nullif({said}, ''), btrim({fold(text, collate)})), 200)"


def words(text, collate):
    return f"left(regexp_replace({clean(text, collate)}, '{UNSPACED}', ' \\1 ', 'g'), 250000)"


def functions(collate):
    """name(arguments) -> (type, body, cost); plpgsql, which is never written out in a query, so that the cost counts."""
    texts = "$1 || ' ' || $2 || ' ' || $3 || ' ' || $4"
    query = f"btrim(regexp_replace({words('$1', collate)}, '\\s+', ' ', 'g'))"
    every = f"regexp_replace(replace({query}, ' ', ' & '), '([^ &]+)', '''\\1'':*', 'g')"
    return {
        # Without case, accents and forms of letters.
        "socialsongs_fold(text)": ("text", fold("$1", collate), 20),
        # And without punctuation.
        "socialsongs_clean(text)": ("text", clean("$1", collate), 30),
        # And without spaces: what two writings of a name have in common. Of a name without letters, all of it.
        "socialsongs_key(text)": ("text", key("$1", collate), 50),
        "socialsongs_words(text, text, text, text)": (
            "tsvector", f"to_tsvector('pg_catalog.simple'::regconfig, {words(f'({texts})', collate)})", 5000,
        ),
        # Every word, or beginning of one.
        "socialsongs_query(text)": ("tsquery", f"to_tsquery('pg_catalog.simple'::regconfig, {every})", 50),
    }  # fmt: skip


def create_functions(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT collname FROM pg_collation WHERE collname = ANY(%s)", [COLLATIONS])
        there = {name for (name,) in cursor.fetchall()}
        best = next((name for name in COLLATIONS if name in there), None)
        for signature, (type, body, cost) in functions(f' COLLATE pg_catalog."{best}"' if best else "").items():
            # Unformatted: the texts hold no parameters.
            cursor.execute(
                f"CREATE FUNCTION {signature} RETURNS {type} LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE "
                f"COST {cost} AS $body$ BEGIN RETURN {body}; END $body$"
            )


def drop_functions(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for signature in reversed(functions("")):
            cursor.execute(f"DROP FUNCTION {signature}")


TYPOS = "CREATE INDEX socialsongs_song_typos ON socialsongs_song USING gin (socialsongs_clean(title || ' ' || artist) {}.gin_trgm_ops)"


def forgive_typos(apps, schema_editor):
    """Where pg_trgm is there, or may be made by whoever migrates."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
        if cursor.fetchone() is None:
            return
        try:
            with transaction.atomic(using=connection.alias):
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        except ProgrammingError:  # not allowed
            return
        cursor.execute("SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON extnamespace = pg_namespace.oid WHERE extname = 'pg_trgm'")
        cursor.execute(TYPOS.format(*cursor.fetchone()))


def forgive_no_typos(apps, schema_editor):
    """The extension stays: others may use it."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS socialsongs_song_typos")


# Of lyrics that were edited and not read again, nobody knows where the old lines are.
FORGET = """
UPDATE socialsongs_songembedding SET line_offsets = '{}'
WHERE state IN ('queued', 'analysing') AND stage_one IS NOT NULL AND line_offsets <> '{}';
SET CONSTRAINTS ALL IMMEDIATE;
"""


def of(function, *texts, result):
    return models.Func(*texts, function=f"socialsongs_{function}", output_field=result)


def key_index(name):
    key_of = of("key", name, result=models.TextField())
    return models.Index(OpClass(key_of, "text_pattern_ops"), name=f"socialsongs_song_{name}_key")


def words_index(name, last):
    return GinIndex(of("words", "title", "artist", "album", last, result=SearchVectorField()), name=f"socialsongs_song_{name}")


class Migration(migrations.Migration):
    dependencies = [("socialsongs", "0009_thumbnails")]

    operations = [
        migrations.RunSQL(FORGET, migrations.RunSQL.noop),
        migrations.RunPython(create_functions, drop_functions),
        migrations.RenameIndex("song", "socialsongs_song_search_old", old_name="socialsongs_song_search"),
        migrations.AddIndex("song", key_index("title")),
        migrations.AddIndex("song", key_index("artist")),
        migrations.AddIndex("song", words_index("names", models.Value(""))),
        migrations.AddIndex("song", words_index("search", "lyrics")),
        migrations.RunPython(forgive_typos, forgive_no_typos),
    ]
