"""Find, verify and load the weights of VGG-19's convolutions.

There are three sources and one result: the original Oxford weights, as 8-bit codes (`oxford`);
torchvision's, downloaded once; or a file.

References:
    Simonyan, Zisserman 2014, arXiv:1409.1556; the Oxford weights are by the Visual Geometry Group,
    University of Oxford (CC BY 4.0).
"""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from impasto.errors import WeightsError, quote
from impasto.files import check_pickles, file_sha256
from impasto.recipes import BLOCKS, parse_layer
from impasto.vgg.oxford import (
    CONVS,
    SHA256,
    decode,
    is_caffe_convention,
    is_own_form,
    load_oxford,
    verify_codes,
)

TORCHVISION_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
TORCHVISION_SHA256 = "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"

_OXFORD_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
_OXFORD_STD = (1 / 255,) * 3
_TORCHVISION_MEAN = (0.485, 0.456, 0.406)
_TORCHVISION_STD = (0.229, 0.224, 0.225)

# How files begin: what `torch.save` writes now, and what it wrote before version 1.6.
_ZIP, _OLD_TORCH = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HEAD_BYTES = 1024


@dataclass(frozen=True, eq=False)
class VGGWeights:
    """VGG-19's convolutions for images in RGB and [0, 1].

    Attributes:
        mean: (3,) float32, subtracted from an image before conv1_1.
        convs: layer name to (kernel (C_out, C_in, 3, 3), bias (C_out,)), float32. Channel order
            and scale of the training data are folded into conv1_1's kernel.
        sha256: hash of the file they came from.
    """

    mean: Tensor
    convs: dict[str, tuple[Tensor, Tensor]]
    sha256: str


def load_weights(weights: str = "oxford") -> VGGWeights:
    """Load VGG-19's convolutions by a source's name; they stay in memory for the next call.

    Args:
        weights: `oxford` (offline, the original network), `torchvision` (downloaded once into
            `IMPASTO_HOME` or the user's cache folder), or a path to a .safetensors or .pth file
            whose tensors are named as torchvision's (`features.0.weight`) or by layer
            (`conv1_1.weight`), or that docs/make_weights.py made. A file in the Caffe convention
            (BGR, 0–255) is recognized by its first kernel.

    Returns:
        The weights, on the CPU.

    Raises:
        WeightsError: the weights are missing, altered, of another network or cannot be fetched.

    Example:
        >>> load_weights("oxford").convs["conv1_1"][0].shape
        torch.Size([64, 3, 3, 3])
    """
    if weights in ("oxford", "torchvision"):
        return _load_known(weights)
    path = Path(weights).expanduser()
    try:
        modified = path.stat().st_mtime_ns
    except (OSError, ValueError):  # ValueError: a name with a NUL
        raise WeightsError(
            "`weights` must be oxford, torchvision or an existing .safetensors or .pth file, "
            f"got {quote(weights)}; oxford needs no download"
        ) from None
    return _load_file(path, modified)


def cache_directory() -> Path:
    """Return the folder for downloads: `IMPASTO_HOME`, or the user's cache folder."""
    if home := os.environ.get("IMPASTO_HOME"):
        return Path(home)
    import platformdirs

    return Path(platformdirs.user_cache_dir("impasto"))


@lru_cache(maxsize=2)
def _load_known(weights: str) -> VGGWeights:
    if weights == "oxford":
        return _fold_oxford(load_oxford(cache_directory()))
    return _load_torchvision()


@lru_cache(maxsize=1)
def _load_file(path: Path, modified: int) -> VGGWeights:
    """Load a user's own file; a new modification time makes a changed file be read again."""
    tensors = _read_tensors(path)
    if is_own_form(tensors):
        return _fold_oxford(decode(verify_codes(tensors, quote(path.name))))
    convs = _convolutions_by_layer(tensors, path)
    sha256 = file_sha256(path)
    if is_caffe_convention(convs["conv1_1"][0]):
        return _fold_normalization(convs, _OXFORD_MEAN, _OXFORD_STD, bgr=True, sha256=sha256)
    return _fold_normalization(convs, _TORCHVISION_MEAN, _TORCHVISION_STD, sha256=sha256)


def _fold_oxford(convs: dict[str, tuple[Tensor, Tensor]]) -> VGGWeights:
    """Fold the Oxford weights, which have one hash whichever file they came from."""
    return _fold_normalization(convs, _OXFORD_MEAN, _OXFORD_STD, bgr=True, sha256=SHA256)


def _load_torchvision() -> VGGWeights:
    """Load torchvision's weights from the cache; the first time, download and verify them."""
    cached = cache_directory() / "vgg19-torchvision.safetensors"
    checksum_file = cached.with_suffix(".sha256")
    try:
        cache_directory().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"the cache folder must be writable, got {cache_directory()}: {error.strerror}; "
            "set IMPASTO_HOME to a folder that is"
        ) from None
    from filelock import FileLock

    with FileLock(cached.with_suffix(".lock")):
        is_valid = (
            cached.is_file()
            and checksum_file.is_file()
            and checksum_file.read_bytes() == file_sha256(cached).encode()
        )
        if not is_valid:
            _download_torchvision(cached)
            _replace_file(checksum_file, file_sha256(cached).encode())
    convs = _convolutions_by_layer(_read_tensors(cached), cached)
    return _fold_normalization(
        convs, _TORCHVISION_MEAN, _TORCHVISION_STD, sha256=TORCHVISION_SHA256
    )


