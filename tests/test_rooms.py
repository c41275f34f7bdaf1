"""The public names, the direction of imports, and who may import which library."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import impasto

ROOT = Path(impasto.__file__).parent
# A package or module may import those before it and itself.
ORDER = [
    "_version", "errors", "client", "validation", "recipes", "options", "methods", "provenance",
    "presets", "files", "images", "notebook_html", "result", "memory", "device", "compiled",
    "simd", "vgg", "style", "denoising", "api", "models", "replay", "filming", "metrics",
    "synthetic_noise", "figures", "denoise_figures", "demo", "notebook", "jobs", "batch",
    "serve", "napari", "cli",
]  # fmt: skip
# Only these packages may import these libraries.
ONLY = {
    "PIL": {"images"},
    "tifffile": {"images"},
    "imagecodecs": {"images"},
    "cv2": {"images"},
    "zarr": {"images"},
    "napari": {"napari"},
    "qtpy": {"napari"},
    "superqt": {"napari"},
    "urllib.request": {"vgg", "batch", "client"},
    "fsspec": {"batch"},
    "numba": {"compiled", "simd"},
    "llvmlite": {"simd"},
    "sqlite3": {"batch", "jobs"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "ray": {"batch"},
    "click": {"cli"},
    "rich": {"cli"},
    "rich_click": {"cli"},
    "matplotlib": {"figures", "denoise_figures"},
}
MAX_LATE_IMPORTS = 30  # most keep PyTorch's 0.9 s out of `--help` and of the server's start


def name_of(path):
    """The dotted name of a module, without `impasto`."""
    return (
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").strip(".")
    )


TREES = {
    name_of(path): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}


def imports(tree):
    """(imported module, whether it is imported when the importing module is) of every import."""
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                known = module.removeprefix("impasto.") in TREES
                yield module if known else node.module, id(node) not in inside
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inside


def own(tree):
    """The modules of impasto that a module imports: (name, whether at once)."""
    for module, at_once in imports(tree):
        name = module.removeprefix("impasto.")
        if module.startswith("impasto.") and name in TREES:
            yield name, at_once


def test_every_public_name_is_there():
    for name in impasto.__all__:
        assert getattr(impasto, name) is not None
    assert impasto.__all__ == sorted(impasto.__all__)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Carried", "ImageMetadata"),
        ("Picture", "Image"),
        ("PictureError", "ImageError"),
        ("open_picture", "open_image"),
        ("paint", "stylize"),
    ],
)
def test_names_of_before_lead_to_those_of_now(old, new):
    with pytest.warns(DeprecationWarning, match=f"impasto.{old} is now impasto.{new}"):
        assert getattr(impasto, old) is getattr(impasto, new)
    assert old not in impasto.__all__


def test_every_module_has_its_place_in_the_order():
    rooms = {name.split(".")[0] for name in TREES} - {"", "__main__"}
    assert rooms == set(ORDER)


def test_imports_go_one_way():
    for name, tree in TREES.items():
        room = name.split(".")[0]
        for module, _ in own(tree) if room in ORDER else ():
            other = module.split(".")[0]
            assert ORDER.index(other) <= ORDER.index(room), f"{name} imports {module}"
            assert {room, other} != {"style", "denoising"}, f"{name} imports {module}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        name: {other for other, at_once in own(tree) if at_once} for name, tree in TREES.items()
    }
    finished = set()

    def visit(name, path):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in finished:
            for other in graph[name]:
                visit(other, [*path, name])
            finished.add(name)

    for name in graph:
        visit(name, [])


def test_few_imports_of_our_own_wait_inside_functions():
    late = {
        (name, module)
        for name, tree in TREES.items()
        for module, at_once in own(tree)
        if not at_once
    }
    assert len(late) <= MAX_LATE_IMPORTS, sorted(late)


def test_no_public_name_is_defined_twice():
    homes = defaultdict(set)
    for name, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                homes[node.name].add(name)
    # A command has the name of the function it calls: one for the terminal, one for Python.
    twice = {
        name: places
        for name, places in homes.items()
        if not name.startswith("_")
        and len({place for place in places if not place.startswith("cli.")})
        + (len({place for place in places if place.startswith("cli.")}) > 1)
        > 1
    }
    assert not twice


def test_only_the_right_package_imports_each_library():
    for name, tree in TREES.items():
        for module, _ in imports(tree):
            for library, rooms in ONLY.items():
                if module == library or module.startswith(f"{library}."):
                    assert name.split(".")[0] in rooms, f"{name} imports {module}"


def test_the_library_never_prints_or_exits():
    for name, tree in TREES.items():
        if name.split(".")[0] in ("cli", "__main__"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "exit", "sys.exit", "input"}, f"{name}: {called}"


def test_importing_the_package_and_its_recipes_loads_no_torch():
    code = (
        "import sys, impasto, impasto.recipes, impasto.errors, impasto.methods; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
