from lab import *
torch.set_num_threads(1)
def chen(lam):
    d=lam.shape[-1]
    for i in range(d,0,-1):
        tau=lam[:i].mean()
        if (lam[:i]>tau).sum() >= (lam[:i]<tau).sum(): return tau.item()
    return lam[0].item()
def blocks_stats(x, b=12, stride=4, reach=3):
    """per block: channel means (C,N), detrended energy (C,N), score (N), residual blocks"""
    C,H,W=x.shape; stride=max(stride, int((H*W/60000)**.5*4)//2*2)
    yy,xx=torch.meshgrid(torch.arange(b).float()-(b-1)/2,torch.arange(b).float()-(b-1)/2,indexing="ij")
    A=torch.stack([torch.ones(b*b),yy.flatten(),xx.flatten()],1); Q,_=torch.linalg.qr(A)
    V=F.unfold(x[:,None],b,stride=stride).transpose(1,2)  # C,N,bb
    m=V.mean(2); R=V-(V@Q)@Q.T
    return m,R,b
def flat(x, frac=.12, bins=6):
    m,R,b=blocks_stats(x); C,N,_=R.shape
    lum=m.mean(0); e=R.square().mean(2)*(b*b/(b*b-3))
    # structure: energy of the smoothed residual of all channels
    Z=R.mean(0).view(N,1,b,b); s=F.avg_pool2d(Z,4).square().mean((1,2,3))
    clipfrac=0
    out=[]; picks=[]
    for part in lum.argsort().chunk(bins):
        n=max(6,int(len(part)*frac)); pk=part[s[part].argsort()[:n]]
        out.append((m[:,pk].mean(1), e[:,pk].mean(1))); picks.append(pk)
    return torch.stack([o[0] for o in out],1), torch.stack([o[1] for o in out],1), R, picks, b
def autoc(R,picks,b,reach=4):
    pk=torch.cat(picks); V=R[:,pk]; V=V/V.square().mean(2,keepdim=True).sqrt().clamp(min=1e-6); V=V.view(V.shape[0],-1,b,b)
    o=torch.zeros(V.shape[0],2*reach+1,2*reach+1)
    for dy in range(-reach,reach+1):
        for dx in range(-reach,reach+1):
            o[:,dy+reach,dx+reach]=(V[...,max(0,dy):b+min(0,dy),max(0,dx):b+min(0,dx)]*V[...,max(0,-dy):b+min(0,-dy),max(0,-dx):b+min(0,-dx)]).mean((1,2,3))
    return o
def pca_bins(plane,p=5,bins=6):
    rows=F.unfold(plane[None,None],p)[0].T
    if len(rows)>40000: rows=rows[torch.randperm(len(rows),generator=torch.Generator().manual_seed(0))[:40000]]
    m=rows.mean(1); out=[]
    for part in m.argsort().chunk(bins):
        q=rows[part]; q=q-q.mean(1,keepdim=True)  # remove dc: one zero eigenvalue
        lam=torch.linalg.eigvalsh(torch.cov(q.double().T))[1:]
        out.append((m[part].mean().item(), chen(lam)))
    return out
if __name__=="__main__":
    for s in (10,25,50):
        for i,x in enumerate(mcm(8)):
            y=gauss(x,s,i); M,V,R,pk,b=flat(y)
            print(s,i,"flat G",[(round(a,2),round(v**.5*255,1)) for a,v in zip(M[1].tolist(),V[1].tolist())],"pca",[(round(a,2),round(v**.5*255,1)) for a,v in pca_bins(y[1])],flush=True)
    for kind,st in (("fmd24",4),("sidd40",5)):
        for n,g in pairs(kind)[::st]:
            M,V,R,pk,b=flat(n); c=0; r=n-g
            # truth by the same levels
            o=g[c].flatten().argsort().chunk(6)
            print(kind,"flat",[(round(a,2),round(v**.5*255,1)) for a,v in zip(M[c].tolist(),V[c].tolist())],"true",[(round(g[c].flatten()[q].mean().item(),2),round(r[c].flatten()[q].std().item()*255,1)) for q in o],"pca",[(round(a,2),round(v**.5*255,1)) for a,v in pca_bins(n[c])],"ac",[round(q,2) for q in autoc(R,pk,b)[0,4,4:].tolist()])
