"""Reading a picture without making one: what noise it has, how it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from impasto.errors import ImageError
from impasto.images.header import check_header
from impasto.provenance import read_provenance
from impasto.serve.job import Noise
from impasto.serve.limits import RequestError
from impasto.serve.run_job import inputs_of, noise

if TYPE_CHECKING:
    from impasto.serve.store import Store
    from impasto.serve.uploads import ReceivedFile
    from impasto.serve.workers import Workers

_LOOKED_AT = 2048  # pixels a side of the middle that is diagnosed


class InspectedInput(BaseModel):
    """A picture that a recipe names."""

    role: str
    name: str | None
    sha256: str
    weight: float | None
    url: str | None = Field(description="where this server still has it; null if it has not")


class Found(BaseModel):
    """How a picture was made."""

    method: str
    recipe: dict[str, Any]
    changed: dict[str, Any] = Field(description="what differs from the defaults")
    inputs: list[InspectedInput]


def inspect_upload(workers: Workers, parcel: ReceivedFile, most: int) -> Found:
    """The account inside a file.

    Raises:
        Refused: there is none, or none that is valid.
    """
    try:
        account = read_provenance(_text(parcel, most), "picture")
    except (ValueError, ImageError) as error:
        raise RequestError(422, str(error)) from None
    recipe = account.recipe.model_dump(mode="json")
    usual = type(account.recipe)().model_dump(mode="json")
    urls = {one.sha256: one.url for view in reversed(workers.views()) for one in view.inputs}
    return Found(
        method=account.method,
        recipe=recipe,
        changed={key: value for key, value in recipe.items() if value != usual[key]},
        inputs=[
            InspectedInput(
                role=role,
                name=one.name,
                sha256=one.sha256,
                weight=weight,
                url=urls.get(one.sha256),
            )
            for role, one, weight in inputs_of(account.inputs)
        ],
    )


def _text(parcel: ReceivedFile, most: int) -> str:
    """The JSON of an account: a file of its own, or inside a picture."""
    if parcel.data.lstrip()[:1] == b"{":
        return parcel.data.decode("utf-8", "replace")
    from impasto.images.header import read_header
    from impasto.images.xmp import from_xmp

    check_header(parcel.data, parcel.role, parcel.name, most)
    text = from_xmp(read_header(parcel.data, most).xmp)
    if text is None:
        raise RequestError(
            422,
            f"`picture` must have a recipe inside, got {parcel.name}, which has none; give a "
            "picture that impasto made, or its .impasto.json",
        )
    return text


def diagnosed(store: Store, parcel: ReceivedFile, most: int) -> Noise:
    """What noise a picture has; of a large one, its middle.

    Raises:
        Refused: no picture, or one that cannot be read.
    """
    from impasto.denoising.diagnose import diagnose
    from impasto.images.image import Image
    from impasto.images.open_input import open_input

    try:
        claim = check_header(parcel.data, "content", parcel.name, most, pages=True)
    except ImageError as error:
        raise RequestError(422, str(error)) from None
    name, place = store.begun()
    # Measured data is read from a file, a plane at a time.
    path = place / f"content{'.tif' if claim.format == 'TIFF' else ''}"
    try:
        path.write_bytes(parcel.data)
        source = open_input(path, name="content")
        if isinstance(source, Image):
            found = diagnose(Image(_middle(source.pixels), source.metadata))
        else:
            found = diagnose(source)
    except (ImageError, ValueError) as error:
        raise RequestError(422, str(error).replace(str(path), parcel.name)) from None
    finally:
        store.abandon(name)
    stack = not isinstance(source, Image)
    size = claim.size if stack else source.size
    return noise(found, size, stack)


def _middle(pixels: Any) -> Any:
    """The middle of a picture, (C, H, W), where it is large."""
    high, wide = pixels.shape[-2:]
    top, left = max(0, high - _LOOKED_AT) // 2, max(0, wide - _LOOKED_AT) // 2
    return pixels[:, top : top + _LOOKED_AT, left : left + _LOOKED_AT]
