"""Leaves out the page, film and their tests where their extras are not installed."""

import importlib
import importlib.util

# napari warns when it is imported, which its tests allow; their fixtures are a plug-in of theirs.
collect_ignore = ["src/impasto/napari", "tests/napari/napari_fixtures.py"]
try:
    for name in ("fastapi", "uvicorn", "httpx2"):
        importlib.import_module(name)
except ModuleNotFoundError:
    collect_ignore += ["src/impasto/serve", "tests/serve"]
if importlib.util.find_spec("cv2") is None:
    collect_ignore += ["tests/filming", "tests/cli/test_film_command.py"]
