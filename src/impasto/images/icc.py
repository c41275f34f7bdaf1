"""Color profiles: any picture to sRGB on the way in, sRGB written on the way out."""

from __future__ import annotations

import functools
import io
import struct

import imagecodecs
import numpy as np
from PIL import ImageCms

# Profile's color space -> name lcms knows, channels.
_SPACES = {b"GRAY": ("gray", 1), b"RGB ": ("rgb", 3), b"CMYK": ("cmyk", 4)}
_FULL = {"cmyk": np.float32(100)}  # lcms counts floating point ink in percent
_RELATIVE = 1  # relative colorimetric: colors inside sRGB stay exactly themselves
_BLACK_POINT = 0x2000  # black point compensation, so that ink black becomes black
# A profile that moves no color by half an 8-bit level says sRGB in other words: the one in most
# cameras' files differs by 0.45 in pure green and by 0.02 on average.
_SAME = 0.5 / 255


def to_srgb(colors: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Colors as sRGB.

    Args:
        colors: (H, W, C) float32 in [0, 1]; C is 1 for grey, 3 for RGB, 4 for CMYK (1 is full ink).
        profile: the ICC profile they are meant in; None, unreadable, or made for another kind of
            picture means sRGB (CMYK: plain complements of the inks).

    Returns:
        (H, W, 1) or (H, W, 3) float32 in [0, 1]; grey stays grey.
    """
    channels = colors.shape[-1]
    space, wanted = _SPACES.get((profile or b"")[16:20], ("", 0))
    # A grey picture may carry an RGB profile: its greys are that profile's greys.
    if profile and (wanted == channels or (channels == 1 and wanted == 3)):
        converted = _converted(np.repeat(colors, wanted // channels, axis=-1), profile, space)
        if converted is not None:
            return converted.mean(axis=-1, keepdims=True) if channels == 1 else converted
    if channels == 4:
        return (1 - colors[..., :3]) * (1 - colors[..., 3:])
    return colors


def _converted(colors: np.ndarray, profile: bytes, space: str) -> np.ndarray | None:
    """Colors through a profile to sRGB, (H, W, 3); None where the profile is sRGB or unreadable."""
    try:
        if space != "cmyk" and _is_srgb(profile, space):
            return None
        return _transformed(colors, profile, space)
    except (imagecodecs.CmsError, ValueError, RuntimeError):
        return None


@functools.lru_cache(maxsize=16)
def _is_srgb(profile: bytes, space: str) -> bool:
    """Whether a profile moves no color of a lattice noticeably."""
    if profile in (srgb_profile(), gray_profile()):
        return True
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    channels = 3 if space == "rgb" else 1
    lattice = np.stack(np.meshgrid(*[steps] * channels), axis=-1).reshape(1, -1, channels)
    return bool(np.abs(_transformed(lattice, profile, space) - lattice).max() < _SAME)


def _transformed(colors: np.ndarray, profile: bytes, space: str) -> np.ndarray:
    """Colors through lcms, (H, W, C) -> (H, W, 3) float32 in [0, 1]."""
    # In floating point: lcms's integer paths resample matrix profiles into a coarse table, which
    # is off by up to 15 of 255 levels near the edge of the gamut.
    result = imagecodecs.cms_transform(
        np.ascontiguousarray(colors[..., 0] if space == "gray" else colors * _FULL.get(space, 1)),
        profile,
        srgb_profile(),
        colorspace=space,
        outcolorspace="rgb",
        outdtype="float32",
        intent=_RELATIVE,
        flags=_BLACK_POINT,
    )
    return np.clip(result.reshape(*colors.shape[:-1], 3), 0, 1)


@functools.cache
def srgb_profile() -> bytes:
    """The sRGB profile written into color pictures, the same bytes each time."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the date it was made
    made[84:100] = bytes(16)  # its checksum, which would cover the date
    return bytes(made)


@functools.cache
def gray_profile() -> bytes:
    """The profile written into grey pictures: sRGB's white and tone curve, without its colors."""
    srgb = srgb_profile()
    tags = {}
    for index in range(struct.unpack(">I", srgb[128:132])[0]):
        name, start, length = struct.unpack(">4sII", srgb[132 + 12 * index : 144 + 12 * index])
        tags[name] = srgb[start : start + length]
    kept = {b"desc": b"desc", b"cprt": b"cprt", b"wtpt": b"wtpt", b"rTRC": b"kTRC"}
    table, body = b"", b""
    start = 132 + 12 * len(kept)
    for name, new in kept.items():
        data = tags[name] + bytes(-len(tags[name]) % 4)
        table += struct.pack(">4sII", new, start + len(body), len(tags[name]))
        body += data
    head = bytearray(srgb[:128])
    head[:4] = struct.pack(">I", start + len(body))
    head[16:20] = b"GRAY"
    return bytes(head) + struct.pack(">I", len(kept)) + table + body


def profile_name(profile: bytes | None) -> str | None:
    """What a profile calls itself; None without one, `unreadable` where nothing can be read."""
    if not profile:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.getProfileDescription(opened).strip() or "unnamed"
    except (OSError, ImageCms.PyCMSError):
        return "unreadable"
