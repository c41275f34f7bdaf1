"""Steps and losses that a run reports, and its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from impasto.errors import ImpastoError
from impasto.images.image import ImageMetadata
from impasto.images.resize import thumbnail
from impasto.images.stack import Stack, array_stack, to_source_array
from impasto.images.tiff_write import write_stack
from impasto.images.write import encode, save
from impasto.methods import method_of
from impasto.notebook_html import COMPARED_SIDE, picture_html, slider_html
from impasto.provenance import Inputs, Output, Provenance, Treatment, current_maker
from impasto.validation import validate

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from impasto.recipes import DenoiseRecipe, ReconstructRecipe, StyleRecipe, TextureRecipe


class Losses(dict[str, float]):
    """Weighted losses of one evaluation by name; `total` is what the optimizer minimizes.

    Example:
        >>> losses = Losses(total=0.75, content=0.25, style=0.5)
        >>> [name for name in losses if name != "total"]
        ['content', 'style']
    """

    @property
    def total(self) -> float:
        """The sum that the optimizer minimizes."""
        return self["total"]


@dataclass(frozen=True)
class Step:
    """One evaluation of the loss and its gradient, as handed to `on_step`.

    Raise `StopIteration` inside `on_step` to end the run early and keep the best picture so far.

    Attributes:
        evaluation: how many evaluations were made, this one included, from 1.
        evaluations: how many are planned in the whole run.
        scale: which size of the pyramid is being painted, from 1.
        scales: how many sizes there are.
        size: (width, height) of that size, in pixels.
        losses: the losses of this evaluation by name; None if nothing is optimized.
        seconds: time since the run began, in seconds.
        left: remaining evaluations, each weighted by its number of pixels relative to the present
            scale: that many evaluations of the present size take as long as the rest of the run.
        picture: call it for the present image, (3, H, W) float32 in [0, 1] on the CPU; each call
            copies the image.
    """

    evaluation: int
    evaluations: int
    scale: int
    scales: int
    size: tuple[int, int]
    losses: Losses | None
    seconds: float
    left: float
    picture: Callable[[], Tensor]


OnStep = Callable[[Step], None]
Stop = Callable[[], bool]  # whether a run is to end; asked between the layers of an evaluation


@dataclass(frozen=True, eq=False)
class Result:
    """A finished picture and how it came to be.

    Attributes:
        pixels: the picture, (3, H, W) float32 in [0, 1], sRGB, on the CPU.
        metadata: what the content image's file carried besides: alpha, EXIF, dpi, bit depth.
        recipe: every option the run used.
        history: the losses of every evaluation, in order; scales follow each other.
        scale_starts: index into `history` of each scale's first evaluation.
        losses: the losses of the picture returned.
        evaluations: how many times the loss and its gradient were evaluated.
        seconds: wall time of the run.
        device: where it ran, such as `cpu` or `cuda:0`.
        precision: number format of the convolutions, `float32` or `bfloat16`.
        stopped: whether `on_step` ended the run early.
        inputs: what it was made from: names and hashes of files.
        before: the content image, small, (3, H, W), which notebooks show beside the picture; None
            where there is none.
    """

    pixels: Tensor
    metadata: ImageMetadata
    recipe: StyleRecipe | ReconstructRecipe | TextureRecipe
    history: tuple[Losses, ...]
    scale_starts: tuple[int, ...]
    losses: Losses
    evaluations: int
    seconds: float
    device: str
    precision: str
    stopped: bool = False
    inputs: Inputs = field(default_factory=Inputs)
    before: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[-1], self.pixels.shape[-2]

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the picture, with its recipe inside, whole or not at all.

        Args:
            path: where to; the ending chooses the format (.png .jpg .webp .tif .avif).
            overwrite: replace a file that is already there.

        Returns:
            The path written.

        Raises:
            ImageError: the place cannot be written, or holds a file and `overwrite` is False.
            ValueError: the ending names no format that impasto writes.
        """
        return save(
            self.pixels,
            path,
            metadata=self.metadata,
            recipe=self.provenance().model_dump_json(),
            overwrite=overwrite,
        )

    def provenance(self, output: Output | None = None) -> Provenance:
        """The whole account of how the picture was made, as it is stored inside its file.

        Args:
            output: how the file is written; None leaves all to the writer.
        """
        return Provenance(
            method=method_of(self.recipe),
            recipe=self.recipe,
            inputs=self.inputs,
            output=output or Output(),
            maker=current_maker(self.device),
        )

    def _repr_png_(self) -> bytes:
        """Return a small PNG, for consoles that show pictures."""
        return encode(thumbnail(self.pixels, COMPARED_SIDE), ".png")

    def _repr_html_(self) -> str:
        """Return the picture, over the content image and with a slider, for notebooks."""
        width, height = self.size
        words = f"{width} × {height}, {self.evaluations} evaluations in {self.seconds:.1f} s"
        if self.before is None:
            picture = picture_html(self.pixels, "the picture", COMPARED_SIDE)
            return f'<figure style="margin:0">{picture}<figcaption>{words}</figcaption></figure>'
        return slider_html(self.before, self.pixels, words)


