from lab import *
from impasto.denoise.noise import estimated
from impasto.denoise.nonlocal_ridge import nl_ridge, working_basis
torch.set_num_threads(1)
kind=sys.argv[1]; step=int(sys.argv[2]); size=int(sys.argv[3])
if kind[0]=="g": s=int(kind[1:]); ps=[(gauss(x,s,i),x) for i,x in enumerate(mcm())]
elif kind[0]=="p" and kind!="polyu20": s=int(kind[1:]); ps=[(poisson(x,s,i),x) for i,x in enumerate(mcm())]
else: ps=pairs(kind)
t=time.time(); r=[]
for n,g in ps[::step]:
    h,w=[min(size,q) for q in n.shape[1:]]; a,b=(n.shape[1]-h)//2,(n.shape[2]-w)//2
    n,g=n[:,a:a+h,b:b+w].contiguous(),g[:,a:a+h,b:b+w].contiguous()
    N=estimated(n,working_basis(len(n))); o=nl_ridge(n,N).clamp(0,1); r.append((psnr(n,g),psnr(o,g)))
    if len(sys.argv)>4: print(kind,[round(q,1) for q in r[-1]],"corr" if N.lags is not None else ("white",round(N.gain,4),round(N.sigma*255,1)),N.clipped,flush=True)
r=np.array(r); print(kind,size,"noisy",r[:,0].mean().round(2),"psnr",r[:,1].mean().round(2),"gain",(r[:,1]-r[:,0]).mean().round(2),"worst",(r[:,1]-r[:,0]).min().round(2),round((time.time()-t)/len(r),1),"s",flush=True)
