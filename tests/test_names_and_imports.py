"""The modules of the project import each other without circles, and a name stands for one thing."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("socialsongs", "recommender", "workers")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
}


def statements(body):
    """Yield what runs while a module is imported: neither bodies of functions nor what is for type checkers alone."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from statements(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            for part in ("body", "orelse", "handlers", "finalbody"):
                yield from statements(getattr(node, part, ()))


def imported(name, source, is_package, known):
    """Yield the modules among ``known`` that a module imports at its own import, absolutely or relatively.

    The packages above them are imported, too; but only who takes a name from a package needs it to be complete.
    """
    parts = name.split(".")
    package = parts if is_package else parts[:-1]
    for node in statements(ast.parse(source).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                if whole in known:
                    yield whole
                elif module in known:
                    yield module


def circle(sources):
    """Return the modules of one circle of imports, or None. ``sources``: by dotted name, packages by ``name.``."""
    known = {name.removesuffix(".") for name in sources}
    graph = {
        name.removesuffix("."): set(imported(name.removesuffix("."), source, name.endswith("."), known))
        for name, source in sources.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"a.": "", "a.b": "from . import c", "a.c": "from .b import x"}, {"a.b", "a.c"}),
        ({"a.": "from .b import x", "a.b": "from a import y"}, {"a", "a.b"}),
        (
            {"a.": "", "a.b": "try:\n    import a.c\nexcept ImportError: pass", "a.c": "from a.b import x"},
            {"a.b", "a.c"},
        ),
        ({"a.": "", "a.b": "class X:\n    from .c import y", "a.c": "from ..a import b"}, {"a.b", "a.c"}),
        ({"a.": "", "a.b": "from .c import x", "a.c": "def f():\n    from .b import y"}, set()),
        ({"a.": "", "a.b": "from .c import x", "a.c": "if TYPE_CHECKING:\n    from .b import y"}, set()),
        ({"a.": "from .b import x", "a.b": "from .c import y", "a.c": "import os"}, set()),
    ],
)
def test_a_circle_is_found_where_there_is_one(sources, found):
    assert set(circle(sources) or ()) == found


def test_no_modules_import_each_other_in_a_circle():
    sources = {
        name + "." * (path.name == "__init__.py"): path.read_text(encoding="utf-8") for name, path in FILES.items()
    }
    assert len(sources) > 150
    assert circle(sources) is None


# Names that Django, Python and the packages of a project have by convention, or that say the same of each package.
CONVENTIONAL = {"__init__", "__main__", "apps", "urls", "checks", "base", "errors"}
# A command has the name that one types, whatever does the work; tags for templates that of what they show.
ENTRIES = ("management.commands", "templatetags")
# Rooms of one subject or of one part of the model each: the name says which, the room says what is done with it.
SUBJECTS = {
    "socialsongs.models", "socialsongs.services", "socialsongs.selectors", "socialsongs.api", "socialsongs.admin",
    "workers.lanes",
}  # fmt: skip
PARTS = {"recommender", "recommender.train", "recommender.evaluate"}
# Two sides of one thing that the packages must not share.
SIDES = {
    "lyrics": {"socialsongs.services", "recommender"},  # as they are kept, and as they are encoded
    "release": {"socialsongs.models", "recommender"},  # its row, and its files
    "songs": SUBJECTS | PARTS,  # of the catalogue, and to learn from
}


def test_two_modules_share_a_name_only_for_a_reason():
    rooms = defaultdict(set)
    for name in FILES:
        room, _, last = name.rpartition(".")
        if last not in CONVENTIONAL and FILES[name].name != "__init__.py" and not room.endswith(ENTRIES):
            rooms[last].add(room)
    shared = {name: found for name, found in rooms.items() if len(found) > 1}
    unexplained = {
        name: found for name, found in shared.items()
        if not any(found <= reason for reason in (SUBJECTS, PARTS, SIDES.get(name, set())))
    }  # fmt: skip
    assert unexplained == {}
    assert SIDES.keys() <= shared.keys()  # no reason outlives its names


def test_no_two_public_classes_share_a_name():
    """But Django's commands; classes within others are told apart by those."""
    places = defaultdict(list)
    for name, path in FILES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name != "Command":
                places[node.name].append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
