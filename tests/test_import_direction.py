"""recommender <- workers -> socialsongs: which package may import which, and no torch in the web process."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "socialsongs": {"torch", "torchvision", "recommender", "workers"},
    "recommender": {"django", "celery", "rest_framework", "socialsongs", "workers"},
}
# Each may import from those after it; modules that are not named here, such as workers.checks, are free.
WORKER_ROOMS = (
    "management", "training_lists", "process", "lanes", "suggesting", "inference", "failures", "figures",
)  # fmt: skip


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_file_imports_what_its_package_may_not(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            found = {name.split(".")[0] for name in names} & FORBIDDEN[package]
            assert not found, f"{path.relative_to(ROOT)} imports {found}"


def rooms_imported(path):
    """Yield the rooms of ``workers`` from which a file in one of them imports, absolutely or relatively."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            if module[:1] == ("workers",):
                yield from [module[1]] if len(module) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (name.split(".")[1] for name in (alias.name for alias in node.names) if "workers." in name)


def test_rooms_of_the_workers_import_downwards_only():
    height = {room: -place for place, room in enumerate(WORKER_ROOMS)}
    checked = 0
    for path in (ROOT / "workers").rglob("*.py"):
        room = path.relative_to(ROOT / "workers").parts[0].removesuffix(".py")
        for other in rooms_imported(path) if room in height else ():
            assert height.get(other, height[room]) <= height[room], f"{path.relative_to(ROOT)} imports workers.{other}"
            checked += other != room
    assert checked > 30


def run(code):
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "socialsongs.site.settings"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_web_process_has_no_torch():
    code = (
        "import sys, django; django.setup(); from django.urls import get_resolver; get_resolver().url_patterns;"
        "import socialsongs.site.wsgi; from django.core.management import load_command_class;"
        "load_command_class('workers', 'socialsongs_releases');"
        "sys.exit(', '.join({'torch', 'sklearn', 'skimage'} & set(sys.modules)) or 0)"
    )
    run(code)


def test_the_maintenance_worker_has_no_torch_either():
    code = "import sys, django; django.setup(); import workers.process.starting;sys.exit('torch' in sys.modules)"
    run(code)
