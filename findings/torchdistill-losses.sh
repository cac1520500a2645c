#!/bin/sh
# findings/torchdistill-losses.sh    torchdistill 1.1.5, the field's library of distillation losses, on a CPU: three of its losses compute what
# neither their documentation nor their names say, though AT, PKT, RKD, VID, AB and CRD agree with the public code to a millionth.
#   KDLoss with alpha = 0 (the teacher's answers alone), or called without labels, leaves out both T² and beta: at T = 4 a sixteenth of the
#   documented alpha·CE + beta·T²·KL, from one value of alpha to the next.
#   SPKDLoss divides the rows of its similarity matrices by the sums of their magnitudes instead of their L2 norms, since the 1 that is
#   meant as `dim` is torch.nn.functional.normalize's `p`. Its gradient is smaller about as many times as the batch has images, so that a
#   weight from elsewhere (3000 in the public code) means something else at every batch size.
#   DISTPlusLoss adds the correlation of student's and teacher's channels where its other three terms are 1 − a correlation: a student whose
#   maps are the teacher's has a greater loss than one whose maps have nothing to do with them, and training turns the channels against the
#   teacher's.
# Our program is not used; docs/papers.md §10.3 sets its losses beside ours.
#
# torch 2.15.0 and torchdistill 1.1.5 are installed from PyPI into a temporary folder (about 3 GB, with the CUDA libraries that torch asks
# for); each loss is computed in double precision from sines, and again by its documented formula, or stands beside what the
# public code (RepDistiller b84f547, mdistiller a08d46f) gives for the same numbers.
# Seen: KD at alpha 1e-12: 0.326649, at alpha 0 and without labels: 0.020416 whatever beta is. SP: 0.111627 where L2 norms give 0.325604;
# gradients of random maps 13, 60 and 251 times smaller at batches of 16, 64 and 256. DIST+: 1.000 of a copy, 0.969 of unrelated maps, whose
# correlation goes from −0.007 to −1.000 in 300 steps.
# Needs Python 3.10 to 3.14 with venv. Not in CI; run it before a commit that concerns it.
# Exit codes: 0 as described, 1 the behaviour changed, 2 it could not be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
cd "$work" || exit 2

python3 -m venv venv && venv/bin/pip install -q --no-cache-dir torch==2.15.0 numpy pyyaml &&
    venv/bin/pip install -q --no-cache-dir --no-deps torchdistill==1.1.5 || { echo "$0: torch and torchdistill could not be installed" >&2; exit 2; }

cat > losses.py <<'PY'
import math
import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax, normalize, softmax
from torchdistill.losses import mid_level
from torchdistill.losses.mid_level import DISTPlusLoss, KDLoss, SPKDLoss

as_described = True


def check(what, found, expected):
    global as_described
    holds = math.isclose(found, expected, rel_tol=1e-6)
    as_described &= holds
    print(f"{what}: {found:.6f}" + ("" if holds else f" (expected: {expected:.6f})"))


def wave(f, *shape):
    return f(torch.arange(math.prod(shape), dtype=torch.float64)).reshape(shape)


def both(student, teacher):
    return {"net": {"output": student}}, {"net": {"output": teacher}}


# Those that agree: the public code's values of sin(1 + i) and cos(0.5 + 0.7 i).
sines, cosines = lambda i: torch.sin(1 + i), lambda i: torch.cos(0.5 + 0.7 * i)
maps = wave(sines, 4, 3, 2, 2), wave(cosines, 4, 5, 2, 2)
vectors = wave(sines, 4, 3), wave(cosines, 4, 5)
pair = {"pair": {side: {"io": "output", "path": "net"} for side in ("student", "teacher")}}
check("ATLoss", mid_level.ATLoss(pair)(*both(*maps)).item(), 0.0535426912)
check("PKTLoss", mid_level.PKTLoss("net", "output", "net", "output")(*both(*vectors)).item(), 0.0233312577)
check("RKDLoss, 25, 50", mid_level.RKDLoss("net", "net", 25, 50, "mean")(*both(*vectors)).item(), 0.6995384550)
estimate = maps[0].relu(), torch.full((1, 3, 1, 1), 5.0, dtype=torch.float64)
check("VIDLoss, of regressors that change nothing", mid_level.VIDLoss(pair)(*both(estimate, wave(cosines, 4, 3, 2, 2))).item(), 0.8728596419)
check("AltActTransferLoss, the sum", mid_level.AltActTransferLoss(pair, 1.0, "sum")(*both(maps[0], wave(cosines, 4, 3, 2, 2))).item(),
      67.6161622193)
