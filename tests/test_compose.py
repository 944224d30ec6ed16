"""docker-compose.yml and Dockerfile: the same processes as everywhere else, with settings that exist."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from socialsongs.conf import Config
from socialsongs.site.processes import BEAT, WEB, WORKER

from .processes import ROOT, free_port, process, wait_until

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = [name for name, service in SERVICES.items() if "build" in service]


def command(name):
    return shlex.split(SERVICES[name]["command"])


def test_all_processes_of_a_deployment_are_there():
    assert set(SERVICES) == {"migrate", "web", "worker", "beat", "postgres", "redis"}
    assert set(OURS) == {"migrate", "web", "worker", "beat"}


def test_the_servers_are_pinned():
    assert re.fullmatch(r"pgvector/pgvector:\d+\.\d+\.\d+-pg\d+", SERVICES["postgres"]["image"])
    assert re.fullmatch(r"redis:\d+\.\d+\.\d+(-\w+)?", SERVICES["redis"]["image"])


def test_they_run_what_the_demo_runs():
    assert command("web") == [*WEB, "0.0.0.0:8000"]
    assert command("worker") == WORKER
    assert command("beat") == [*BEAT, "/tmp/beat-schedule"]
    image = json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])
    assert image == [*WEB, "0.0.0.0:8000"]


def test_everything_waits_for_the_migrations_and_the_servers():
    for name in ("web", "worker", "beat"):
        conditions = {other: how["condition"] for other, how in SERVICES[name]["depends_on"].items()}
        assert conditions == {"migrate": "service_completed_successfully", "redis": "service_healthy"}
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_their_variables_are_ones_that_the_settings_read():
    source = (ROOT / "socialsongs" / "site" / "settings.py").read_text()
    read = set(re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", source))
    read |= {f"SOCIALSONGS_{key}" for key in Config.__dataclass_fields__}
    for name in OURS:
        assert set(SERVICES[name]["environment"]) <= read, name
        assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"} <= set(SERVICES[name]["environment"])


def test_the_image_has_a_python_that_the_project_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = re.search(r"^FROM python:([\d.]+)-slim$", DOCKERFILE, re.MULTILINE)[1]
    assert version in SpecifierSet(project["requires-python"])


@pytest.mark.worker
@pytest.mark.django_db(transaction=True)
def test_its_processes_come_up_on_a_fresh_database(tmp_path):
    """Web, worker and beat as compose starts them, here; without a release, and for a public host name."""
    port = free_port()
    logs = {name: tmp_path / f"{name}.log" for name in ("web", "worker", "beat")}
    here = {"0.0.0.0:8000": f"127.0.0.1:{port}", "/tmp/beat-schedule": str(tmp_path / "beat-schedule")}
    commands = {name: [here.get(part, part) for part in command(name)] for name in logs}
    given = {"ALLOWED_HOSTS": "songs.example.org"}
    environment = {
        name: resolved(SERVICES["web"]["environment"][name], given) for name in ("ALLOWED_HOSTS", "SECURE_SSL")
    }
    with (
        process(commands["web"], logs["web"], **environment),
        process(commands["worker"], logs["worker"]),
        process(commands["beat"], logs["beat"]),
    ):
        wait_until(lambda: healthy(port), logs["web"])
        public = urllib.request.Request(f"http://127.0.0.1:{port}/health/", headers={"Host": "songs.example.org"})
        with urllib.request.urlopen(public, timeout=10) as response:
            assert response.status == 200
        for text in (" ready.", "No release is active"):
            wait_until(lambda text=text: text in logs["worker"].read_text(), logs["worker"])
        for text in (" ready.", "Sending due task reconcile (socialsongs.reconcile)", " succeeded in "):
            wait_until(lambda text=text: text in logs["beat"].read_text(), logs["beat"])
    assert "Traceback" not in "".join(log.read_text() for log in logs.values())


def resolved(value, given):
    """A value as compose fills it in: ${NAME:-default}."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1], found[2]), value)


def healthy(port):
    """The health check of the web service itself."""
    _, _, *arguments = SERVICES["web"]["healthcheck"]["test"]
    check = [argument.replace(":8000/", f":{port}/") for argument in arguments]
    return subprocess.run([sys.executable, *check], capture_output=True, check=False).returncode == 0
