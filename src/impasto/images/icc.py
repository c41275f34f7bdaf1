"""ICC color profiles: convert images to sRGB, and provide the profiles written into files."""

from __future__ import annotations

import functools
import io
import struct

import imagecodecs
import numpy as np
from PIL import ImageCms

from impasto.images.color_space import ColorSpace, convert_to_srgb

# Profile's color space -> its name in lcms, channels.
_SPACES = {b"GRAY": ("gray", 1), b"RGB ": ("rgb", 3), b"CMYK": ("cmyk", 4)}
_FULL = {"cmyk": np.float32(100)}  # lcms counts floating point ink in percent
_RELATIVE = 1  # relative colorimetric: colors inside sRGB stay exactly themselves
_BLACK_POINT = 0x2000  # black point compensation, so that ink black becomes black
# A profile that moves no color by half an 8-bit level counts as sRGB: the one in most cameras'
# files differs by 0.45 levels in pure green and by 0.02 on average.
_MAX_SRGB_ERROR = 0.5 / 255


def to_srgb(
    colors: np.ndarray,
    profile: bytes | None,
    stated: ColorSpace | None = None,
    bits: int = 8,
) -> np.ndarray:
    """Convert colors to sRGB, by their profile or by what their file states otherwise.

    Args:
        colors: (H, W, C) float32 in [0, 1]; C is 1 for gray, 3 for RGB, 4 for CMYK (1 is full ink).
        profile: their ICC profile; None, an unreadable one, or one for other channels means what
            is stated otherwise.
        stated: their color space where there is no profile; that of cICP outranks a profile. None
            means sRGB (for CMYK: plain complements of the inks).
        bits: per channel, as stored.

    Returns:
        (H, W, 1) or (H, W, 3) float32 in [0, 1]; gray stays gray.
    """
    channels = colors.shape[-1]
    try:
        if space := _converting_space(profile, stated, channels):
            repeated = np.repeat(colors, _SPACES[profile[16:20]][1] // channels, axis=-1)
            converted = _transform(repeated, profile, space)
            return converted.mean(axis=-1, keepdims=True) if channels == 1 else converted
    except (imagecodecs.CmsError, ValueError, RuntimeError):
        pass  # unreadable
    if channels == 4:
        return (1 - colors[..., :3]) * (1 - colors[..., 3:])
    return colors if stated is None else convert_to_srgb(colors, stated, bits)


def _converting_space(profile: bytes | None, stated: ColorSpace | None, channels: int) -> str:
    """Return the space of a profile that `to_srgb` converts by; empty where it does not.

    Raises:
        imagecodecs.CmsError, ValueError, RuntimeError: the profile cannot be read.
    """
    if not profile or (stated is not None and stated.stated_by == "cICP"):
        return ""
    space, profile_channels = _SPACES.get(profile[16:20], ("", 0))
    # A gray image may carry an RGB profile: its grays are that profile's grays.
    if profile_channels != channels and (channels, profile_channels) != (1, 3):
        return ""
    return space if space == "cmyk" or not _is_srgb(profile, space) else ""


@functools.lru_cache(maxsize=16)
def _is_srgb(profile: bytes, space: str) -> bool:
    """Return True if a profile moves no color of a lattice noticeably."""
    if profile in (srgb_profile(), gray_profile()):
        return True
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    channels = 3 if space == "rgb" else 1
    lattice = np.stack(np.meshgrid(*[steps] * channels), axis=-1).reshape(1, -1, channels)
    return bool(np.abs(_transform(lattice, profile, space) - lattice).max() < _MAX_SRGB_ERROR)


def _transform(colors: np.ndarray, profile: bytes, space: str) -> np.ndarray:
    """Transform colors with lcms, (H, W, C) -> (H, W, 3) float32 in [0, 1]."""
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
    """Return the sRGB profile written into color images, the same bytes each time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the date it was made
    profile[84:100] = bytes(16)  # its checksum, which would cover the date
    return bytes(profile)


@functools.cache
def gray_profile() -> bytes:
    """Return the profile written into gray images: sRGB's white and tone curve, not its colors."""
    # Built from the bytes of the sRGB profile, not by `imagecodecs.cms_profile`: that one states
    # other text and stores the curve in another form, so files would change.
    srgb = srgb_profile()
    tags = {}
    for index in range(struct.unpack(">I", srgb[128:132])[0]):
        name, start, length = struct.unpack(">4sII", srgb[132 + 12 * index : 144 + 12 * index])
        tags[name] = srgb[start : start + length]
    copied = {b"desc": b"desc", b"cprt": b"cprt", b"wtpt": b"wtpt", b"rTRC": b"kTRC"}
    table, body = b"", b""
    start = 132 + 12 * len(copied)
    for name, new in copied.items():
        data = tags[name] + bytes(-len(tags[name]) % 4)
        table += struct.pack(">4sII", new, start + len(body), len(tags[name]))
        body += data
    head = bytearray(srgb[:128])
    head[:4] = struct.pack(">I", start + len(body))
    head[16:20] = b"GRAY"
    return bytes(head) + struct.pack(">I", len(copied)) + table + body


def converted_space(profile: bytes | None, stated: ColorSpace | None, channels: int) -> str | None:
    """Return the name of the color space that `to_srgb` converts; None if it converts nothing.

    Args:
        profile: as for `to_srgb`.
        stated: as for `to_srgb`.
        channels: number of the colors' channels.
    """
    try:
        if _converting_space(profile, stated, channels):
            return profile_name(profile)
    except (imagecodecs.CmsError, ValueError, RuntimeError):
        pass  # unreadable
    converts = channels != 4 and stated is not None and not (stated.is_srgb and stated.full_range)
    return str(stated) if converts else None


def profile_name(profile: bytes | None) -> str | None:
    """Return a profile's description; None without a profile, `unreadable` if it is broken."""
    if not profile:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.getProfileDescription(opened).strip() or "unnamed"
    except (OSError, ImageCms.PyCMSError):
        return "unreadable"
