import sys, time, glob
import numpy as np, torch, tifffile
from PIL import Image
sys.path.insert(0, "/tmp/w/denoise/src")
D = "/work/shared/data/denoise/"
T = torch.tensor([[1,1,1],[1,0,-1],[1,-2,1]], dtype=torch.float32)
T = T / T.norm(dim=1, keepdim=True)
def load(p):
    a = tifffile.imread(p) if p.endswith(("tif","tiff")) else np.asarray(Image.open(p))
    if a.ndim == 2: a = a[..., None]
    return torch.from_numpy(a.astype(np.float32).transpose(2,0,1) / 255)
def mcm(n=18):
    out = []
    for p in sorted(glob.glob(D + "mcmaster18/*"))[:n]:
        x = load(p); h, w = x.shape[1:]; t, l = (h-256)//2, (w-256)//2
        out.append(x[:, t:t+256, l:l+256].contiguous())
    return out
def gauss(x, s, i):
    g = torch.Generator().manual_seed(i)
    return (x + s/255*torch.randn(x.shape, generator=g)).clamp(0,1)
def poisson(x, l, i):
    g = torch.Generator().manual_seed(i)
    return torch.poisson(l*x, generator=g)/l
def psnr(a, b): return -10*torch.log10(((a-b)**2).mean()).item()
def opp(x): return torch.einsum("ij,jhw->ihw", T, x)
def rgb(x): return torch.einsum("ji,jhw->ihw", T, x)
def pairs(kind):
    if kind == "fmd24":
        ps = sorted(glob.glob(D+"fmd24/raw/*")); return [(load(p), load(p.replace("/raw/","/gt/"))) for p in ps]
    if kind == "sidd40":
        ps = sorted(glob.glob(D+"sidd40/noisy/*")); return [(load(p), load(p.replace("/noisy/","/gt/"))) for p in ps]
    ps = sorted(glob.glob(D+"polyu20/*real*")); return [(load(p), load(p.replace("real","mean"))) for p in ps]
