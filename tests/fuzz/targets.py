"""What the fuzzer tries: each target takes a case's input in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import seeds
import torch
from mutations import mutate_file, mutate_text, mutate_tree
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from impasto.batch.manifest import Manifest, Row
from impasto.batch.plan import plan_jobs, read_plan
from impasto.cli.main import main
from impasto.errors import ImpastoError
from impasto.images.image import Image
from impasto.images.masks import open_mask
from impasto.images.open_input import open_input
from impasto.images.read import describe_image, open_image
from impasto.images.tiff_write import write_stack
from impasto.images.write import encode
from impasto.images.xmp import to_xmp
from impasto.methods import METHODS, guess_method
from impasto.presets import read_presets
from impasto.provenance import read_provenance
from impasto.style.checkpoint import Checkpoints
from impasto.validation import validate
from impasto.vgg.weights import load_weights

MAX_PIXELS = 1_000_000  # of a picture: a valid one of more may need more memory than the limit


class Fault(Exception):
    """What a target found wrong in a result."""


@dataclass(frozen=True)
class Case:
    """The input of one case.

    Attributes:
        target: its name in `TARGETS`.
        data: the bytes of the file.
        ending: of the file's name.
        words: of a command line, in which IN is the file and OUT an output.
    """

    target: str
    data: bytes
    ending: str = ""
    words: tuple[str, ...] = ()


def warm_up(folder: Path) -> None:
    """Load what the commands load, so that the memory of a case is its own."""
    path = folder / "input.png"
    path.write_bytes(seeds.image_seeds()[0])
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        contextlib.chdir(folder),
    ):
        for command in _COMMANDS:
            main([word.replace("IN", path.name).replace("OUT", "output") for word in command])


def make_case(number: int, names: Sequence[str]) -> Case:
    """Make the case of a number; the same number makes the same case of the same targets."""
    random = Random(number)
    weights = [_WEIGHTS.get(name, 1) for name in names]
    name = random.choices(names, weights)[0]
    return _MAKERS[name](name, random)


def _image_case(name: str, random: Random) -> Case:
    files = seeds.image_seeds() + (seeds.tiff_seeds() if random.random() < 0.3 else ())
    return Case(name, mutate_file(random.choice(files), files, random), ".png")


def _tiff_case(name: str, random: Random) -> Case:
    files = seeds.tiff_seeds()
    return Case(name, mutate_file(random.choice(files), files, random), ".tif")


def _json_case(name: str, random: Random) -> Case:
    tree = mutate_tree(random.choice(seeds.texts()[name]), random)
    return Case(name, mutate_text(json.dumps(tree), random), ".json")


def _api_case(name: str, random: Random) -> Case:
    return replace(_json_case(random.choice(("recipe", "provenance")), random), target=name)


def _info_case(name: str, random: Random) -> Case:
    tree = mutate_tree(random.choice(seeds.texts()["provenance"]), random)
    text = mutate_text(json.dumps(tree, ensure_ascii=random.random() < 0.9), random)
    xmp = to_xmp(text.decode("utf-8", "replace"))
    kind = random.choice(("png", "jpeg", "tiff"))
    file = io.BytesIO()
    if kind == "png":
        packet = PngInfo()
        packet.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        PillowImage.new("RGB", (8, 8)).save(file, "PNG", pnginfo=packet)
    elif kind == "jpeg":
        PillowImage.new("RGB", (8, 8)).save(file, "JPEG", xmp=xmp[:65_000])
    else:
        PillowImage.new("RGB", (8, 8)).save(file, "TIFF", tiffinfo={700: xmp})
    return Case(name, file.getvalue(), f".{kind}")


def _toml_case(name: str, random: Random) -> Case:
    tree = mutate_tree(random.choice(seeds.texts()[name]), random)
    if not isinstance(tree, dict) or (name == "presets" and random.random() < 0.5):
        return Case(name, mutate_text(json.dumps(tree), random), ".json")
    return Case(name, mutate_text(seeds.to_toml(tree), random), ".toml")


def _file_case(files: Callable[[], Sequence[bytes]], ending: str) -> Callable[..., Case]:
    def make(name: str, random: Random) -> Case:
        return Case(name, mutate_file(random.choice(files()), files(), random), ending)

    return make


def _weights_case(name: str, random: Random) -> Case:
    ending, data = random.choice(seeds.weight_seeds())
    others = [data for _, data in seeds.weight_seeds()]
    return Case(name, mutate_file(data, others, random), ending)


def _command_case(name: str, random: Random) -> Case:
    case = _image_case(name, random) if random.random() < 0.5 else _tiff_case(name, random)
    words = list(random.choice(_COMMANDS))
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        words += [random.choice(_OPTIONS), random.choice(_VALUES)]
    if random.random() < 0.2:
        lost = random.randrange(len(words))
        if words[lost] != "--dry-run":
            del words[lost]
    data = case.data if random.random() < 0.6 else random.choice(seeds.image_seeds())
    return Case(name, data, case.ending, tuple(words))


_OPTIONS = (
    "--size", "--steps", "--strength", "--sigma", "--method", "--color", "--seed", "-o", "--axes",
    "--bits", "--preset", "--format", "--style-layers", "--memory", "--unknown",
)  # fmt: skip
_VALUES = (
    "0", "-1", "1e999", "nan", "relu4_1", "auto", "", "a" * 3000, "\x1b[2J", "IN", "64", "0.5",
    "0,5", "70%", "/dev/null", "é\ud800", "99999999999999999999", "OUT/x.png",
)  # fmt: skip
# None of them paints or cleans for long: plans, headers and measurements.
_COMMANDS = (
    ("info", "IN"),
    ("info", "--json", "IN"),
    ("style", "--dry-run", "IN", "IN", "-o", "OUT.png", "--size", "64"),
    ("style", "--dry-run", "IN", "IN", "-o", "OUT.webp", "--protect", "IN"),
    ("texture", "--dry-run", "IN", "-o", "OUT.png"),
    ("compare", "IN", "IN"),
    ("noise", "IN", "-o", "OUT.png", "--gaussian", "10"),
    ("presets", "--presets", "IN"),
    ("batch", "style", "--dry-run", "IN", "--style", "IN", "-o", "OUT"),
    ("batch", "denoise", "--dry-run", "IN", "-o", "OUT"),
    ("rerun", "--dry-run", "IN"),
)


def _try_image(path: Path, folder: Path) -> None:
    data = path.read_bytes()
    json.dumps(describe_image(data), allow_nan=False).encode()
    image = open_image(data, max_pixels=MAX_PIXELS)
    _check_image(image)
    open_mask(data, "mask")
    for ending in ("png", "tiff"):
        again = open_image(encode(image.pixels, ending, metadata=image.metadata))
        if again.size != image.size:
            raise Fault(f"{image.size} came back as {again.size}")


def _check_image(image: Image) -> None:
    low, high = image.pixels.aminmax()
    if not (low >= 0 and high <= 1):
        raise Fault(f"pixels from {low} to {high}")


def _try_stack(path: Path, folder: Path) -> None:
    source = open_input(path)
    if isinstance(source, Image):
        return _check_image(source)
    if source.count * source.plane_shape[0] * source.plane_shape[1] * source.plane_shape[2] > 4e6:
        return None
    output = folder / "output.tif"
    planes = [source.read_plane(index) for index in source.plane_indices()]
    write_stack(output, source, iter(planes))
    again = open_input(output, source.axes)
    for index, plane in zip(again.plane_indices(), planes, strict=True):
        if not torch.equal(again.read_plane(index), plane):
            raise Fault("a plane came back with other values")
    return None


def _try_recipe(path: Path, folder: Path) -> None:
    options = _parse(path, json.loads)
    if isinstance(options, dict):
        validate(METHODS[guess_method(options)].recipe, options)


def _parse(path: Path, parse: Callable[[str], Any]) -> Any:
    """Parse a text; None where it is none, which is not impasto's doing."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def _try_provenance(path: Path, folder: Path) -> None:
    read_provenance(path.read_text(encoding="utf-8", errors="surrogateescape"))