Kind = Literal["clean", "gaussian", "poisson-gaussian", "correlated", "impulse", "halftone"]
NOT_REMOVED = ("clean", "impulse", "halftone")  # kinds that no method is chosen for
REPAIR = "repair"  # instead of a method, where specks and stripes are all there is to remove
_MAX_RANGES = 12  # of plane numbers that are written out


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """The noise of an image, and the method that removes it.

    Attributes:
        kind: `gaussian`, the same in the dark and in the light; `poisson-gaussian`, growing with
            the light; `correlated`, shared by neighbors; `impulse`, specks and no noise that can be
            told besides; `halftone`, dots of a printing screen or of dithering,
            which carry the picture; or `clean`.
        sigma: typical standard deviation in each channel: 1 being white for pictures, in
            `Stack.read_plane`'s numbers for measured data. Of several planes, as of all other
            fields, that of most of the planes that are changed.
        gain: variance for each unit of light, of Poisson-Gaussian noise; None of other kinds.
        correlation: of a pixel's noise with its direct neighbors', −1 to 1.
        clipped: whether noisy values were cut off at the dark end, and at the light end.
        method: the method that removes it; `repair` if there are only specks and stripes, beside
            which nothing changes; None if nothing is to be done.
        words: the diagnosis as a sentence, and what is done about it.
        noise: the noise model that the methods use, on a scale of [0, 1].
        planes: the diagnosis of each plane, in order, of a stack whose planes are denoised one by
            one; empty for one plane, and for planes that were examined together.
        region_sigmas: the same as `sigma` for each region of a plane with noise of different
            strength side by side; empty where it is the same everywhere.
        stripes: the offsets that each row or column has besides, with their `direction` and
            `sigma`; they are removed with the noise. None if there are none.
        specks: share of all values that are specks, single pixels that are no part of the picture;
            they are replaced.
        stuck_rows: numbers from 1 of rows that are dead or stuck, which are replaced, too.
        stuck_columns: of columns.
        screen: of a halftone, the printing screen's `period` in pixels and its `angles` in degrees;
            None for dithering, and for all other kinds.
        across: axis along which neighboring planes helped; None if none did.
    """

    kind: Kind
    sigma: tuple[float, ...]
    gain: float | None
    correlation: float
    clipped: tuple[bool, bool]
    method: str | None
    words: str
    noise: Any
    planes: tuple[Diagnosis, ...] = ()
    region_sigmas: tuple[tuple[float, ...], ...] = ()
    stripes: Any = None
    specks: float = 0.0
    stuck_rows: tuple[int, ...] = ()
    stuck_columns: tuple[int, ...] = ()
    screen: Any = None
    across: str | None = None

    @property
    def treatments(self) -> tuple[Treatment, ...]:
        """Return the noise and the method of the planes, those that are alike together."""
        planes = self.planes or (self,)
        treatments = []
        for members in group_planes(planes):
            sigmas = [sigma for index in members for sigma in planes[index].sigma]
            first = planes[members[0]]
            treatments.append(
                Treatment(
                    planes=format_numbers(members) if self.planes else None,
                    kind=first.kind,
                    sigma=(min(sigmas), max(sigmas)),
                    method=first.method,
                    specks=max(planes[index].specks for index in members),
                    across=first.across,
                )
            )
        return tuple(treatments)


