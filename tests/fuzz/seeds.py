"""Seeds of the fuzzer: small valid files of every kind that impasto reads, made by code."""

from __future__ import annotations

import io
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import safetensors.torch
import tifffile
import torch
from PIL import Image

from impasto.batch.manifest import Manifest, Row
from impasto.images.icc import srgb_profile
from impasto.images.xmp import to_xmp
from impasto.methods import METHODS
from impasto.presets import PRESETS
from impasto.provenance import Input, Inputs, Provenance, StyleInput
from impasto.style.checkpoint import Checkpoints

_TIFF_CODECS = (
    "none", "lzw", "packbits", "deflate", "jpeg", "lerc", "zstd", "lzma", "webp", "png",
    "jpeg2000", "jpegxl", "jpegxr", "ccitt_t4", "ccitt_t6",
)  # fmt: skip
FINGERPRINT = "0" * 64


def _samples(height: int = 16, width: int = 24, channels: int = 3, bits: int = 8) -> np.ndarray:
    """Return a gradient with a little noise, (H, W, C)."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(3).integers(0, 12, (height, width, channels))
    planes = np.stack([(4 * x + 3 * y * (c + 1)) % 230 for c in range(channels)], -1) + noise
    return (planes * (257 if bits == 16 else 1)).astype(np.uint16 if bits == 16 else np.uint8)


@cache
def image_seeds() -> tuple[bytes, ...]:
    """Return images: each format at several depths, with and without metadata."""
    return tuple(_keep_possible(_image_writers()))


@cache
def tiff_seeds() -> tuple[bytes, ...]:
    """Return TIFFs: pictures and measured data, in every compression and layout."""
    return tuple(_keep_possible(_tiff_writers()))


@cache
def texts() -> dict[str, tuple[Any, ...]]:
    """Return trees of plain values: recipes, provenance, presets and plans."""
    recipes = [(name, method.recipe().model_dump(mode="json")) for name, method in METHODS.items()]
    source = Input(name="cat.png", sha256=FINGERPRINT)
    inputs = Inputs(content=source, styles=(StyleInput(pictures=(source,), region=source),))
    provenance = [
        Provenance(method=name, recipe=METHODS[name].recipe(), inputs=inputs).model_dump(
            mode="json"
        )
        for name in METHODS
    ]
    presets = {name: {"words": p.words, **p.options} for name, p in PRESETS.items()}
    plan = {
        "method": "style", "contents": ["in/*.png", "photo.jpg"], "styles": ["oil.jpg"],
        "output": "out", "format": ".png",
        "recipe": {"strength": 0.5, "preset": "bold", "size": 64},
    }  # fmt: skip
    return {
        "recipe": tuple(options for _, options in recipes),
        "provenance": tuple(provenance),
        "presets": (presets,),
        "plan": (plan, {"contents": ["in"], "output": "out", "recipe": {"sigma": 0.1}}),
    }


@cache
def manifest_seeds() -> tuple[bytes, ...]:
    """Return SQLite files of batches."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.sqlite"
        manifest = Manifest(path)
        manifest.save((f"out/{n}.png", Row("done", 1, None, 2.5, FINGERPRINT)) for n in range(30))
        manifest.close()
        whole = path.read_bytes()
        database = sqlite3.connect(path)
        database.execute("UPDATE facts SET value = '[1'")
        database.execute("ALTER TABLE pictures DROP COLUMN reason")
        database.commit()
        database.close()
        return whole, path.read_bytes()


@cache
def checkpoint_seeds() -> tuple[bytes, ...]:
    """Return checkpoints of a run."""
    state = {
        "evaluations": 3, "pixels": torch.rand(3, 8, 8), "precision": "float32",
        "curvature_pairs": 4, "tiles": [1, 1], "losses": [1.0, 0.5], "inner": {"step": None},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoints(folder).of(METHODS["style"].recipe(), "weights", [])
        checkpoint.save(state)
        return (checkpoint.path.read_bytes(),)


@cache
def weight_seeds() -> tuple[tuple[str, bytes], ...]:
    """Return weight files with their endings: some layers of VGG-19, under two names."""
    shapes = {"conv1_1": (64, 3), "conv1_2": (64, 64)}
    by_layer, by_index = {}, {}
    for index, (name, shape) in enumerate(shapes.items()):
        kernel, bias = torch.zeros(*shape, 3, 3), torch.zeros(shape[0])
        by_layer |= {f"{name}.weight": kernel, f"{name}.bias": bias}
        by_index |= {f"features.{2 * index}.weight": kernel, f"features.{2 * index}.bias": bias}
    file = io.BytesIO()
    torch.save({"state_dict": by_index}, file)
    return (
        (".safetensors", safetensors.torch.save(by_layer)),
        (".pth", file.getvalue()),
        (".pth", b"\x80\x04K\x01."),
    )


def make_seeds() -> None:
    """Make all seeds now, so that every process that is forked later has them."""
    for make in (image_seeds, tiff_seeds, texts, manifest_seeds, checkpoint_seeds, weight_seeds):
        make()


def _keep_possible(writers: Iterator[Callable[[], bytes]]) -> Iterator[bytes]:
    """Yield what each writer writes; a codec that this machine lacks is left out."""
    for write in writers:
        try:
            yield write()
        except (ValueError, OSError, KeyError, TypeError, ImportError, RuntimeError):
            continue


def _image_writers() -> Iterator[Callable[[], bytes]]:
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010E: "a note", 0x0132: "2024:01:02 03:04:05", 0x0131: "a camera"})
    exif.get_ifd(0x8769).update({0x829A: 0.01, 0x9003: "2024:01:02 03:04:05"})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0)})
    provenance = texts()["provenance"]
    full = {"exif": exif, "icc_profile": srgb_profile(), "dpi": (300, 300)}
    for number, mode in enumerate(("RGB", "L", "RGBA", "LA", "P", "1", "I;16", "CMYK")):
        image = _pillow_image(mode)
        xmp = to_xmp(json.dumps(provenance[number % len(provenance)]))
        for kind in ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "PPM", "TIFF"):
            for options in ({}, full, {"xmp": xmp}):
                yield lambda i=image, k=kind, o=options: _by_pillow(i, k, **o)
    frames = [_pillow_image("RGB"), _pillow_image("RGB").rotate(180)]
    for kind in ("PNG", "WEBP", "AVIF", "GIF", "MPO", "TIFF"):
        yield lambda k=kind: _by_pillow(frames[0], k, save_all=True, append_images=frames[1:])
    for channels in (1, 2, 3, 4):
        deep = np.ascontiguousarray(_samples(channels=channels, bits=16).squeeze())
        yield lambda a=deep: imagecodecs.png_encode(a)
        yield lambda a=deep: imagecodecs.jpegxl_encode(a)
    for bits in (10, 12):
        yield lambda b=bits: imagecodecs.avif_encode(_samples(bits=16) >> (16 - b), bitspersample=b)
    yield lambda: imagecodecs.jpegxl_encode(_samples())
    yield lambda: _by_pillow(_pillow_image("RGB"), "JPEG", progressive=True, subsampling=2)
    yield _interlaced_png


