"""ZS-N2N: a small network trained on one noisy image alone, as published and faster.

References:
    Mansour, Heckel 2023, Zero-Shot Noise2Noise: efficient image denoising without any data;
    arXiv:2303.11253.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.noise import Noise
from impasto.device import select_device, select_precision
from impasto.errors import MemoryShortageError
from impasto.memory import GIB, free_bytes
from impasto.recipes import DenoiseRecipe

# The network, as published.
WIDTH = 48  # channels between the convolutions
SLOPE = 0.2  # of the leaky ReLU below zero
REACH = 2  # radius of the receptive field, in pixels
# The training, as published.
RATE = 1e-3
STEPS = 2000
HALVED = 1500  # steps after which the rate is halved
# The faster training: as many pixels in all as a whole image of 256 pixels a side has in 26 steps.
# Smaller crops and more of them in a batch were better than the other way round (docs/log.md).
FAST_RATE = 0.02
FAST_STEPS = {"quick": 300, "balanced": 600, "best": 1800}
WARMUP = 20  # steps
CROP = 20  # pixels a side, of which the inner 12 count
BATCH = 20
# Muon.
_MOMENTUM = 0.9
# The odd fifth-order polynomial that drives singular values towards 1 (Jordan et al.).
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_BIAS_RATE = 0.15  # Adam's rate for biases over Muon's for weights
# Application.
_TILE = 128  # pixels a side, so that 3 MiB for each layer stay in the processor's cache
# Bytes that a step of the published training takes, measured at 256 to 1024 pixels a side.
_BASE_BYTES = 64 * 2**20
_BYTES_PER_PIXEL = 1200  # layers and their gradients
_BYTES_PER_VALUE = 24

Parameters = list[Tensor]
# Called after each step with its number, the number of steps, and a function that returns the image
# so far; False ends the training.
_Report = Callable[[int, int, Callable[[], Tensor]], bool]


def zs_n2n(
    planes: Tensor, noise: Noise, recipe: DenoiseRecipe, report: _Report
) -> Callable[[Tensor], Tensor]:
    """Train as published and return a function that denoises a plane (C, H, W).

    Args:
        planes: (P, C, H, W) in [0, 1], trained on together.
        noise: not used: the network learns it from the planes.
        recipe: its `seed`, `device` and `memory`.
        report: called after each step with its number, the number of steps, and a function that
            returns the first plane so far; False ends the training.

    Raises:
        MemoryShortageError: the activations of all planes do not fit.
    """
    if planes[0, 0].numel() < 2:
        return torch.clone  # one pixel has no pair
    device = select_device(recipe.device)
    _check_memory(planes, recipe, device)
    parameters = _trainable_parameters(planes, recipe, device)
    y = planes.to(device)
    adam = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.StepLR(adam, HALVED, 0.5)

    def denoise_plane(plane: Tensor) -> Tensor:
        return run_tiled([parameters], plane, recipe.part)

    for step in range(1, STEPS + 1):
        adam.zero_grad()
        pair_loss(parameters, y).backward()
        adam.step()
        schedule.step()
        if not report(step, STEPS, lambda: denoise_plane(planes[0]).cpu()):
            break
    return denoise_plane


def zs_n2n_fast(
    planes: Tensor, noise: Noise, recipe: DenoiseRecipe, report: _Report
) -> Callable[[Tensor], Tensor]:
    """Train on crops and return a function that denoises a plane; see `zs_n2n`.

    The time to train does not depend on the planes' size; the recipe's `effort` chooses the steps.
    """
    height, width = planes.shape[2:]
    if height * width < 2:
        return torch.clone  # one pixel has no pair
    device = select_device(recipe.device)
    parameters = _trainable_parameters(planes, recipe, device)
    # Departure from the paper: Muon instead of Adam, whose steps are longer where the loss is flat.
    muon = Muon(parameters, FAST_RATE)
    generator = torch.Generator("cpu").manual_seed(recipe.seed)
    too_thin = min(height, width) < CROP  # for an inner part without a border
    loss = pair_loss if too_thin else inner_pair_loss
    steps = FAST_STEPS[recipe.effort]

    def denoise_plane(plane: Tensor) -> Tensor:
        # Departure from the paper: the mean of eight flips and rotations, which crops had too.
        networks = rotations([parameter.detach() for parameter in parameters])
        # Departure from the paper: mirrored pixels beyond the border instead of zeros.
        apply = run_tiled if too_thin else run_tiled_mirrored
        return apply(networks, plane, recipe.part)

    for step in range(1, steps + 1):
        batch = random_crops(planes, generator).to(device)
        with _autocast(device):
            loss(parameters, batch).backward()
        # Departure from the paper: the rate warms up and falls along a cosine to zero.
        decay = (1 + math.cos(math.pi * (step - 1) / steps)) / 2
        muon.step(min(1, step / WARMUP) * decay)
        if not report(step, steps, lambda: denoise_plane(planes[0]).cpu()):
            break
    return denoise_plane


def pair_downsample(x: Tensor) -> tuple[Tensor, Tensor]:
    """Average both diagonals of each 2 × 2 cell: two half-size views with independent noise.

    The kernels are [[0, ½], [½, 0]] and [[½, 0], [0, ½]], two pixels apart (section 3 of the
    paper). If a side is odd, the last cell reaches back over the pixel before it, so that no pixel
    is left out and the two views still share none within a cell.

    Args:
        x: (B, C, H, W) with at least two pixels.

    Returns:
        Two of (B, C, ⌈H / 2⌉, ⌈W / 2⌉); for even sides the mean of both is the image's own.

    Example:
        >>> import torch
        >>> first, second = pair_downsample(torch.tensor([[[[1.0, 2.0], [4.0, 8.0]]]]))
        >>> first.item(), second.item()
        (3.0, 4.5)
    """
    height, width = x.shape[-2:]
    if height == 1 or width == 1:  # a single line has pairs of neighbors, no diagonals
        line = x if height == 1 else x.transpose(-1, -2)
        line = F.pad(line, (0, line.shape[-1] % 2, 0, 0), mode="reflect")
        pair = line[..., 1::2], line[..., 0::2]
        return pair if height == 1 else (pair[0].transpose(-1, -2), pair[1].transpose(-1, -2))
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2), mode="reflect")
    above, below = x[..., 0::2, :], x[..., 1::2, :]
    first = (above[..., 1::2] + below[..., 0::2]) / 2
    second = (above[..., 0::2] + below[..., 1::2]) / 2
    return first, second


def initial_parameters(channels: int, seed: int) -> Parameters:
    """Draw weights and biases, uniform in ±1/√fan-in as torch's layers do.

    Args:
        channels: of the image.
        seed: same seed, same network.

    Returns:
        Weight and bias of 3 × 3 channels → 48, 3 × 3 48 → 48 and 1 × 1 48 → channels: 22,275
        numbers for three channels.

    Example:
        >>> sum(parameter.numel() for parameter in initial_parameters(3, seed=0))
        22275
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    parameters = []
    for inputs, outputs, side in ((channels, WIDTH, 3), (WIDTH, WIDTH, 3), (WIDTH, channels, 1)):
        bound = 1 / math.sqrt(inputs * side * side)
        for shape in ((outputs, inputs, side, side), (outputs,)):
            # Drawn on the CPU, so that all devices start alike.
            uniform = torch.rand(shape, generator=generator, device="cpu")
            parameters.append((2 * uniform - 1) * bound)
    return parameters


