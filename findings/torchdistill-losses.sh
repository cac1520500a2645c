#!/bin/sh
# findings/torchdistill-losses.sh    torchdistill 1.1.5, the field's library of distillation losses, on a CPU: two of its losses compute what
# neither their documentation nor their papers' forms say, though most agree with the public code to the digit.
#   KDLoss with alpha = 0 (the teacher's answers alone), or called without labels, leaves out both T² and beta: at T = 4 a sixteenth of the
#   documented alpha·CE + beta·T²·KL, so that a learning rate found at a small alpha trains almost nothing at alpha = 0.
#   SPKDLoss divides the rows of its similarity matrices by the sums of their magnitudes instead of their L2 norms, since the 1 that is
#   meant as `dim` is torch.nn.functional.normalize's `p`. Its gradient is smaller about as many times as the batch has images: a weight
#   from elsewhere (3000 in the public code) does next to nothing, and means something else at every batch size.
# Our program is not used; docs/papers.md §10.3 sets its losses beside ours.
#
# torch 2.15.0 and torchdistill 1.1.5 are installed from PyPI into a temporary folder (about 3 GB, with the CUDA libraries that torch asks
# for); each loss is computed in double precision from sines, and again by its documented formula.
# Seen: KD at alpha 1e-12: 0.326649, at alpha 0 and without labels: 0.020416 whatever beta is. SP: 0.111627 where L2 norms give 0.325604;
# gradients of random maps 13, 60 and 251 times smaller at batches of 16, 64 and 256.
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
from torchdistill.losses.mid_level import KDLoss, SPKDLoss

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
maps = wave(lambda i: torch.sin(1 + i), 4, 3, 2, 2), wave(lambda i: torch.cos(0.5 + 0.7 * i), 4, 5, 2, 2)
check("SPKDLoss", library(*both(*maps)).item(), similarity_loss(*maps, p=1).item())
print(f"  the same by L2 norms: {similarity_loss(*maps, p=2).item():.6f}")
as_described &= similarity_loss(*maps, p=2) > 2 * similarity_loss(*maps, p=1)
torch.manual_seed(0)
for batch in (16, 64, 256):
    s, t = torch.relu(torch.randn(2, batch, 64, 8, 8, dtype=torch.float64))
    ratio = gradient(lambda m: similarity_loss(m, t, 2), s) / gradient(lambda m: library(*both(m, t)), s)
    print(f"SP's gradient by L2 norms over SPKDLoss', random maps, batch {batch}: {ratio:.0f}")
    as_described &= batch / 2 < ratio < 2 * batch
raise SystemExit(0 if as_described else 3)
PY

venv/bin/python losses.py
case $? in
0) echo "as described: no T² at alpha 0, rows by sums of magnitudes" ;;
3) echo "changed: not as described"; exit 1 ;;
*) exit 2 ;;
esac
