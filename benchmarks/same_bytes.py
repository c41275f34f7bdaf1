"""Check that two versions of impasto write the same images: pixels and metadata of ten commands.

    python benchmarks/same_bytes.py --before OLD_CHECKOUT [--after NEW_CHECKOUT]

Both checkouts run the same command lines on the same made-up inputs, one after the other. Compared
are the decoded pixels, every kind of metadata, and the recipe inside, but for the version and the
fields in RENAMED. The exit code is 1 if anything differs; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

# Recipe fields of earlier versions: (old fields) -> the new ones that say the same.
RENAMED = ("statistic", "normalization", "style_loss", "content_loss")

STYLE = "--size 96 --steps 24 --device cpu --precision float32"
COMMANDS = {
    "style-regions": f"style photo.jpg grain.png weave.png --region 1=left.png --region 2=right.png"
    f" --color 0.4 --protect corner.png {STYLE} -o style-regions.png",
    "style-denoise": f"style photo.jpg weave.png --denoise both {STYLE} -o style-denoise.jpg",
    "notebook": f"style photo.jpg weave.png --preset notebook {STYLE} --steps 12 -o notebook.png",
    "gatys": f"style photo.jpg weave.png --preset gatys {STYLE} --steps 12 -o gatys.tif --bits 16",
    "texture": "texture weave.png --tileable --width 96 --height 80 --steps 12 --device cpu"
    " --precision float32 -o texture.png",
    "reconstruct": "reconstruct photo.jpg --layer conv2_1 --size 96 --steps 12 --device cpu"
    " --precision float32 -o reconstruct.png",
    "denoise-white": "denoise white.png -o denoise-white.png --residual white-residual.tif",
    "denoise-shared": "denoise shared.png -o denoise-shared.png --bits 16",
    "denoise-poisson": "denoise poisson.tif -o denoise-poisson.tif",
    "denoise-stack": "denoise stack.tif --joint -o denoise-stack.tif",
    "rerun": "rerun style-regions.png -o rerun.png",
    "batch": f"batch style photo.jpg white.png -s weave.png {STYLE} --executor inline -o batch",
    "batch-denoise": "batch denoise white.png stack.tif --executor inline -o batch-clean",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, required=True, help="checkout of the old version")
    parser.add_argument("--after", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--only", nargs="*", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--keep", type=Path, help="folder for the outputs, kept for a later run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or Path(temporary)
        outputs = []
        for name, checkout in (("before", arguments.before), ("after", arguments.after)):
            folder = root / name
            if name == "after" or not folder.exists():
                folder.mkdir(parents=True, exist_ok=True)
                write_inputs(folder)
                for command in arguments.only:
                    run(COMMANDS[command], checkout.resolve(), folder)
            outputs.append(folder)
        differences = compare(*outputs)
        images = sum(1 for path in images_in(outputs[1]))
    for line in differences:
        print(line)
    print(json.dumps({"images": images, "differences": len(differences)}))
    return 1 if differences or not images else 0


def write_inputs(folder: Path) -> None:
    """Write photographs with metadata, masks, noisy pictures and a stack, all made by code."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:120, 0:160] / 120
    photo = np.stack([x / 1.4, 0.3 + 0.5 * y, 0.6 + 0.3 * np.sin(9 * x * y)], -1)
    photo[(x - 0.7) ** 2 + (y - 0.5) ** 2 < 0.06] = (0.9, 0.75, 0.2)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x8298] = "impasto", 1, "nobody"
    Image.fromarray(eight_bits(photo)).save(
        folder / "photo.jpg", quality=95, exif=exif, dpi=(240, 240)
    )
    weave = 0.5 + 0.4 * np.sin(40 * x)[..., None] * np.cos(30 * y)[..., None] * [1, 0.6, -0.8]
    Image.fromarray(eight_bits(weave)).save(folder / "weave.png")
    grain = 0.5 + 0.25 * rng.standard_normal((90, 110, 3)).cumsum(0) / 9
    Image.fromarray(eight_bits(grain)).save(folder / "grain.png")
    for name, mask in (("left", x < 0.7), ("right", x >= 0.7), ("corner", x + y < 0.4)):
        Image.fromarray(eight_bits(mask)).save(folder / f"{name}.png")
    white = photo + rng.normal(0, 25 / 255, photo.shape)
    Image.fromarray(eight_bits(white)).save(folder / "white.png", dpi=(72, 72))
    shared = rng.normal(0, 25 / 255, photo.shape)
    shared = (shared + np.roll(shared, 1, 0) + np.roll(shared, 1, 1)) / 3**0.5
    Image.fromarray(eight_bits(photo + shared)).save(folder / "shared.png")
    light = 30 + 400 * photo[..., 1]
    counts = rng.poisson(light).astype(np.uint16)
    tifffile.imwrite(folder / "poisson.tif", counts, imagej=True, metadata={"unit": "um"})
    stack = np.stack([rng.poisson(light * scale) for scale in (0.8, 1, 1.2)]).astype(np.uint16)
    tifffile.imwrite(folder / "stack.tif", stack, imagej=True, metadata={"axes": "TYX"})