def predict_noise(parameters: Parameters, y: Tensor, padding: int = 1) -> Tensor:
    """Run the network: three convolutions that predict the noise in an image (section 3.2).

    Args:
        parameters: the network's.
        y: (B, C, H, W).
        padding: of zeros around the input of each 3 × 3 convolution; 0 gives the inner part alone.

    Returns:
        (B, C, H, W), or (B, C, H - 4, W - 4) without padding.
    """
    first, first_bias, second, second_bias, last, last_bias = parameters
    y = F.leaky_relu(F.conv2d(y, first, first_bias, padding=padding), SLOPE, inplace=True)
    y = F.leaky_relu(F.conv2d(y, second, second_bias, padding=padding), SLOPE, inplace=True)
    return F.conv2d(y, last, last_bias)


def remove_noise(parameters: Parameters, y: Tensor) -> Tensor:
    """Subtract the noise that the network predicts: (B, C, H, W) -> (B, C, H, W)."""
    return y - predict_noise(parameters, y)


def rotations(parameters: Parameters) -> list[Parameters]:
    """Return the eight networks that treat an image as this one treats it flipped and rotated.

    Example:
        >>> len(rotations(initial_parameters(3, seed=0)))
        8
    """

    def rotate(parameter: Tensor, swap: bool, flips: tuple[int, ...]) -> Tensor:
        if parameter.ndim == 1:  # a bias has no direction
            return parameter
        return (parameter.transpose(-1, -2) if swap else parameter).flip(flips).contiguous()

    ways = itertools.product((False, True), ((), (-1,), (-2,), (-2, -1)))
    return [[rotate(parameter, *way) for parameter in parameters] for way in ways]


