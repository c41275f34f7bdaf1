# oracle: noise autocovariance from truth, ridge with lags
from exp import *

from oldgrouping import Groups
import torch.nn.functional as F
def autocov(r, m):
    # biased estimate via FFT, per channel
    H,W = r.shape[-2:]
    f = torch.fft.rfft2(r, s=(2*H,2*W)); p = torch.fft.irfft2(f.abs()**2, s=(2*H,2*W))/(H*W)
    p = torch.roll(p, (m,m), (-2,-1))[..., :2*m+1, :2*m+1]
    t = 1-torch.arange(-m,m+1).abs()/(m+1.)
    return p*t[:,None]*t
def blur(x, s):
    if s==0: return x
    k = torch.exp(-torch.arange(-6,7).float()**2/2/s**2); k/=k.sum()
    x = F.pad(x[:,None],(6,6,6,6),mode="reflect")
    return F.conv2d(F.conv2d(x,k.view(1,1,1,-1)),k.view(1,1,-1,1))[:,0]
def run(n, g, P, lagged=True, gb=1.0, m=5):
    o = opp(n) if n.shape[0]==3 else n
    og = opp(g) if n.shape[0]==3 else g
    r = o-og
    # oracle variance map by intensity: local var of residual smoothed
    v = blur(r.square(), 6).clamp(min=1e-7)
    cov = autocov(r/v.sqrt(), m); lags = cov.mean(0); lags = lags/lags[m,m] if lagged else None
    a = regressed(o, None, blur(o, gb)[0], v, Groups(*P[0]), lags)
    for q in P[1:]:
        a = regressed(o, a, a[0], v, Groups(*q), lags)
    return rgb(a) if n.shape[0]==3 else a
if __name__ == "__main__":
    kind = sys.argv[1]; step = int(sys.argv[2])
    ps = pairs(kind)[::step]
    base = np.mean([psnr(*p) for p in ps]); print(kind, len(ps), "noisy", round(base,2))
    for name, kw in {"white": dict(lagged=False), "lags": dict(), "lags m=8": dict(m=8), "lags no blur": dict(gb=0.)}.items():
        for P in ([(9,18,37,4),(9,90,37,4)], [(9,18,37,4),(9,90,37,4),(9,90,37,4)]):
            t=time.time(); r=[psnr(run(n,g,P,**kw).clamp(0,1),g)-psnr(n,g) for n,g in ps]
            print(name, P, "gain", round(np.mean(r),2), [round(v,1) for v in r], round((time.time()-t)/len(ps),1),"s", flush=True)