drawn = torch.tensor([[0, 1, 2, 4], [3, 5, 0, 1]])


class Crd(mid_level.CRDLoss):
    def init_prob_alias(self, probs):  # negatives are given here; to draw them it reads an attribute that it does not set
        self.probs, self.alias = torch.ones(6), torch.zeros(6, dtype=torch.int64)


crd = Crd("net", "index", "net", 2, 6, 3, 6).double()
crd.params[1] = 0.07
crd.memory_v1.copy_(0.3 * wave(lambda i: torch.sin(2 + i), 6, 2))
crd.memory_v2.copy_(0.3 * wave(lambda i: torch.cos(1 + i), 6, 2))
embeddings = both(normalize(wave(sines, 2, 2)), normalize(wave(cosines, 2, 2)))
embeddings[0]["index"] = {"input": {"pos_idx": drawn[:, 0], "contrast_idx": drawn}}
check("CRDLoss, negatives given", crd(*embeddings).item(), 3.3831459324 + 4.7563834520)

# Those that do not.

student, teacher = wave(lambda i: 2 * torch.sin(1 + i), 4, 3), wave(lambda i: 2 * torch.cos(0.5 + 0.7 * i), 4, 3)
labels, T = torch.tensor([0, 2, 1, 0]), 4.0
kl = kl_div(log_softmax(student / T, 1), softmax(teacher / T, 1), reduction="batchmean").item()
ce = cross_entropy(student, labels).item()
for alpha, beta in ((0.5, 1.0), (1e-12, 1.0), (0.0, 1.0), (0.0, 100.0)):
    loss = KDLoss("net", "output", "net", "output", T, alpha=alpha, beta=beta)(*both(student, teacher), labels).item()
    check(f"KDLoss, T = 4, alpha = {alpha}, beta = {beta}", loss, alpha * ce + beta * T * T * kl if alpha > 0 else kl)
loss = KDLoss("net", "output", "net", "output", T, alpha=0.5)(*both(student, teacher)).item()
check("KDLoss, T = 4, alpha = 0.5, without labels", loss, kl)


def similarity_loss(student, teacher, p):
    gram = [normalize(m.flatten(1) @ m.flatten(1).T, p=p, dim=1) for m in (student, teacher)]
    return (gram[0] - gram[1]).square().sum() / len(student) ** 2


def gradient(loss, student):
    at = student.clone().requires_grad_()
    loss(at).backward()
    return at.grad.norm().item()


library = SPKDLoss("net", "net", "batchmean")
check("SPKDLoss", library(*both(*maps)).item(), similarity_loss(*maps, p=1).item())
print(f"  the same by L2 norms: {similarity_loss(*maps, p=2).item():.6f}")
as_described &= similarity_loss(*maps, p=2) > 2 * similarity_loss(*maps, p=1)
torch.manual_seed(0)
for batch in (16, 64, 256):
    s, t = torch.relu(torch.randn(2, batch, 64, 8, 8, dtype=torch.float64))
    ratio = gradient(lambda m: similarity_loss(m, t, 2), s) / gradient(lambda m: library(*both(m, t)), s)
    print(f"SP's gradient by L2 norms over SPKDLoss', random maps, batch {batch}: {ratio:.0f}")
    as_described &= batch / 2 < ratio < 2 * batch

def correlation(a, b):
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))).mean().item()


torch.manual_seed(0)
logits, taught, unrelated = torch.randn(4, 10).double(), *(torch.randn(4, 16, 4, 4).double().relu() for _ in range(2))
dist = DISTPlusLoss("logits", "output", "logits", "output", "net", "output", "net", "output")


def of_maps(student):
    return dist(*({"logits": {"output": logits}, **side} for side in both(student, taught)))


before = correlation(unrelated, taught)
copy, other, student = of_maps(taught).item(), of_maps(unrelated).item(), unrelated.clone().requires_grad_()
steps = torch.optim.SGD([student], 20.0)
for _ in range(300):
    steps.zero_grad()
    of_maps(student).backward()
    steps.step()
after = correlation(student.detach(), taught)
print(f"DISTPlusLoss: of a copy of the teacher's maps {copy:.3f}, of unrelated ones {other:.3f}, whose correlation trains from {before:.3f} to {after:.3f}")
as_described &= copy > other and after < -0.9
raise SystemExit(0 if as_described else 3)
PY

venv/bin/python losses.py
case $? in
0) echo "as described: no T² at alpha 0, rows by sums of magnitudes, channels turned against the teacher's" ;;
3) echo "changed: not as described"; exit 1 ;;
*) exit 2 ;;
esac