def pair_loss(parameters: Parameters, y: Tensor) -> Tensor:
    """Compute the residual and the consistency loss of a noisy image, equations (3) and (4).

    Args:
        parameters: the network's.
        y: (B, C, H, W).

    Returns:
        The sum of both, a single number.
    """
    first, second = pair_downsample(y)
    clean_first, clean_second = remove_noise(parameters, torch.cat([first, second])).chunk(2)
    down_first, down_second = pair_downsample(remove_noise(parameters, y))
    residual = F.mse_loss(clean_first, second) + F.mse_loss(clean_second, first)
    consistency = F.mse_loss(clean_first, down_first) + F.mse_loss(clean_second, down_second)
    return (residual + consistency) / 2


def inner_pair_loss(parameters: Parameters, y: Tensor) -> Tensor:
    """Compute the same loss over the pixels that the network computes without padding: for crops.

    Departure from the paper: zeros around a crop would be a border that the image does not have.

    Args:
        parameters: the network's.
        y: (B, C, H, W), sides even and at least 10; the outer four pixels are only read.

    Returns:
        The sum of both losses over the inner (H - 8, W - 8), a single number.
    """
    views = torch.cat(pair_downsample(y))
    inner_views = views[..., REACH:-REACH, REACH:-REACH]
    clean_views = inner_views - predict_noise(parameters, views, padding=0)
    clean_first, clean_second = clean_views.chunk(2)
    first, second = inner_views.chunk(2)
    # Four pixels are cut from the image where two are from the views of half its size.
    inner = y[..., REACH:-REACH, REACH:-REACH]
    clean = inner[..., REACH:-REACH, REACH:-REACH] - predict_noise(parameters, inner, padding=0)
    down_first, down_second = pair_downsample(clean)
    residual = F.mse_loss(clean_first, second) + F.mse_loss(clean_second, first)
    consistency = F.mse_loss(clean_first, down_first) + F.mse_loss(clean_second, down_second)
    return (residual + consistency) / 2