def group_planes(planes: Sequence[Diagnosis]) -> list[list[int]]:
    """Return the indices of planes alike in kind, method and help, each group rising, by the first.

    Args:
        planes: the diagnosis of each.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, plane in enumerate(planes):
        groups.setdefault((plane.kind, plane.method, plane.across), []).append(index)
    return list(groups.values())


def format_numbers(indices: Sequence[int], most: int = _MAX_RANGES) -> str:
    """Write indices from 0, which rise, as numbers from 1: runs of them by their ends.

    Args:
        indices: of planes.
        most: runs that are written; the rest is an ellipsis.

    Example:
        >>> format_numbers([0, 1, 2, 6])
        '1-3, 7'
    """
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    texts = [f"{a + 1}-{b + 1}" if b > a else f"{a + 1}" for a, b in runs[:most]]
    return ", ".join(texts + ["…"] * (len(runs) > most))


@dataclass(frozen=True, eq=False)
class DenoiseResult:
    """A denoised picture, the noise that was removed, and how much of it comes back.

    A picture is (C, H, W); data with other axes than space and channels is (planes, C, H, W).

    Attributes:
        noisy: the input, float32 on the CPU: in [0, 1] for pictures, in `Stack.read_plane`'s
            numbers for measured data.
        clean: the same without any of the estimated noise.
        source: metadata of the picture's file, or the stack of the planes.
        recipe: every option the run used; its `strength`, `chroma` and `detail` make `pixels`.
        method: the method that ran, never `auto`; `none` if no plane was changed.
        diagnosis: the noise and what was done about it, plane by plane if they were not denoised
            jointly.
        seconds: wall time of the run.
        device: where it ran, such as `cpu` or `cuda:0`.
        stopped: whether `on_step` ended the run early.
        inputs: name and hash of the input file.
        treatments: the same as the diagnosis in short, as it is stored in files.
        defects: specks and stuck lines, bool of the shape of `noisy`; None if there are none. They
            are replaced whole, whatever the strength, unless it is 0 for light and colors.
        find_texture: returns `texture`; called when it is first needed.
    """

    noisy: Tensor
    clean: Tensor
    source: ImageMetadata | Stack
    recipe: DenoiseRecipe
    method: str
    diagnosis: Diagnosis
    seconds: float
    device: str
    stopped: bool = False
    inputs: Inputs = field(default_factory=Inputs)
    treatments: tuple[Treatment, ...] = ()
    defects: Tensor | None = None
    find_texture: Callable[[], Tensor] | None = None

    @property
    def pixels(self) -> Tensor:
        """Return the picture without the recipe's share of the noise, of the shape of `noisy`."""
        texture = self.texture if self.recipe.detail else None
        return blend_strength(self.noisy, self.clean, self.recipe, texture, self.defects)

    @property
    def texture(self) -> Tensor:
        """Return the texture in what was taken away, of the shape of `noisy`, as `detail` adds it.

        Raises:
            ImpastoError: the result is of an earlier version, which did not look for it.
        """
        if self.find_texture is None:
            raise ImpastoError(
                "`detail` must be 0 for what an earlier impasto denoised, got "
                f"{self.recipe.detail:g}; denoise it again"
            )
        return self.find_texture()

    @property
    def metadata(self) -> ImageMetadata:
        """Return the metadata of a picture's file; of measured data, its bit depth."""
        if isinstance(self.source, ImageMetadata):
            return self.source
        return ImageMetadata(bits=8 * self.source.dtype.itemsize)

    @property
    def residual(self) -> Tensor:
        """Return the noise that was removed: `noisy` minus `pixels`."""
        return self.noisy - self.pixels

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height) in pixels."""
        return self.noisy.shape[-1], self.noisy.shape[-2]

    def at(
        self,
        strength: float | None = None,
        chroma: float | Literal["same"] | None = None,
        detail: float | None = None,
    ) -> DenoiseResult:
        """Return the same result without another share of the noise; it is not denoised again.

        Args:
            strength: share of the noise in the light, 0 to 1, and in the colors if `chroma` is
                `same`; None leaves it as it is.
            chroma: share of the noise in the colors, 0 to 1; None leaves it as it is.
            detail: share of the texture in the noise that is given back, 0 to 1; None leaves it as
                it is.

        Raises:
            ValueError: a share out of range.
        """
        options = {"strength": strength, "chroma": chroma, "detail": detail}
        changes = {name: value for name, value in options.items() if value is not None}
        return replace(self, recipe=validate(type(self.recipe), dict(self.recipe) | changes))

    def array(self) -> np.ndarray:
        """Return the result as the input's kind of data: its axes, type, byte order and range.

        Pictures that are not measured data give (H, W, C) of uint8, or uint16 if they had more.
        """
        return to_source_array(self.source, self.pixels)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the result, with its recipe inside, whole or not at all.

        Args:
            path: the file to write; for measured data a TIFF like its source.
            overwrite: replace a file that is already there.

        Returns:
            The path written.

        Raises:
            ImageError: the path cannot be written, or holds a file and `overwrite` is False.
            ValueError: the ending names no format that impasto writes, or none for such data.
        """
        recipe = self.provenance().model_dump_json()
        if isinstance(self.source, ImageMetadata):
            return save(self.pixels, path, metadata=self.source, recipe=recipe, overwrite=overwrite)
        planes = self.pixels.reshape(-1, *self.noisy.shape[-3:])
        return write_stack(path, self.source, planes, recipe=recipe, overwrite=overwrite)

    def save_residual(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the noise that was removed, whole or not at all.

        Args:
            path: the file to write. A .tif stores the signed values in 32-bit floats, 1 being
                white, or in the measured data's own numbers. Another format stores 0.5 more, so
                that no noise is mid-gray, and clips what does not fit.
            overwrite: replace a file that is already there.

        Returns:
            The path written.

        Raises:
            ImageError: the path cannot be written, or holds a file and `overwrite` is False.
            ValueError: the ending names no format that impasto writes, or none for several planes.
        """
        residual = self.residual
        measured = not isinstance(self.source, ImageMetadata)
        tiff = Path(path).suffix.lower() in (".tif", ".tiff")
        if residual.ndim > 3 and not tiff:
            raise ValueError(
                f"`path` must end in .tif or .tiff for {len(residual)} planes, got {path}; "
                "rename it"
            )
        if not tiff:
            metadata = ImageMetadata(bits=self.metadata.bits)
            return save(0.5 + residual, path, metadata=metadata, overwrite=overwrite)
        values = residual / self.source.unit if measured else residual
        axes = "ZYXS" if residual.ndim > 3 else "YXS"
        array = values.movedim(-3, -1)  # (..., C, H, W) -> (..., H, W, C)
        if array.shape[-1] == 1:
            axes, array = axes[:-1], array[..., 0]
        stack = array_stack(array.numpy(), axes)
        planes = values.reshape(-1, *values.shape[-3:])
        return write_stack(path, stack, planes, overwrite=overwrite)

    def _repr_png_(self) -> bytes:
        """Return a small PNG of the first plane, for consoles that show pictures."""
        return encode(thumbnail(self._shown()[1], COMPARED_SIDE), ".png")

    def _repr_html_(self) -> str:
        """Return the first plane with and without noise, and a slider, for notebooks."""
        return slider_html(*self._shown(), f"{self.diagnosis.words}; {self.seconds:.1f} s")

    def _shown(self) -> tuple[Tensor, Tensor]:
        """Return the first plane with and without noise as it is to be seen, (1 or 3, H, W)."""
        first = (image if image.ndim == 3 else image[0] for image in (self.noisy, self.pixels))
        noisy, clean = (image if len(image) in (1, 3) else image[:1] for image in first)
        if not isinstance(self.source, ImageMetadata):
            most = clean.abs().max().clamp(min=1e-12)
            noisy, clean = noisy / most, clean / most
        return noisy.clamp(0, 1), clean.clamp(0, 1)

    def provenance(self, output: Output | None = None) -> Provenance:
        """Return how the data was denoised, as it is stored in its file.

        Args:
            output: how the file is written; None for the writer's defaults.
        """
        return Provenance(
            method="denoise",
            recipe=self.recipe,
            inputs=self.inputs,
            output=output or Output(),
            maker=current_maker(self.device),
            treatments=self.treatments,
        )


def blend_strength(
    noisy: Tensor,
    clean: Tensor,
    recipe: DenoiseRecipe,
    texture: Tensor | None = None,
    defects: Tensor | None = None,
) -> Tensor:
    """Take a share of the noise between two pictures (..., C, H, W) away, of light and of color.

    Defects are taken away whole: half a hot pixel is one still. At strength 0 they stay.

    Args:
        noisy: the picture with it.
        clean: the same without it.
        recipe: its `strength`, `chroma` and `detail`.
        texture: what of the noise is the picture's own; read if `detail` is above 0.
        defects: which pixels are, bool; None for none.
    """
    chroma = recipe.strength if recipe.chroma == "same" else recipe.chroma
    if recipe.detail and texture is not None:
        clean = clean + recipe.detail * texture
    if recipe.strength == chroma == 1:
        return clean
    if defects is not None and max(recipe.strength, chroma) > 0:
        noisy = clean.where(defects, noisy)
    residual = noisy - clean
    if recipe.strength == chroma:
        return noisy - chroma * residual
    light = residual.mean(-3, keepdim=True)
    return noisy - recipe.strength * light - chroma * (residual - light)


def check_finite(pixels: Tensor, what: str, way_out: str) -> Tensor:
    """Return what was computed, of any shape; refuse it if it holds NaN or infinity.

    Args:
        pixels: the values.
        what: names them in the error.
        way_out: how to get others.

    Raises:
        ImpastoError: a value is not finite.
    """
    if not pixels.isfinite().all():
        raise ImpastoError(f"{what} must hold finite numbers alone, got NaN or infinity; {way_out}")
    return pixels
