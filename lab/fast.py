from exp import *
from impasto.denoise.network import initial, predicted_noise, cleaned
from impasto.denoise.training import pair_loss
import math
torch.set_num_threads(int(sys.argv[2]) if len(sys.argv)>2 else 1)
def letter(y, seed=0, steps=2000):
    p=[q.requires_grad_() for q in initial(3,seed)]
    o=torch.optim.Adam(p, lr=1e-3); s=torch.optim.lr_scheduler.StepLR(o,1500,.5)
    for _ in range(steps):
        o.zero_grad(); pair_loss(p,y[None]).backward(); o.step(); s.step()
    with torch.no_grad(): return cleaned(p,y[None])[0].clamp(0,1)
def tta(p,y):
    out=0
    with torch.no_grad():
        for t in (False,True):
            for f in ((),(-1,),(-2,),(-2,-1)):
                z=y.transpose(-1,-2) if t else y
                z=z.flip(f) if f else z
                d=cleaned(p,z[None])[0]
                d=d.flip(f) if f else d
                out=out+(d.transpose(-1,-2) if t else d)
    return (out/8).clamp(0,1)
def fast(y, steps, batch, crop, lr, beta2=.99, ema=.98, seed=0):
    p=[q.requires_grad_() for q in initial(3,seed)]
    o=torch.optim.Adam(p, lr=lr, betas=(.9,beta2))
    g=torch.Generator().manual_seed(seed)
    avg=[q.detach().clone() for q in p]
    H,W=y.shape[1:]
    for i in range(steps):
        r=i/steps; 
        for gr in o.param_groups: gr["lr"]=lr*min(1,(i+1)/20)*(.5*(1+math.cos(math.pi*r))*.95+.05)
        tops=torch.randint(0,(H-crop)//2+1,(batch,),generator=g)*2; lefts=torch.randint(0,(W-crop)//2+1,(batch,),generator=g)*2
        z=torch.stack([y[:,t:t+crop,l:l+crop] for t,l in zip(tops.tolist(),lefts.tolist())])
        o.zero_grad(); pair_loss(p,z).backward(); o.step()
        with torch.no_grad():
            for a,q in zip(avg,p): a.lerp_(q,1-min(ema,(i+1)/(i+10)))
    return p, avg
if __name__=="__main__":
    xs=mcm(int(sys.argv[1]))
    for s in (25,):
        ys=[gauss(x,s,i) for i,x in enumerate(xs)]
        for cfg in [(300,4,64,3e-3),(300,4,64,6e-3),(600,2,64,3e-3),(600,4,64,3e-3),(1000,1,64,3e-3),(600,1,96,3e-3)]:
            t=time.time(); r=[];ra=[];rt=[]
            for x,y in zip(xs,ys):
                p,a=fast(y,*cfg)
                with torch.no_grad(): r.append(psnr(cleaned(p,y[None])[0].clamp(0,1),x)); ra.append(psnr(cleaned(a,y[None])[0].clamp(0,1),x))
                rt.append(psnr(tta(a,y),x))
            print(s,cfg,round((time.time()-t)/len(xs),1),"s plain",round(np.mean(r),3),"ema",round(np.mean(ra),3),"tta",round(np.mean(rt),3),[round(v,2) for v in rt],flush=True)
        t=time.time(); r=[psnr(letter(y),x) for x,y in zip(xs,ys)]
        print(s,"letter",round((time.time()-t)/len(xs),1),round(np.mean(r),3),[round(v,2) for v in r],flush=True)