def random_crops(planes: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a batch of crops (B, C, h, w) from anywhere in planes (P, C, H, W).

    Departures from the paper: crops instead of the whole image; cells of the pair downsampler
    begin at odd pixels too; all crops are flipped and rotated alike, each way as often.
    """
    height, width = planes.shape[2:]
    rows = min(height, CROP)
    columns = min(width, CROP * CROP // rows)  # a longer piece of a thin plane
    rows = min(height, CROP * CROP // columns)

    def draw(count: int) -> list[int]:
        return torch.randint(count, (BATCH,), generator=generator, device="cpu").tolist()

    corners = zip(
        draw(len(planes)), draw(height - rows + 1), draw(width - columns + 1), strict=True
    )
    batch = torch.stack(
        [planes[p, :, top : top + rows, left : left + columns] for p, top, left in corners]
    )
    swap, down, across = torch.randint(2, (3,), generator=generator, device="cpu").tolist()
    batch = batch.transpose(-1, -2) if swap else batch
    return batch.flip([dim for dim, flip in ((-2, down), (-1, across)) if flip]).contiguous()


@torch.no_grad()
def run_tiled(
    networks: Sequence[Parameters],
    plane: Tensor,
    part: tuple[slice, slice] | None = None,
    tile: int = _TILE,
) -> Tensor:
    """Denoise a plane by each of some networks and return the mean; zeros lie around the plane.

    Args:
        networks: one or more, on the device that is to compute.
        plane: (C, H, W) on any device.
        part: rows and columns that are returned, those of the whole; None for all.
        tile: pixels a side that are computed at once; smaller takes less memory and changes
            nothing but rounding.

    Returns:
        (C, H, W) on the plane's device.
    """
    height, width = plane.shape[1:]
    result = torch.empty_like(plane)
    rows, columns = part or (slice(0, height), slice(0, width))
    for top in range(rows.start // tile * tile, rows.stop, tile):
        for left in range(columns.start // tile * tile, columns.stop, tile):
            padded_top, padded_left = max(top - REACH, 0), max(left - REACH, 0)
            piece = plane[
                None, :, padded_top : top + tile + REACH, padded_left : left + tile + REACH
            ]
            piece = piece.to(networks[0][0].device)
            clean = sum(remove_noise(network, piece)[0] for network in networks) / len(networks)
            target = result[:, top : top + tile, left : left + tile]
            down, right = top - padded_top, left - padded_left
            target.copy_(clean[:, down:, right:][:, : target.shape[1], : target.shape[2]])
    return result if part is None else result[:, rows, columns].clone()


def run_tiled_mirrored(
    networks: Sequence[Parameters], plane: Tensor, part: tuple[slice, slice] | None = None
) -> Tensor:
    """Denoise a plane as `run_tiled` does, with mirrored pixels around it.

    This is for networks whose training never saw a border.
    """
    padded = F.pad(plane[None], (REACH,) * 4, mode="reflect")[0]
    if part is None:
        return run_tiled(networks, padded)[:, REACH:-REACH, REACH:-REACH]
    rows, columns = (slice(axis.start + REACH, axis.stop + REACH) for axis in part)
    return run_tiled(networks, padded, (rows, columns))


class Muon:
    """Muon: steps of a weight matrix that are equally long in each direction of its gradient.

    Weights have momentum; biases are moved by Adam.

    Args:
        parameters: weights (out, in, 3, 3) or (out, in, 1, 1), and biases (out).
        rate: spectral norm of a weight's full step; larger moves faster and less steadily.

    References:
        Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks.
    """

    def __init__(self, parameters: Sequence[Tensor], rate: float) -> None:
        self.parameters = parameters
        self.rate = rate
        self._weights = [parameter for parameter in parameters if parameter.ndim > 1]
        self._momenta = [torch.zeros_like(weight) for weight in self._weights]
        biases = [parameter for parameter in parameters if parameter.ndim == 1]
        self._adam = torch.optim.Adam(biases, lr=rate * _BIAS_RATE, betas=(0.9, 0.99))

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Move by a share of the rate against the gradients, and clear them."""
        for group in self._adam.param_groups:
            group["lr"] = self.rate * _BIAS_RATE * share
        self._adam.step()
        for weight, momentum in zip(self._weights, self._momenta, strict=True):
            momentum.lerp_(weight.grad, 1 - _MOMENTUM)
            update = weight.grad.lerp(momentum, _MOMENTUM).flatten(1)  # (out, in · side²), Nesterov
            aspect = max(1, update.shape[0] / update.shape[1]) ** 0.5
            weight -= orthogonalize(update).view_as(weight) * (self.rate * share * aspect)
        for parameter in self.parameters:
            parameter.grad = None


def orthogonalize(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix (N, M) to about 0.7 to 1.2.

    Example:
        >>> matrix = orthogonalize(torch.diag(torch.tensor([1.0, 0.1])))
        >>> bool((torch.linalg.svdvals(matrix) > 0.6).all())
        True
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalize(matrix.T).T
    a, b, c = _POLYNOMIAL
    x = matrix / (matrix.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x


def _trainable_parameters(
    planes: Tensor, recipe: DenoiseRecipe, device: torch.device
) -> Parameters:
    """Return the network before its first step, with gradients."""
    parameters = initial_parameters(planes.shape[1], recipe.seed)
    return [parameter.to(device).requires_grad_() for parameter in parameters]


def _autocast(device: torch.device) -> AbstractContextManager:
    """Run convolutions in bfloat16 where that is faster; the losses stay in float32."""
    dtype = select_precision(device, "auto")
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def _check_memory(planes: Tensor, recipe: DenoiseRecipe, device: torch.device) -> None:
    """Refuse planes whose training does not fit, before it begins."""
    count, channels, height, width = planes.shape
    pixel_bytes = _BYTES_PER_PIXEL + _BYTES_PER_VALUE * channels
    needed = _BASE_BYTES + count * height * width * pixel_bytes
    free = free_bytes(recipe.memory, device)
    if needed > free:
        size = f"{width} × {height}" if count == 1 else f"{count} × {width} × {height}"
        raise MemoryShortageError(
            f"`method` must fit in memory, got zs-n2n, which needs {needed / GIB:.1f} GiB for "
            f"{size} pixels where there are {free / GIB:.1f}; choose zs-n2n-fast"
        )
