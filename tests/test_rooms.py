"""The door and the direction of imports between the rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import impasto

ROOT = Path(impasto.__file__).parent
# Top may not import bottom.
ORDER = [
    "errors", "validation", "recipes", "provenance", "presets", "files", "images", "result", "pace",
    "device", "memory", "vgg", "style", "denoising", "api", "replay", "metrics",
    "synthetic_noise", "figure_layout", "figures", "denoise_figures", "contact_sheet", "notebook",
    "demo", "batch", "serve", "cli",
]  # fmt: skip
# Only these packages may import these.
ONLY = {
    "PIL": {"images"},
    "tifffile": {"images"},
    "imagecodecs": {"images"},
    "urllib": {"vgg", "batch"},  # but urllib.parse, which opens nothing
    "fsspec": {"batch"},
    "sqlite3": {"batch"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "ray": {"batch"},
    "click": {"cli"},
    "rich": {"cli"},
    "matplotlib": {"figure_layout", "figures", "denoise_figures"},
}


def imports():
    """(room, file, imported module, whether at type-checking or call time only) of every import."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield parts[0], path, node.module
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield parts[0], path, alias.name


def test_every_public_name_is_there():
    for name in impasto.__all__:
        assert getattr(impasto, name) is not None
    assert impasto.__all__ == sorted(impasto.__all__)


def test_imports_go_one_way():
    for room, path, module in imports():
        if room in ORDER and module.startswith("impasto."):
            other = module.split(".")[1]
            if other in ORDER:
                assert ORDER.index(other) <= ORDER.index(room), f"{path}: {room} imports {other}"


def test_only_the_right_room_imports_each_library():
    for room, path, module in imports():
        allowed = None if module == "urllib.parse" else ONLY.get(module.split(".")[0])
        assert allowed is None or room in allowed, f"{path} imports {module}"


def test_the_library_never_prints_or_exits():
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] in ("cli", "__main__.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "exit", "sys.exit", "input"}, f"{path}: {called}"


def test_importing_the_package_and_its_recipes_loads_no_torch():
    code = "import sys, impasto, impasto.recipes, impasto.errors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
