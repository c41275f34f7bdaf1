from lab import *
from sidd import autocov
torch.set_num_threads(1)
def corr(near, columns, lags):
    down,right_=near//columns, near%columns; m=lags.shape[0]//2
    dy=(down[:,:,None]-down[:,None,:]).clamp(-m-1,m+1)+m+1; dx=(right_[:,:,None]-right_[:,None,:]).clamp(-m-1,m+1)+m+1
    return F.pad(lags,(1,1,1,1))[dy,dx]
def pas(o, pilot, guide, var, g, lags):
    C,H,W = o.shape; g = Groups(*g); patch=(g.patch,g.patch); size=(H-g.patch+1, W-g.patch+1)
    seen=patches(guide,patch); ny=[patches(q,patch) for q in o]; px=None if pilot is None else [patches(q,patch) for q in pilot]
    ones=torch.ones(1,1,*patch); sp=[F.conv2d(q[None,None],ones).flatten() for q in var]
    S=[torch.zeros_like(r) for r in ny]; Wt=[torch.zeros(len(r)) for r in ny]
    for near in grouped(seen,size,g,patch):
        f=near.flatten(); R=None if lags is None else [corr(near,size[1],l) for l in lags]
        for c in range(C):
            y=ny[c][f].view(*near.shape,-1); x=None if px is None else px[c][f].view(*near.shape,-1)
            mu=y.mean((1,2),keepdim=True); y=y-mu; x=None if x is None else x-mu
            N=sp[c][near]; D=torch.diag_embed(N) if R is None else R[c]*(N[:,:,None]*N[:,None]).sqrt()
            s=y if x is None else x; A=s@s.transpose(1,2); A=A if x is None else A+D
            B=spd_solve(A, torch.cat([D, torch.ones(*A.shape[:2],1)],2)); B,q=B[...,:-1],B[...,-1:]
            th=torch.eye(y.shape[1])-B; th=th+q@(B.sum(1,keepdim=True)/q.sum(1,keepdim=True))
            e=th.transpose(1,2)@y+mu
            w=1/((th*(D@th)).sum(1)/N.mean(1,keepdim=True)).clamp(min=1e-4)
            rows=(e*w[...,None]).flatten(0,1); S[c].scatter_add_(0,f[:,None].expand_as(rows),rows); Wt[c].scatter_add_(0,f,w.flatten())
    return torch.stack([picture_of(S[c],(H,W),patch)/F.conv_transpose2d(Wt[c].view(1,1,*size),ones)[0,0] for c in range(C)])
def joint(o, pilot, guide, var, g, lags):
    C,H,W = o.shape; g = Groups(*g); p=g.patch; patch=(p,p); size=(H-p+1, W-p+1)
    seen=patches(guide,patch); ny=torch.cat([patches(q,patch) for q in o],1); px=torch.cat([patches(q,patch) for q in pilot],1); vr=torch.cat([patches(q,patch) for q in var],1)
    ones=torch.ones(1,1,*patch); S=torch.zeros_like(ny); Wt=torch.zeros(len(ny)); n=ny.shape[1]
    if lags is None: R=torch.eye(n)
    else:
        yy,xx=[q.flatten() for q in torch.meshgrid(torch.arange(p),torch.arange(p),indexing="ij")]
        m=lags[0].shape[0]//2; L=[F.pad(l,(p,p,p,p)) for l in lags]
        R=torch.block_diag(*[l[yy[:,None]-yy+m+p, xx[:,None]-xx+m+p] for l in L])
    for near in grouped(seen,size,g,patch):
        f=near.flatten(); y=ny[f].view(*near.shape,-1); x=px[f].view(*near.shape,-1); v=vr[f].view(*near.shape,-1).mean(1).sqrt()
        m=x.mean(1,keepdim=True); Cx=(x-m).transpose(1,2)@(x-m)/(x.shape[1]-1)
        B=spd_solve(Cx+R*v[:,:,None]*v[:,None], Cx)
        e=(y-m)@B+m
        S.scatter_add_(0,f[:,None].expand(len(f),n),e.flatten(0,1)); Wt.scatter_add_(0,f,torch.ones(len(f)))
    d=F.conv_transpose2d(Wt.view(1,1,*size),ones)[0,0]; p2=p*p
    return torch.stack([picture_of(S[:,c*p2:(c+1)*p2].contiguous(),(H,W),patch)/d for c in range(C)])
def run(n,g,stages,lagged,gb,m=5):
    rgbq=n.shape[0]==3; o=opp(n) if rgbq else n; r=o-(opp(g) if rgbq else g)
    v=blur(r.square(),6).clamp(min=1e-7); cov=autocov(r/v.sqrt(),m)
    lags=[l/l[m,m] for l in cov] if lagged else None
    a=None; outs=[]
    for fn,gr in stages:
        a=fn(o,a,(blur(o,gb) if a is None else a)[0],v,gr,lags); outs.append(rgb(a) if rgbq else a)
    return outs
if __name__=="__main__":
    kind=sys.argv[1]; step=int(sys.argv[2]); ps=[(n[:,64:192,64:192].contiguous(),g[:,64:192,64:192].contiguous()) for n,g in pairs(kind)[::step]]
    print(kind,len(ps),"noisy",round(np.mean([psnr(*q) for q in ps]),2))
    A=[(pas,(9,18,37,6)),(pas,(9,60,37,6)),(joint,(5,60,37,4)),(pas,(9,60,37,6)),(joint,(5,45,37,4))]
    for name,kw,st in (("white",dict(lagged=False,gb=.7),A),("lags",dict(lagged=True,gb=.7),A),("lags gb2",dict(lagged=True,gb=2.),A),("lags m9",dict(lagged=True,gb=2.,m=9),A)):
        t=time.time(); r=[[psnr(q.clamp(0,1),g)-psnr(n,g) for q in run(n,g,st,**kw)] for n,g in ps]
        print(name,"gain",[round(v,2) for v in np.mean(r,0)],[round(q[-1],1) for q in r],round((time.time()-t)/len(ps),1),"s",flush=True)
