"""Leaves the page's room and its tests out where their extra is not installed."""

import importlib

try:
    for name in ("fastapi", "uvicorn", "httpx2"):
        importlib.import_module(name)
except ModuleNotFoundError:
    collect_ignore = ["src/impasto/serve", "tests/serve"]
