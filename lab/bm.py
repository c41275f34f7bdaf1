from exp import *
import bm3d
torch.set_num_threads(2)
N=int(sys.argv[1])
def cb(y, s): return torch.from_numpy(bm3d.bm3d_rgb(y.permute(1,2,0).double().numpy(), s)).permute(2,0,1).float()
for s in (10,25,50):
    r=[]; t=time.time()
    for i,x in enumerate(mcm(N)):
        y=gauss(x,s,i); r.append(psnr(cb(y,s/255).clamp(0,1),x))
    print("cbm3d", s, round(np.mean(r),3), round((time.time()-t)/N,1), [round(v,2) for v in r], flush=True)
for l in (50,25,10):
    r=[]; t=time.time()
    for i,x in enumerate(mcm(N)):
        y=poisson(x,l,i); z=2*(y*l+3/8).sqrt()
        d=cb(z/10,.1)*10
        d=d.clamp(min=2*(3/8)**.5)
        inv=(d/2)**2+ .25*(1.5**.5)/d -11/8/d**2 + 5/8*(1.5**.5)/d**3 - 1/8
        r.append(psnr((inv/l).clamp(0,1),x))
    print("cbm3d anscombe", l, round(np.mean(r),3), round((time.time()-t)/N,1), [round(v,2) for v in r], flush=True)