def _pillow_image(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(_samples(channels=1, bits=16)[..., 0])
    image = Image.fromarray(_samples())
    if mode == "P":
        return image.quantize(16)
    return image.convert(mode)


def _by_pillow(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _interlaced_png() -> bytes:
    """Return a PNG that says it is interlaced, with the rows of one that is not."""
    png = bytearray(imagecodecs.png_encode(_samples(bits=16)))
    png[28] = 1
    return bytes(png)


def _tiff_writers() -> Iterator[Callable[[], bytes]]:
    for codec in _TIFF_CODECS:
        for bits in (8, 16):
            for options in (
                {},
                {"tile": (16, 16)},
                {"rowsperstrip": 5},
                {"planarconfig": "separate"},
            ):
                data = _samples(channels=3, bits=bits)
                yield lambda d=data, c=codec, o=options: _tiff(
                    d if "planarconfig" not in o else d.transpose(2, 0, 1),
                    photometric="rgb", compression=None if c == "none" else c, metadata=None, **o,
                )  # fmt: skip
    stack = np.stack([_samples(channels=1, bits=16)[..., 0] + 10 * n for n in range(4)])
    for codec in ("none", "deflate", "lzw", "lerc", "jpegxl", "zstd"):
        compression = None if codec == "none" else codec
        for kind in ({}, {"ome": True}, {"imagej": True}, {"bigtiff": True}, {"byteorder": ">"}):
            yield lambda c=compression, k=kind: _tiff(
                stack, photometric="minisblack", compression=c, metadata={"axes": "ZYX"}, writer=k
            )
        for predictor in (2, 3):
            kind = np.float32 if predictor == 3 else np.uint16
            yield lambda c=compression, p=predictor, k=kind: _tiff(
                stack.astype(k), photometric="minisblack", compression=c, predictor=p
            )
    for dtype in ("f2", "f4", "f8", "i1", "i2", "u4", "i4", "?", "c8"):
        yield lambda t=dtype: _tiff(stack.astype(t), photometric="minisblack", metadata=None)
    for extra in ("unspecified", "assocalpha", "unassalpha"):
        yield lambda e=extra: _tiff(_samples(channels=4), photometric="rgb", extrasamples=[e])
    yield lambda: _tiff(_samples(channels=4), photometric="separated")
    yield lambda: _tiff(_samples(channels=5), photometric="minisblack", planarconfig="contig")
    palette = np.random.default_rng(5).integers(0, 65536, (3, 256), np.uint16)
    yield lambda: _tiff(_samples(channels=1)[..., 0], photometric="palette", colormap=palette)
    yield _tiff_with_preview
    for count in (1, 2):  # a fax, as libtiff writes it
        pages = [_pillow_image("1")] * count
        yield lambda p=pages: _by_pillow(
            p[0], "TIFF", compression="group4", save_all=True, append_images=p[1:]
        )


def _tiff(data: np.ndarray, *, writer: dict[str, Any] | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **(writer or {})) as tiff:
        tiff.write(data, **options)
    return file.getvalue()


def _tiff_with_preview() -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        small = _samples()[::2, ::2]
        tiff.write(small, photometric="rgb", subifds=1, subfiletype=1, metadata=None)
        tiff.write(_samples(), photometric="rgb", subfiletype=0, metadata=None)
    return file.getvalue()


def to_toml(table: Any) -> str:
    """Write a tree of plain values as TOML, inline below the first level."""
    lines = [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in table.items()]
    return "\n".join(line for line in lines if not line.endswith("= null"))


def _toml_key(key: str) -> str:
    return json.dumps(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        items = (f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items() if v is not None)
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value if item is not None) + "]"
    if isinstance(value, float):
        text = repr(value)
        return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(text, text)
    return json.dumps(value)
