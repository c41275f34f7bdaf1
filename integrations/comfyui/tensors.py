"""ComfyUI's tensors and impasto's images: IMAGE (B, H, W, C) and MASK (B, H, W), in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from impasto import Image, open_image, save

from . import host

_NO_MASK = (64, 64)  # size of the black mask that ComfyUI gives where a picture has none


def open_batch(batch: Tensor, name: str) -> list[Image]:
    """Return the pictures of an IMAGE as impasto takes them; four channels end in opacity.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    if not isinstance(batch, Tensor) or batch.ndim != 4 or not len(batch):
        shape = tuple(batch.shape) if isinstance(batch, Tensor) else type(batch).__name__
        raise ValueError(f"`{name}` must be an IMAGE (B, H, W, C), got {shape}; connect one")
    # A clone, since tensors of inference mode cannot be trained on.
    batch = batch.detach().cpu().float().clone().clamp(0, 1)
    return [open_image(picture.movedim(-1, 0), name=name) for picture in batch]


def to_batch(images: Sequence[Image], like: Tensor) -> Tensor:
    """Return images of one size as an IMAGE, on the device of another; alpha is a fourth channel.

    Args:
        images: the images.
        like: the IMAGE they came from.
    """
    opaque = all(image.metadata.alpha is None for image in images)
    pictures = []
    for image in images:
        pixels, alpha = image.pixels.expand(3, -1, -1), image.metadata.alpha
        if not opaque:
            whole = torch.ones_like(pixels[0]) if alpha is None else alpha
            pixels = torch.cat([pixels, whole[None]])
        pictures.append(pixels.clamp(0, 1).movedim(0, -1))  # (C, H, W) -> (H, W, C)
    return torch.stack(pictures).contiguous().to(like.device)


def open_masks(mask: Tensor | None, name: str, count: int) -> list[Tensor | None]:
    """Return a mask for each of some pictures; None where there is none.

    Args:
        mask: MASK (B, H, W) or (H, W): one for all of them, or one for each.
        name: the input's name in errors.
        count: how many pictures there are.

    Raises:
        ValueError: another number of masks, or another shape.
    """
    if mask is None:
        return [None] * count
    mask = mask.detach().cpu().float().clone().clamp(0, 1)
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or len(mask) not in (1, count):
        raise ValueError(
            f"`{name}` must be one MASK, or one for each of {count} pictures, got shape "
            f"{tuple(mask.shape)}; pick one of them"
        )
    if tuple(mask.shape[1:]) == _NO_MASK and not mask.any():
        return [None] * count
    return list(mask.expand(count, -1, -1).contiguous())


def only_mask(mask: Tensor | None, name: str) -> Tensor | None:
    """Return a mask that is one for all pictures; None where there is none."""
    return open_masks(mask, name, 1)[0]


class FrameFolder:
    """Frames as numbered files, which impasto's film methods read and write.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.output = path / "made" / "%06d.png"

    def write(self, images: Sequence[Image], name: str) -> Path:
        """Write frames with 16 bits a channel, and return the folder that they are in."""
        folder = self.path / name
        folder.mkdir()
        for number, image in enumerate(images):
            path = folder / f"{number:06}.png"
            save(image.pixels, path, metadata=image.metadata, bits=16)
        return folder

    def read(self) -> list[Image]:
        """Read the frames that were made."""
        return [open_image(path) for path in sorted(self.output.parent.glob("*.png"))]

    def write_masks(self, masks: Sequence[Tensor | None], name: str) -> Path | Tensor | None:
        """Return masks as films take them: None, one for all, or the folder of one for each."""
        if masks[0] is None:
            return None
        if all(torch.equal(mask, masks[0]) for mask in masks[1:]):
            return masks[0]
        return self.write([Image(mask[None]) for mask in masks], name)


@contextmanager
def frame_folder():
    """Give a `FrameFolder` among ComfyUI's temporary files, and remove it at the end."""
    [temp] = host.folders("temp")
    temp.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="impasto-", dir=temp) as folder:
        yield FrameFolder(Path(folder))
