"""Pictures to denoise, made of shades, waves and edges."""

import torch


def scene(channels, height, width, sigma=0.08):
    """Shades, waves and edges with white noise, in no unit of any grid."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = 0.15 * torch.sin(x / 3.7 + y / 11.3) * torch.cos(y / 5.1)
    edges = 0.2 * ((x // 37 + y // 53) % 2)
    clean = torch.stack([0.3 + waves * (1 - c / 5) + edges for c in range(channels)])
    return clean + sigma * torch.randn(clean.shape, generator=torch.manual_seed(0))
