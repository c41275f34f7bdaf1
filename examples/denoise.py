"""Noise put on a photograph and taken out again: `python examples/denoise.py photograph.jpg`."""

import sys

import impasto
from impasto.demo import photograph
from impasto.denoise_figures import denoise_figure
from impasto.figures import save_figure

if len(sys.argv) > 1:
    clean = impasto.open_image(sys.argv[1]).pixels
else:
    clean = photograph()[:, 40:200, 120:330]  # the cat's eyes
noisy = impasto.add_noise(clean, gaussian=25 / 255)
print(impasto.diagnose(impasto.Image(noisy)).words)
result = impasto.denoise(impasto.Image(noisy), effort="quick")
before, after = (impasto.psnr(clean, picture) for picture in (noisy, result.pixels))
print(f"PSNR {before:.2f} dB before, {after:.2f} dB after {result.seconds:.1f} s")
print(save_figure(denoise_figure(clean, noisy, result.pixels), "denoised.png", overwrite=True))