def _try_info(path: Path, folder: Path) -> None:
    json.dumps(describe_image(path), allow_nan=False).encode()


def _try_presets(path: Path, folder: Path) -> None:
    read_presets(path)


def _try_plan(path: Path, folder: Path) -> None:
    (folder / "output.in").mkdir()
    with contextlib.chdir(folder):
        plan_jobs(read_plan(path))


def _try_manifest(path: Path, folder: Path) -> None:
    copy = folder / "output.sqlite"  # a manifest is written when it is opened
    copy.write_bytes(path.read_bytes())
    manifest = Manifest(copy)
    try:
        rows = manifest.load()
        manifest.save([("out/1.png", Row("failed", 1, "a reason"))])
        rows.get("out/1.png")
    finally:
        manifest.close()


def _try_checkpoint(path: Path, folder: Path) -> None:
    checkpoint = Checkpoints(folder).of(METHODS["style"].recipe(), "weights", [])
    checkpoint.path.write_bytes(path.read_bytes())
    try:
        checkpoint.load()
    finally:
        checkpoint.remove()


def _try_weights(path: Path, folder: Path) -> None:
    load_weights(str(path))


def _try_api(path: Path, folder: Path) -> None:
    answer = _client().post("/v1/recipe", files={"file": ("a.json", path.read_bytes())})
    if answer.status_code >= 500:
        raise Fault(f"{answer.status_code} {answer.text[:200]}")


