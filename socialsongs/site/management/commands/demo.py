"""Run everything on this machine: web page, API, worker. Ctrl-C stops all of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from socialsongs.models import Song
from socialsongs.selectors.releases import active_release, encoding_coverage
from socialsongs.site.demo import Children, DemoError, answers, check_disk, check_port, commands, only_one, passwords

console = Console()
READY_SECONDS = 120


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        address = f"http://{host}:{port}"
        var = Path(settings.VAR_DIR)
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell sets a background process to ignore Ctrl-C
            signal.signal(number, _interrupt)
        try:
            with ExitStack() as stack:
                stack.enter_context(only_one(var, address))
                check_port(host, port)
                check_disk(var)
                environment = _environment(host)
                token, accounts = self._prepare(var)
                children = Children(var / "log", environment)
                stack.callback(children.stop)
                for name, command in commands(host, port, var).items():
                    children.start(name, command)
                _wait(children, address)
                _welcome(address, accounts, token)
                while True:
                    children.look_after(sys.stderr)
                    time.sleep(1)
        except DemoError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            console.print("Stopped. Everything is kept for the next `make demo`.")

    def _prepare(self, var: Path) -> tuple[str, dict[str, str]]:
        """Prepare database, catalogue, release and accounts, unless they exist; returns token and passwords."""
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        if not Song.objects.exists():
            console.print("Loading the sample catalogue")
            call_command("import_songs", sample=True)
        try:
            call_command("socialsongs_releases", "register")
        except CommandError as error:
            raise DemoError(f"The model release cannot be used.\n{error}") from error
        accounts = passwords(var)
        users = get_user_model()
        for name, password in accounts.items():
            user, created = users._default_manager.get_or_create(username=name)
            if created:
                user.set_password(password)
                user.is_staff = user.is_superuser = name == "staff"
                user.save()
        return _token(users._default_manager.get(username="poster")), accounts


def _token(user: Any) -> str:
    """Return a new token, which replaces that of the last start: its text was not stored."""
    from socialsongs.site.tokens import issue, revoke

    revoke(user=user, name="demo")
    return issue(user=user, name="demo", scopes=["read", "write"], days=None)[1]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _environment(host: str) -> dict[str, str]:
    """Return the environment of the child processes, which use the same servers."""
    from socialsongs.site.embedded import locations

    servers = locations(Path(settings.VAR_DIR))
    return {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        **os.environ,
        "SECRET_KEY": settings.SECRET_KEY,
        "SECURE_SSL": "0",
        "ALLOWED_HOSTS": ",".join({*settings.ALLOWED_HOSTS, host}),
        "VAR_DIR": str(settings.VAR_DIR),
    }


def _wait(children: Children, address: str) -> None:
    """Wait until the web server answers and all songs are encoded."""
    deadline = time.monotonic() + READY_SECONDS
    with Progress(console=console) as bar:
        web = bar.add_task("starting", total=None)
        while not answers(address):
            children.look_after(sys.stderr)
            if time.monotonic() > deadline:
                raise DemoError(f"The web server did not answer within {READY_SECONDS} s; see {children.logs}/web.log")
            time.sleep(0.3)
        bar.remove_task(web)
        release = active_release()
        if release is None:
            raise DemoError(
                "No model release is active; activate one with `manage.py socialsongs_releases activate NAME`."
            )
        done, total = encoding_coverage(release=release)
        if done < total:
            task = bar.add_task("encoding songs", total=total)
            while done < total:
                children.look_after(sys.stderr)
                done, total = encoding_coverage(release=release)
                bar.update(task, completed=done, total=total)
                time.sleep(0.3)


def _welcome(address: str, accounts: dict[str, str], token: str) -> None:
    """Print addresses and passwords without a frame, which would cut them off in a narrow terminal."""
    console.rule("SocialSongs is ready")
    console.print(
        f"Post a photo  {address}/  log in as [bold]poster[/bold], password {accounts['poster']}\n"
        f"Catalogue     {address}/admin/  log in as [bold]staff[/bold], password {accounts['staff']}\n"
        f"API           {address}/api/schema/ui/  token of poster: {token}\n\n"
        f"curl -H 'Authorization: Token {token}' -F photos=@photo.jpg {address}/api/v1/posts\n\n"
        "Ctrl-C stops everything.",
        highlight=False,
        soft_wrap=True,
    )
