"""Muon: steps of a weight matrix that are as long in each direction the gradient has.

References:
    Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_MOMENTUM = 0.9
# The fifth-order polynomial, odd, that drives singular values towards 1 (Jordan et al.).
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_BIAS_RATE = 0.15  # Adam's rate for biases beside the one for weights


class Muon:
    """The optimizer's state for a network: momentum of its weights, Adam for its biases.

    Args:
        parameters: weights (out, in, 3, 3) or (out, in, 1, 1), and biases (out).
        rate: spectral norm of a weight's whole step; larger moves faster and less steadily.
    """

    def __init__(self, parameters: Sequence[Tensor], rate: float) -> None:
        self.parameters = parameters
        self.rate = rate
        self._weights = [one for one in parameters if one.ndim > 1]
        self._momenta = [torch.zeros_like(one) for one in self._weights]
        biases = [one for one in parameters if one.ndim == 1]
        self._adam = torch.optim.Adam(biases, lr=rate * _BIAS_RATE, betas=(0.9, 0.99))

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Move by a share of the rate, as the gradients say, and forget them."""
        for group in self._adam.param_groups:
            group["lr"] = self.rate * _BIAS_RATE * share
        self._adam.step()
        for weight, momentum in zip(self._weights, self._momenta, strict=True):
            momentum.lerp_(weight.grad, 1 - _MOMENTUM)
            ahead = weight.grad.lerp(momentum, _MOMENTUM).flatten(1)  # (out, in · side²)
            longer = max(1, ahead.shape[0] / ahead.shape[1]) ** 0.5
            weight -= orthogonalize(ahead).view_as(weight) * (self.rate * share * longer)
        for one in self.parameters:
            one.grad = None


def orthogonalize(matrix: Tensor) -> Tensor:
    """The matrix (N, M) with its singular values brought to between 0.7 and 1.2, about.

    Example:
        >>> found = orthogonalize(torch.diag(torch.tensor([1.0, 0.1])))
        >>> bool((torch.linalg.svdvals(found) > 0.6).all())
        True
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalize(matrix.T).T
    a, b, c = _POLYNOMIAL
    x = matrix / (matrix.norm() + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x
