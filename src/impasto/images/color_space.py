"""Color spaces that files state without a profile, by numbers or by name, converted to sRGB."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from impasto.images.formats import png_chunks

Curve = Callable[[np.ndarray], np.ndarray]
Chromaticities = tuple[float, ...]  # x and y of white, red, green and blue

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
_REC709 = (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_SMPTE170M = (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
_ADOBE_RGB = (*_D65, 0.640, 0.330, 0.210, 0.710, 0.150, 0.060)
_ADOBE_GAMMA = 563 / 256
# ITU-T H.273, ColourPrimaries.
_PRIMARIES = {
    1: ("BT.709", _REC709),
    4: ("BT.470 M", (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    5: ("BT.470 BG", (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06)),
    6: ("SMPTE 170M", _SMPTE170M),
    7: ("SMPTE 240M", _SMPTE170M),
    8: ("film", (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049)),
    9: ("BT.2020", (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    10: ("SMPTE 428", (1 / 3, 1 / 3, 1, 0, 0, 1, 0, 0)),
    11: ("DCI-P3", (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: ("Display P3", (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    22: ("EBU 3213", (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077)),
}
# Bradford's cone response, by which one white becomes another.
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_CHUNK_VALUES = 1 << 20  # converted at a time, so that float64 takes little memory
# A PNG that states sRGB may state these two besides, for programs that do not know its own chunk.
_SRGB_GAMMA, _SRGB_CHROMATICITIES = 0.45455, _REC709
_GAMMAS = (0.1, 10.0)  # exponents that a picture can have been stored with
_TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARY_CHROMATICITIES = 301, 318, 319


@dataclass(frozen=True, eq=False)
class ColorSpace:
    """What a file states of its colors other than by an ICC profile.

    Attributes:
        name: in words, such as `Display P3`.
        stated_by: the chunk, box or tag that states it; `cICP` outranks a profile.
        chromaticities: x and y of white, red, green and blue; None for those of sRGB.
        curve: from stored values to light, both in [0, 1], (H, W, C) -> (H, W, C); None for
            sRGB's.
        hdr: the name of a transfer function for brightness above white; None for others.
        full_range: False where black is stored at 16 and white at 235 of 255.
    """

    name: str
    stated_by: str
    chromaticities: Chromaticities | None = None
    curve: Curve | None = None
    hdr: str | None = None
    full_range: bool = True

    def __str__(self) -> str:
        return f"{self.name} ({self.stated_by})"

    @property
    def is_srgb(self) -> bool:
        """Return whether its full range, if it has that, is sRGB's."""
        return self.chromaticities is None and self.curve is None


