"""Importing this fails, and says what to install, where only the web side is installed: it cannot run the model."""

from __future__ import annotations

from importlib.util import find_spec

EXTRA = ("torch", "torchvision", "safetensors")
MISSING = [name for name in EXTRA if find_spec(name) is None]
if MISSING:
    needed = ", ".join(MISSING)
    raise ModuleNotFoundError(f"Not installed: {needed}. Run: pip install 'socialsongs[worker]'", name=MISSING[0])