def eight_bits(values: np.ndarray) -> np.ndarray:
    return np.uint8(np.clip(np.asarray(values, float), 0, 1) * 255 + 0.5)


def run(command: str, checkout: Path, folder: Path) -> None:
    """Run one command line of a checkout in a folder; fail loudly if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    subprocess.run(
        [sys.executable, "-m", "impasto", *command.split(), "--quiet"],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def images_in(folder: Path):
    """Yield every image below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".png", ".jpg", ".tif"):
            yield path


def compare(before: Path, after: Path) -> list[str]:
    """Return one line for everything that differs between two folders of outputs."""
    names = {path.relative_to(before) for path in images_in(before)}
    names_after = {path.relative_to(after) for path in images_in(after)}
    lines = [f"{name}: only on one side" for name in sorted(names ^ names_after)]
    for name in sorted(names & names_after):
        first, second = describe(before / name), describe(after / name)
        lines += [
            f"{name}: {key} differs: {short(first.get(key))} and {short(second.get(key))}"
            for key in sorted(first.keys() | second.keys())
            if not equal(first.get(key), second.get(key))
        ]
    return lines


def describe(path: Path) -> dict:
    """Return everything a file holds by name: pixels, tags or chunks, and the recipe."""
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            # Where pixels and tables lie in the file is the writer's choice.
            layout = {"StripOffsets", "StripByteCounts", "RowsPerStrip", "TileOffsets"}
            facts = {
                f"page {number} {tag.name}": tag.value
                for number, page in enumerate(file.pages)
                for tag in page.tags
                if tag.name not in layout
            }
            facts["pixels"] = file.asarray()
            facts["axes"] = [series.axes for series in file.series]
    else:
        with Image.open(path) as image:
            image.load()
            facts = {f"info {key}": value for key, value in image.info.items()}
            facts["pixels"], facts["mode"] = np.asarray(image), image.mode
    cleaned = {key: without_recipe(value) for key, value in facts.items()}
    cleaned["recipe"] = recipe_in(path.read_bytes())
    return cleaned


def without_recipe(value):
    """Cut the XMP packet out of a value: the recipe in it is compared by itself."""
    if isinstance(value, bytes):
        return b"XMP" if b"x:xmpmeta" in value else value
    return "XMP" if isinstance(value, str) and "x:xmpmeta" in value else value


def recipe_in(data: bytes) -> dict | None:
    """Return the stored recipe without versions and renamed fields."""
    import html

    match = re.search(rb"""(?s)impasto:recipe(?:=(["'])(.*?)\1|>(.*?)<)""", data)
    if match is None:
        return None
    record = json.loads(html.unescape((match[2] or match[3]).decode()))
    record.pop("maker", None)
    record.pop("fingerprint", None)  # a hash over the version as well
    for field in RENAMED:
        record["recipe"].pop(field, None)
    return record


def equal(first, second) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    return type(first) is type(second) and first == second


def short(value) -> str:
    return f"array of {value.shape}" if isinstance(value, np.ndarray) else repr(value)[:120]


if __name__ == "__main__":
    sys.exit(main())
