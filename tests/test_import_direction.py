"""recommender <- workers -> socialsongs: who may import whom, and no torch in the web process."""

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


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_file_imports_what_its_room_may_not_know(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            found = {name.split(".")[0] for name in names} & FORBIDDEN[package]
            assert not found, f"{path.relative_to(ROOT)} imports {found}"


def run(code):
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "socialsongs.site.settings"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_web_process_has_no_torch():
    code = (
        "import sys, django; django.setup(); from django.urls import get_resolver; get_resolver().url_patterns;"
        "import socialsongs.site.wsgi; sys.exit(', '.join({'torch', 'sklearn', 'skimage'} & set(sys.modules)) or 0)"
    )
    run(code)


def test_the_maintenance_worker_has_no_torch_either():
    code = (
        "import sys, workers.celery, django; django.setup(); import workers.process.tasks;"
        "sys.exit('torch' in sys.modules)"
    )
    run(code)
