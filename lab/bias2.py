from lab6 import *
def table(gamma=2.2):
    """(m,v)->x by grid: returns function level,var -> x"""
    x=torch.linspace(0,1,120).double(); s=torch.cat([torch.zeros(1),torch.logspace(-4,0.3,90)]).double()
    lin=x[:,None,None]**gamma+s[None,:,None]*Z; q=lin.clamp(0,1)**(1/gamma)
    m=(q*WZ).sum(2); v=((q-m[...,None])**2*WZ).sum(2); return x,m,v
TX,TM,TV=table()
def invert(level,var):
    d=(TM-level)**2+ (TV.clamp(min=1e-9).sqrt()-max(var,1e-9)**.5)**2
    i=d.argmin(); return level + TX[i//TM.shape[1]].item() - TM.flatten()[i].item()
def curve(y):
    """per channel: levels, x"""
    m,R,b=blocks_stats(y); N=R.shape[1]; lum=m.mean(0); e=R.square().mean(2)*(b*b/(b*b-3))
    s=F.avg_pool2d(R.mean(0).view(N,1,b,b),4).square().mean((1,2,3))
    lev=[];var=[]
    for part in lum.argsort().chunk(6):
        n=max(6,int(len(part)*.12)); pk=part[s[part].argsort()[:n]]; lev.append(m[:,pk].mean(1)); var.append(e[:,pk].mean(1)*1.05)
    L=torch.stack(lev,1); V=torch.stack(var,1); out=[]
    for c in range(3):
        i=L[c].argsort(); l=L[c][i]; off=torch.tensor([invert(a,b) for a,b in zip(l.tolist(),V[c][i].tolist())]).float()-l
        out.append((l,off.clamp(min=0)))
    return out
def debias(o,y):
    res=[]
    for c,(l,off) in enumerate(curve(y)): res.append(o[c]+interp(o[c],l,off))
    return torch.stack(res)
if __name__=="__main__":
    R=[]
    for kind,st in (("sidd40",1),("polyu20",2)):
        R=[]
        for i,(n,g) in list(enumerate(pairs(kind)))[::st]:
            n,g=n[:,64:192,64:192].contiguous(),g[:,64:192,64:192].contiguous()
            outs,info=run(n); o=outs[-1]; d=debias(o,n)
            R.append((psnr(n,g),psnr(o,g),psnr(d.clamp(0,1),g)))
        R=np.array(R); print(kind,R.mean(0).round(2),(R[:,2]-R[:,1]).round(1).tolist(),flush=True)