def _download_torchvision(path: Path) -> None:
    """Download torchvision's file, verify its hash, and write only the convolutions to `path`."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        download = Path(folder) / "vgg19.pth"
        digest = hashlib.sha256()
        try:
            with (
                urllib.request.urlopen(TORCHVISION_URL, timeout=60) as reply,
                download.open("wb") as f,
            ):
                while block := reply.read(1 << 20):
                    digest.update(block)
                    f.write(block)
        except OSError as error:  # URLError and a dropped connection are both of this kind
            raise WeightsError(
                f"torchvision's weights could not be fetched from {TORCHVISION_URL} "
                f"({getattr(error, 'reason', error)}); connect once, give weights=FILE, "
                "or use weights=oxford, which needs no network"
            ) from None
        if digest.hexdigest() != TORCHVISION_SHA256:
            raise WeightsError(
                f"the download of torchvision's weights must have SHA-256 "
                f"{TORCHVISION_SHA256[:12]}…, got {digest.hexdigest()[:12]}…; try again, "
                "or use weights=oxford"
            )
        convs = _convolutions_by_layer(_read_tensors(download), download)
        tensors = {
            f"{name}.{part}": tensor.contiguous()
            for name, pair in convs.items()
            for part, tensor in zip(("weight", "bias"), pair, strict=True)
        }
        _replace_file(path, safetensors.torch.save(tensors))


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors or .pth file; nothing in either can execute."""
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
            if _is_safetensors(head):
                if int.from_bytes(head[:8], "little") > path.stat().st_size - 8:
                    raise ValueError("it is cut short, as by a download that broke off")
                return safetensors.torch.load_file(path)
            if problem := _not_of_torch(head):
                raise ValueError(problem)
            if head.startswith(_ZIP) and not zipfile.is_zipfile(file):
                raise ValueError("it is cut short, as by a download that broke off")
            check_pickles(path)
            file.seek(0)
            # Not by its path, whose ending torch would go by.
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # each library raises errors of its own kinds
        raise WeightsError(
            "`weights` must be a readable .safetensors or .pth file of tensors, got "
            f"{quote(str(path))}: {_reason(error)}; use weights=oxford, which needs no file"
        ) from None
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    return state if isinstance(state, dict) else {}


def _is_safetensors(head: bytes) -> bool:
    """Return True if a file begins as .safetensors does: a length, then a JSON object."""
    return head[8:9] == b"{"


def _not_of_torch(head: bytes) -> str:
    """Say what a file is that torch did not write; empty if it did."""
    if head.startswith((_ZIP, _OLD_TORCH)):
        return ""
    if not head:
        return "it is empty"
    if head.lstrip()[:1] == b"<":
        return "it is a web page, not the file that the page is about"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file that it stands for"
    if head[:1] == b"\x80":
        return "it is a pickle that torch did not write, which is never opened"
    return "it is no file of tensors"


def _reason(error: Exception) -> str:
    """Say in whole words why a file of weights cannot be read."""
    if isinstance(error, OSError) and error.strerror and error.errno != errno.EINVAL:
        return error.strerror.lower()
    if isinstance(error, pickle.UnpicklingError):
        return "it holds more than tensors, which is never opened"
    if type(error) is ValueError:
        return str(error)
    return "it is damaged or cut short"


def _convolutions_by_layer(
    state: dict[str, Tensor], path: Path
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return a file's convolutions by layer name, whichever naming scheme the file uses."""
    modules = [kind for count in BLOCKS for kind in ["conv", "relu"] * count + ["pool"]]
    indices = [index for index, kind in enumerate(modules) if kind == "conv"]
    convs = {}
    in_channels = 3
    for name, index in zip(CONVS, indices, strict=True):
        out_channels = parse_layer(name).channels
        stems = (name, f"features.{index}", str(index))
        stem = next((s for s in stems if f"{s}.weight" in state and f"{s}.bias" in state), None)
        shapes = {"weight": (out_channels, in_channels, 3, 3), "bias": (out_channels,)}
        for part, shape in shapes.items():
            tensor = _describe_tensor(state[f"{stem}.{part}"]) if stem else "no such tensor"
            expected = " × ".join(map(str, shape))
            if tensor != expected:
                raise WeightsError(
                    f"`weights` must hold VGG-19's {name}.{part} as {expected}, got "
                    f"{quote(path.name)} with {tensor}; use weights=oxford"
                )
        kernel, bias = state[f"{stem}.weight"].float(), state[f"{stem}.bias"].float()
        if not (torch.isfinite(kernel).all() and torch.isfinite(bias).all()):
            raise WeightsError(
                f"`weights` must be finite numbers, got NaN or infinity in {name} of {path.name}; "
                "use weights=oxford"
            )
        convs[name] = (kernel, bias)
        in_channels = out_channels
    return convs


def _describe_tensor(value: object) -> str:
    """Return a tensor's shape in words; of anything else than plain real numbers, what it is."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    if not value.is_floating_point():
        return f"numbers of type {str(value.dtype).removeprefix('torch.')}"
    if value.layout is not torch.strided or value.device.type != "cpu":
        return "a tensor without all of its values"
    return " × ".join(map(str, value.shape)) or "a single number"


def _fold_normalization(
    convs: dict[str, tuple[Tensor, Tensor]],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    *,
    bgr: bool = False,
    sha256: str,
) -> VGGWeights:
    """Fold the training data's scale, and its channel order if `bgr`, into conv1_1's kernel.

    The mean stays outside: folded into the bias it would change what zero padding means.
    """
    kernel, bias = convs["conv1_1"]
    kernel = kernel.flip(1) if bgr else kernel
    kernel = kernel / torch.tensor(std).view(1, 3, 1, 1)
    return VGGWeights(torch.tensor(mean), {**convs, "conv1_1": (kernel, bias)}, sha256)


def _replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())
    os.replace(f.name, path)
