from exp import *
from oldgrouping import Groups, grouped, patches, picture_of
import torch.nn.functional as F
def blur(x, s):
    if s==0: return x
    k = torch.exp(-torch.arange(-6,7).float()**2/2/s**2); k/=k.sum()
    x = F.pad(x[:,None],(6,6,6,6),mode="reflect")
    return F.conv2d(F.conv2d(x,k.view(1,1,1,-1)),k.view(1,1,-1,1))[:,0]
def spd_solve(A, B):
    j = 1e-6*A.diagonal(dim1=1,dim2=2).mean(1)+1e-10
    for up in (1,30,1000,30000):
        L,bad = torch.linalg.cholesky_ex(A + up*j[:,None,None]*torch.eye(A.shape[1]))
        if not bad.any(): break
    return torch.cholesky_solve(B, L)
def right(y, x, N, tau=1., affine=True, sub=0.):
    """y,x (G,k,n); N (G,k) noise energy"""
    I = torch.eye(y.shape[1])
    s = y if x is None else x
    A = s@s.transpose(1,2)
    D = torch.diag_embed(N*tau)
    if x is not None: A = A + D
    B = spd_solve(A, torch.cat([D, torch.ones(*A.shape[:2],1)],2))
    B, o = B[...,:-1], B[...,-1:]
    th = I - B
    if affine: th = th + o@(B.sum(1,keepdim=True)/o.sum(1,keepdim=True))
    return th.transpose(1,2)@y, 1/th.square().sum(1).clamp(min=1e-6)
def mean(y, x, N):
    return y.mean(1,keepdim=True).expand_as(y), torch.full(y.shape[:2], float(y.shape[1]))
def eig(y, x, N, tau=1.):
    """positive part in eigenbasis of the k×k Gram of centred rows"""
    m = y.mean(1,keepdim=True); z = y-m
    k,n = z.shape[1:]
    A = z@z.transpose(1,2) if k<=n else z.transpose(1,2)@z
    lam,U = torch.linalg.eigh(A.double() if False else A)
    v = N.mean(1)/n  # variance
    # optimal Frobenius shrinkage (Gavish, Donoho)
    big = max(k,n); beta = min(k,n)/big
    l2 = lam/(big*v[:,None])   # normalised s^2
    g = ((l2-beta-1)**2-4*beta).clamp(min=0).sqrt()/l2.clamp(min=1e-9)
    g = torch.where(l2>(1+beta**.5)**2, g, torch.zeros_like(g))
    P = (U*g[:,None])@U.transpose(1,2)
    out = (P@z if k<=n else z@P)+m
    w = 1/(1/k + (g.square().sum(1)/ (k))).clamp(min=1e-6)
    return out, w[:,None].expand(y.shape[:2])
def pas(o, pilot, guide, var, g, fn, **kw):
    C,H,W = o.shape; g = Groups(*g); patch=(g.patch,g.patch); size=(H-g.patch+1, W-g.patch+1)
    seen=patches(guide,patch); ny=[patches(q,patch) for q in o]; px=None if pilot is None else [patches(q,patch) for q in pilot]
    ones=torch.ones(1,1,*patch); sp=[F.conv2d(q[None,None],ones).flatten() for q in var]
    S=[torch.zeros_like(r) for r in ny]; Wt=[torch.zeros(len(r)) for r in ny]
    for near in grouped(seen,size,g,patch):
        f=near.flatten()
        for c in range(C):
            y=ny[c][f].view(*near.shape,-1); x=None if px is None else px[c][f].view(*near.shape,-1)
            e,w=fn(y,x,sp[c][near],**kw)
            rows=(e*w[...,None]).flatten(0,1)
            S[c].scatter_add_(0,f[:,None].expand_as(rows),rows); Wt[c].scatter_add_(0,f,w.flatten())
    return torch.stack([picture_of(S[c],(H,W),patch)/F.conv_transpose2d(Wt[c].view(1,1,*size),ones)[0,0] for c in range(C)])
def joint(o, pilot, guide, var, g, tau=1.):
    """left filter over all colours: n = 3p²"""
    C,H,W = o.shape; g = Groups(*g); patch=(g.patch,g.patch); size=(H-g.patch+1, W-g.patch+1)
    seen=patches(guide,patch); ny=torch.cat([patches(q,patch) for q in o],1); px=torch.cat([patches(q,patch) for q in pilot],1)
    ones=torch.ones(1,1,*patch); S=torch.zeros_like(ny); Wt=torch.zeros(len(ny)); n=ny.shape[1]
    v=var.flatten()[0]
    for near in grouped(seen,size,g,patch):
        f=near.flatten(); y=ny[f].view(*near.shape,-1); x=px[f].view(*near.shape,-1)
        m=x.mean(1,keepdim=True); k=x.shape[1]
        Cx=(x-m).transpose(1,2)@(x-m)/(k-1)
        B=spd_solve(Cx+tau*v*torch.eye(n), Cx)   # symmetric-ish: (C+vI)^-1 C
        e=(y-m)@B+m
        w=torch.ones(near.shape)
        S.scatter_add_(0,f[:,None].expand(len(f),n),(e*w[...,None]).flatten(0,1)); Wt.scatter_add_(0,f,w.flatten())
    d=F.conv_transpose2d(Wt.view(1,1,*size),ones)[0,0]
    p2=patch[0]**2
    return torch.stack([picture_of(S[:,c*p2:(c+1)*p2].contiguous(),(H,W),patch)/d for c in range(C)])
def crops(n=6, s=128):
    return [x[:,64:64+s,64:64+s].contiguous() for x in mcm(2*n)[::2]]
def chain(y, s, stages, gb):
    o=opp(y); v=torch.full_like(o,(s/255)**2); a=None; outs=[]
    for fn,g,kw in stages:
        guide=blur(o,gb)[0] if a is None else a[0]
        a = joint(o,a,guide,v,g,**kw) if fn=="joint" else pas(o,a,guide,v,g,fn,**kw)
        outs.append(a)
    return [rgb(q) for q in outs]
def trial(name, s, stages, gb=.7, n=6):
    xs=crops(n); t=time.time(); r=[]
    for i,x in enumerate(xs):
        r.append([psnr(q.clamp(0,1),x) for q in chain(gauss(x,s,i),s,stages,gb)])
    print(s, name, [round(v,3) for v in np.mean(r,0)], round((time.time()-t)/n,1), "s", flush=True)