def convert_to_srgb(colors: np.ndarray, space: ColorSpace, bits: int) -> np.ndarray:
    """Convert colors of a stated space to sRGB; those that sRGB cannot show are clipped.

    Args:
        colors: (H, W, 1) gray or (H, W, 3) RGB, float32 in [0, 1].
        space: their color space, not HDR.
        bits: per channel, as stored; matters for other than full range.

    Returns:
        An array like `colors`; gray stays gray.

    Example:
        >>> linear = color_space_of_codes(1, 8, "cICP")
        >>> round(convert_to_srgb(np.full((1, 1, 1), 0.5, np.float32), linear, 8).item(), 4)
        0.7354
    """
    if space.is_srgb and space.full_range:
        return colors
    result = np.empty_like(colors)
    rows = max(1, _CHUNK_VALUES // max(1, colors[:1].size))
    for top in range(0, len(colors), rows):
        values = colors[top : top + rows].astype(np.float64)
        if not space.full_range:
            depth = max(bits, 8)
            step = 2 ** (depth - 8) / (2**depth - 1)  # between two of the 8-bit codes
            values = np.clip((values - 16 * step) / (219 * step), 0, 1)
        if not space.is_srgb:
            values = (space.curve or _srgb_curve)(values)
            if space.chromaticities and values.shape[-1] == 3:
                values = values @ _matrix_to_srgb(space.chromaticities).T
            values = _encode_srgb(np.clip(values, 0, 1))
        result[top : top + rows] = values
    return result


def color_space_of_codes(
    primaries: int, transfer: int, stated_by: str, *, full_range: bool = True
) -> ColorSpace | None:
    """Return the color space of two codes of ITU-T H.273; None if they state nothing.

    Example:
        >>> str(color_space_of_codes(9, 16, "cICP"))
        'BT.2020, PQ (cICP)'
    """
    primaries_name, chromaticities = _PRIMARIES.get(primaries, ("BT.709", None))
    curve_name, curve = _CURVES.get(transfer, ("sRGB", None))
    if primaries not in _PRIMARIES and transfer not in _CURVES:
        return None
    name = primaries_name if curve_name == "sRGB" else f"{primaries_name}, {curve_name}"
    return ColorSpace(
        "sRGB" if name == "BT.709" else name,
        stated_by,
        None if primaries == 1 else chromaticities,
        curve,
        curve_name if curve_name in ("PQ", "HLG") else None,
        full_range,
    )


def color_space_of_png(png: bytes) -> ColorSpace | None:
    """Return the color space that a PNG's chunks state: cICP, sRGB, or gAMA and cHRM."""
    chunks: dict[bytes, bytes] = {}
    for kind, start, end in png_chunks(png):
        if kind == b"IDAT":
            break
        chunks.setdefault(kind, png[start + 8 : end - 4])
    codes = chunks.get(b"cICP", b"")
    # The third code is the matrix of YCbCr, which a PNG never has.
    if len(codes) == 4 and not codes[2]:
        space = color_space_of_codes(codes[0], codes[1], "cICP", full_range=codes[3] != 0)
        if space is not None:
            return space
    if b"sRGB" in chunks:
        return ColorSpace("sRGB", "sRGB chunk")
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")[:4], "big")
    return _color_space_of_gamma(
        gamma / 100_000 if gamma else None, _fractions(chunks.get(b"cHRM", b""))
    )


def color_space_of_info(info: Mapping[str, Any]) -> ColorSpace | None:
    """Return the color space in what Pillow says of a PNG that the caller opened with it."""
    if "srgb" in info:
        return ColorSpace("sRGB", "sRGB chunk")
    gamma, chromaticities = info.get("gamma"), info.get("chromaticity")
    if not isinstance(gamma, float | int) or not gamma > 0:
        gamma = None
    if not isinstance(chromaticities, tuple) or len(chromaticities) != 8:
        chromaticities = None
    return _color_space_of_gamma(gamma, chromaticities)


def color_space_of_avif(codes: bytes) -> ColorSpace | None:
    """Return the color space that the content of an AVIF's box `colr` states by codes."""
    if codes[:4] != b"nclx" or len(codes) < 8:
        return None
    return color_space_of_codes(*struct.unpack(">HH", codes[4:8]), "nclx")


def color_space_of_jxl(primaries: int, transfer: int | None, gamma: float) -> ColorSpace | None:
    """Return the color space that a JPEG XL states by codes, or by primaries and a gamma.

    Args:
        primaries: code of ITU-T H.273.
        transfer: code of ITU-T H.273; None for a gamma.
        gamma: exponent from light to stored values.
    """
    if transfer is not None:
        return color_space_of_codes(primaries, transfer, "JPEG XL")
    chromaticities = _PRIMARIES[primaries][1]
    return color_space_of_numbers(1 / gamma if gamma else None, chromaticities, *2 * ["JPEG XL"])


def color_space_of_bmp(numbers: bytes) -> ColorSpace | None:
    """Return the color space in a BMP's header: XYZ of red, green and blue, and three gammas.

    Args:
        numbers: the 48 bytes that hold them.
    """
    if len(numbers) < 48:
        return None
    *ends, gamma, _, _ = struct.unpack("<12I", numbers)
    xyz = np.reshape(ends, (3, 3)) / 2**30
    sums = np.vstack([xyz.sum(0), xyz])  # white is all three together
    if not (sums.sum(1) > 0).all():
        return None
    chromaticities = tuple((sums[:, :2] / sums.sum(1)[:, None]).ravel().tolist())
    return color_space_of_numbers(gamma / 65536, chromaticities, "BMP gamma", "BMP primaries")


def color_space_of_numbers(
    exponent: float | None, chromaticities: Chromaticities | None, *stated_by: str
) -> ColorSpace | None:
    """Return the color space of a gamma, of chromaticities, or of both; None without either.

    Args:
        exponent: of the curve from stored values to light, such as 2.2.
        chromaticities: x and y of white, red, green and blue.
        stated_by: what states the first and the second.
    """
    words, sources = [], []
    curve = None
    if exponent is not None and _GAMMAS[0] <= exponent <= _GAMMAS[1]:
        curve = partial(_power, exponent)
        words.append(f"gamma {exponent:.3g}")
        sources.append(stated_by[0])
    if chromaticities is not None and _is_usable(chromaticities):
        words.append("stated primaries")
        sources.append(stated_by[1])
    else:
        chromaticities = None
    if not words:
        return None
    return ColorSpace(", ".join(words), ", ".join(sources), chromaticities, curve)


def color_space_of_tiff(tags: Mapping[int, Any], bits: int, inverted: bool) -> ColorSpace | None:
    """Return the color space that a TIFF's own tags state.

    Args:
        tags: by number: 301 TransferFunction, 318 WhitePoint, 319 PrimaryChromaticities.
        bits: per sample.
        inverted: True where 0 is stored for white.
    """
    chromaticities = joined_chromaticities(
        _ratios(tags.get(_WHITE_POINT)), _ratios(tags.get(_PRIMARY_CHROMATICITIES))
    )
    space = color_space_of_numbers(None, chromaticities, "", "TIFF primaries")
    table = np.asarray(tags.get(_TRANSFER_FUNCTION, ()))
    if bits > 16 or table.dtype.kind not in "iu" or table.size not in (1 << bits, 3 << bits):
        return space
    table = table.reshape(-1, 1 << bits) / 65535
    if inverted:
        table = table[:, ::-1]
    sources = "TransferFunction" + (", TIFF primaries" if space else "")
    return ColorSpace(
        "stated curve" + (", stated primaries" if space else ""),
        sources,
        chromaticities if space else None,
        partial(_lookup, table),
    )


def adobe_rgb(stated_by: str) -> ColorSpace:
    """Return Adobe RGB (1998)."""
    return ColorSpace("Adobe RGB", stated_by, _ADOBE_RGB, partial(_power, _ADOBE_GAMMA))


def _ratios(value: Any) -> tuple[float, ...] | None:
    """Divide a TIFF's pairs of numerator and denominator; None if they are no such."""
    if not isinstance(value, tuple) or len(value) % 2 or 0 in value[1::2]:
        return None
    return tuple(top / bottom for top, bottom in zip(value[::2], value[1::2], strict=True))


def _color_space_of_gamma(
    gamma: float | None, chromaticities: Chromaticities | None
) -> ColorSpace | None:
    """Return the color space of a PNG's gAMA, the inverse of its exponent, and cHRM."""
    if gamma == _SRGB_GAMMA and chromaticities == _SRGB_CHROMATICITIES:
        return ColorSpace("sRGB", "gAMA, cHRM")
    return color_space_of_numbers(1 / gamma if gamma else None, chromaticities, "gAMA", "cHRM")


def joined_chromaticities(white: Any, primaries: Any) -> Chromaticities | None:
    """Join x and y of white and of the primaries; white is D65 where it is not stated."""
    if not isinstance(primaries, tuple) or len(primaries) != 6:
        return None
    white = white if isinstance(white, tuple) and len(white) == 2 else _D65
    return tuple(float(value) for value in (*white, *primaries))


def _fractions(chunk: bytes) -> Chromaticities | None:
    """Return the chromaticities in the eight integers of a PNG's cHRM; None if it is broken."""
    if len(chunk) != 32:
        return None
    return tuple(value / 100_000 for value in struct.unpack(">8I", chunk))


def _is_usable(chromaticities: Chromaticities) -> bool:
    """Return True if colors mix from these primaries, and none is far outside what eyes see."""
    if not all(-1 <= value <= 2 for value in chromaticities) or chromaticities[1] < 0.01:
        return False
    _, (rx, ry), (gx, gy), (bx, by) = _pairs(chromaticities)
    area = abs((gx - rx) * (by - ry) - (bx - rx) * (gy - ry)) / 2
    if area < 1e-3:
        return False
    return bool((np.linalg.solve(_columns(chromaticities), _white(chromaticities)) > 0).all())


def _pairs(chromaticities: Chromaticities) -> list[tuple[float, float]]:
    return list(zip(chromaticities[::2], chromaticities[1::2], strict=True))


def _columns(chromaticities: Chromaticities) -> np.ndarray:
    """Return the primaries' x, y, z as columns, (3, 3)."""
    return np.array([(x, y, 1 - x - y) for x, y in _pairs(chromaticities)[1:]]).T


def _white(chromaticities: Chromaticities) -> np.ndarray:
    """Return XYZ of white, (3,), with Y = 1."""
    x, y = chromaticities[:2]
    return np.array([x / y, 1, (1 - x - y) / y])


def _matrix_to_srgb(chromaticities: Chromaticities) -> np.ndarray:
    """Return the matrix from linear colors to linear sRGB, (3, 3); white stays white."""
    source, target = _rgb_to_xyz(chromaticities), _rgb_to_xyz(_REC709)
    gains = (_BRADFORD @ _white(_REC709)) / (_BRADFORD @ _white(chromaticities))
    adapt = np.linalg.inv(_BRADFORD) @ (gains[:, None] * _BRADFORD)
    return np.linalg.inv(target) @ adapt @ source


def _rgb_to_xyz(chromaticities: Chromaticities) -> np.ndarray:
    columns = _columns(chromaticities)
    return columns * np.linalg.solve(columns, _white(chromaticities))


def _encode_srgb(light: np.ndarray) -> np.ndarray:
    """Return sRGB's values of light in [0, 1]."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _srgb_curve(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _power(exponent: float, values: np.ndarray) -> np.ndarray:
    return values**exponent


def _rec709_curve(values: np.ndarray) -> np.ndarray:
    """Invert the camera's curve of BT.709, BT.601 and BT.2020, with its constants in full."""
    alpha, beta = 1.09929682680944, 0.018053968510807
    return np.where(values < 4.5 * beta, values / 4.5, ((values + alpha - 1) / alpha) ** (1 / 0.45))


def _smpte240m_curve(values: np.ndarray) -> np.ndarray:
    return np.where(values < 4 * 0.0228, values / 4, ((values + 0.1115) / 1.1115) ** (1 / 0.45))


def _logarithmic_curve(decades: float, values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, 10 ** (decades * (values - 1)), 0)


def _smpte428_curve(values: np.ndarray) -> np.ndarray:
    return 52.37 / 48 * values**2.6


def _lookup(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Look values up in a table for all channels, (1, N), or one for each, (3, N)."""
    steps = np.linspace(0, 1, table.shape[-1])
    channels = [
        np.interp(values[..., channel], steps, table[channel % len(table)])
        for channel in range(values.shape[-1])
    ]
    return np.stack(channels, axis=-1)


# ITU-T H.273, TransferCharacteristics.
_CURVES: dict[int, tuple[str, Curve | None]] = {
    1: ("BT.709 curve", _rec709_curve),
    4: ("gamma 2.2", partial(_power, 2.2)),
    5: ("gamma 2.8", partial(_power, 2.8)),
    6: ("BT.601 curve", _rec709_curve),
    7: ("SMPTE 240M curve", _smpte240m_curve),
    8: ("linear", partial(_power, 1)),
    9: ("logarithmic", partial(_logarithmic_curve, 2)),
    10: ("logarithmic", partial(_logarithmic_curve, 2.5)),
    11: ("BT.709 curve", _rec709_curve),  # as xvYCC has it between 0 and 1
    12: ("BT.709 curve", _rec709_curve),  # as BT.1361 has it between 0 and 1
    13: ("sRGB", None),
    14: ("BT.2020 curve", _rec709_curve),
    15: ("BT.2020 curve", _rec709_curve),
    16: ("PQ", None),
    17: ("SMPTE 428 curve", _smpte428_curve),
    18: ("HLG", None),
}
