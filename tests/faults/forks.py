"""Worker processes, forked from a server that has imported torch: a start takes one second instead of five."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from socialsongs.site.embedded import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = multiprocessing.get_context("forkserver")
# Nothing that reads Django's settings, which depend on the environment of each process.
PRELOADED = """
    recommender.release recommender.images celery.apps.worker celery.apps.beat kombu.transport.redis
    psycopg tests.faults.forks
"""
CONTEXT.set_forkserver_preload(PRELOADED.split())


@contextmanager
def forked(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[BaseProcess]:
    """Run ``python`` with a file, or with ``-m`` and a module, and stop it at the end. Its output goes to ``log``."""
    process = CONTEXT.Process(target=_run, args=(command, log, environment))
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join(20)
        if process.exitcode is None:
            process.kill()
            process.join()


def _run(command: list[str], log: Path, environment: dict[str, str]) -> None:
    die_with_parent()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _, *program = command
    if program[0] == "-m":
        sys.argv = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        runpy.run_path(program[0], run_name="__main__")
