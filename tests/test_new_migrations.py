"""New migrations expand: the version before works on, with its tables locked for moments only (docs/upgrading.md)."""

import pytest
from django_migration_linter import MigrationLinter

from .processes import ROOT

# The last ones before the rule.
BEFORE = {"socialsongs": "0015_plain_words", "socialsongs_site": "0003_plain_words"}
# How a local variable is called.
STYLE = ["RUNPYTHON_MODEL_VARIABLE_NAME"]
# Codes of the linter's findings that are right for a migration, each with its reason.
ALLOWED = {
    # The index of a column that is new, and so holds nulls only, is made in a moment.
    "0017_text_requests_and_idempotency_keys": ["CREATE_INDEX", "CREATE_INDEX_EXCLUSIVE"],
    # Both indexes hold only the posts that wait, and the other one is of a new column.
    "0021_attached_photos": ["DROP_INDEX", "CREATE_INDEX", "CREATE_INDEX_EXCLUSIVE"],
    # The table is of this version, so that no version before reads its columns, and holds the keys of a day.
    "0024_idempotency_keys_of_clients": [
        "NOT_NULL",
        "ALTER_COLUMN",
        "ADD_UNIQUE",
        "CREATE_INDEX",
        "CREATE_INDEX_EXCLUSIVE",
    ],
    # The historical models come out of a loop, which the linter does not see.
    "0022_posts_of_subjects": ["RUNPYTHON_MODEL_IMPORT"],
}


@pytest.fixture
def lint(db, capsys):
    """Return a function that returns what the linter finds in a migration; empty when all is right."""
    linter = MigrationLinter(str(ROOT), all_warnings_as_errors=True, no_cache=True)

    def check(migration):
        linter.reset_counters()
        linter.exclude_migration_tests = [*STYLE, *ALLOWED.get(migration.name, [])]
        linter.lint_migration(migration)
        assert not linter.nb_ignored
        said = capsys.readouterr().out
        return said if linter.has_errors else ""

    check.migrations = linter.migration_loader.disk_migrations
    return check


def test_new_migrations_break_nothing_that_runs(lint):
    new = [
        migration for (app, name), migration in sorted(lint.migrations.items()) if app in BEFORE and name > BEFORE[app]
    ]
    assert new
    assert [found for migration in new if (found := lint(migration))] == []


def test_the_linter_finds_what_would_break(lint):
    found = lint(lint.migrations["socialsongs", "0006_search_space"])
    assert "DROPPING columns (table: socialsongs_photoanalysis, column: direction)" in found
    assert "CREATE INDEX locks table" in found
