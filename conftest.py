"""Leaves out the page, film and their tests where their extras are not installed."""

import importlib
import importlib.util

collect_ignore = ["src/impasto/napari"]  # napari warns when it is imported; its tests let it
try:
    for name in ("fastapi", "uvicorn", "httpx2"):
        importlib.import_module(name)
except ModuleNotFoundError:
    collect_ignore += ["src/impasto/serve", "tests/serve"]
if importlib.util.find_spec("cv2") is None:
    collect_ignore += ["tests/filming", "tests/cli/test_film_command.py"]