def _client() -> Any:
    """Return a client of a server in this process, made once in it."""
    global _CLIENT
    if _CLIENT is None:
        import tempfile

        from starlette.testclient import TestClient

        from impasto.serve.app import create_app
        from impasto.serve.limits import ServeOptions

        jobs = tempfile.mkdtemp(prefix="impasto-fuzz-jobs-")
        app = create_app(ServeOptions(folder=jobs), "token")
        _CLIENT = TestClient(
            app,
            base_url="http://127.0.0.1:8765",
            headers={"authorization": "Bearer token"},
            raise_server_exceptions=False,
        )
    return _CLIENT


_CLIENT = None


def _try_command(path: Path, folder: Path, words: Sequence[str]) -> None:
    with contextlib.chdir(folder):
        words = [word.replace("IN", path.name).replace("OUT", "output") for word in words]
        start = os.lseek(2, 0, os.SEEK_CUR)
        code = main(words)
        sentence = os.pread(2, 100_000, start).decode("utf-8", "replace")
        os.ftruncate(2, start)
        os.lseek(2, start, os.SEEK_SET)
    if code not in (0, 1, 2, 3):
        raise Fault(f"exit code {code} of {words}")
    for sign in ("Traceback", "unforeseen", "https://errors", "\x1b]", "Error:"):
        if sign in sentence:
            raise Fault(f"{sentence[:300]!r} of {words}")
    if code and not sentence.strip():
        raise Fault(f"no word with exit code {code} of {words}")


TARGETS: dict[str, Callable[..., None]] = {
    "image": _try_image,
    "stack": _try_stack,
    "recipe": _try_recipe,
    "provenance": _try_provenance,
    "info": _try_info,
    "presets": _try_presets,
    "plan": _try_plan,
    "manifest": _try_manifest,
    "checkpoint": _try_checkpoint,
    "weights": _try_weights,
    "api": _try_api,
    "command": _try_command,
}
_WEIGHTS = {"image": 8, "stack": 6, "command": 0.5, "api": 0.5, "manifest": 0.5, "weights": 0.5}
_MAKERS: dict[str, Callable[..., Case]] = {
    "image": _image_case,
    "stack": _tiff_case,
    "recipe": _json_case,
    "provenance": _json_case,
    "info": _info_case,
    "presets": _toml_case,
    "plan": _toml_case,
    "manifest": _file_case(seeds.manifest_seeds, ".sqlite"),
    "checkpoint": _file_case(seeds.checkpoint_seeds, ".pt"),
    "weights": _weights_case,
    "api": _api_case,
    "command": _command_case,
}
POLITE = (ImpastoError, ValueError, TypeError)
