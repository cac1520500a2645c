#!/usr/bin/python3
"""Writes mhgd_*.csv, mhan_*.csv, kd-svd_*.csv and mhgd_pieces.csv beside it: MHGD, its attention networks and KD-SVD in PyTorch, from
docs/papers.md §4 and §6.8, for tests/test_mhgd.cpp and tests/test_ops_attention.cpp to reproduce.

    /usr/bin/python3 tests/golden/make_mhgd_fixtures.py              (Debian: python3-torch; a minute, one thread)
    /usr/bin/python3 tests/golden/make_mhgd_fixtures.py --mistakes   writes nothing; prints how far mistakes move each trajectory

Images, labels, networks, optimiser and columns as in make_fixtures.py; the teacher resnet14 sees `teacher.`, the student resnet8 `student.`.
Attention networks (8 heads): `mha.<p>.…` by the formula, but the running mean 0.1 r and the running variance 0.02 + 0.004 r, so that after
the BatchNorm queries and keys are O(1), as trained ones are. Epoch 0, so the sigmoid is 0.5. Columns loss_ce, loss_transfer (before the
update), norm_ce, norm_transfer: of both gradients over all parameters, before mixing.
mhan_*: loss_mha of training the attention networks alone on the teacher, all heads kept; BatchNorm by the batch; lr 0.1, momentum 0.9,
Nesterov, decay 1e-3; after the last step `norm` rows hold the L2 norm of all running means and variances.
"""
import sys

import torch
import torch.nn.functional as F

from make_fixtures import BATCH, CLASSES, Case, case_rows, dataset, fill, float32, make_teacher, nets, optimiser, r, write

TEACHER, STUDENT, HEADS, STEPS = "resnet14", "resnet8", 8, 3


# ---------------------------------------------------------------------------------------------- singular vectors
def leading(fmap, count):
    """(N,D,H,W) -> the first right singular vectors (N,count,D) of each sample's (H*W, D)."""
    n, d = fmap.shape[:2]
    return torch.linalg.svd(fmap.reshape(n, d, -1).transpose(1, 2), full_matrices=False).Vh[:, :count]


def teacher_vector(fmap):
    v = leading(fmap, 1)[:, 0]
    return v * torch.where(v.sum(1, keepdim=True) < 0, -1.0, 1.0).to(v.dtype)


def student_vector(fmap, teacher):
    v = leading(fmap, 4)
    cosines = (v * teacher[:, None]).sum(2)
    pick = cosines.detach().abs().argmax(1, keepdim=True)
    sign = torch.sign(cosines.detach().gather(1, pick))
    return v[torch.arange(len(v)), pick[:, 0]] * sign


def sensing(features):
    return [F.relu(features[f"pre{s}"]) for s in (1, 2, 3)]


# ---------------------------------------------------------------------------------------------- attention
class Projection(torch.nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.fc = torch.nn.Linear(n_in, n_out, bias=False)
        self.bn = torch.nn.BatchNorm1d(n_out)

    def forward(self, x):
        return self.bn(self.fc(x))


class Biased(torch.nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.fc = torch.nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.fc(x)


class Attention(torch.nn.Module):
    def __init__(self, front, back):
        super().__init__()
        self.d = (front + back) // 2
        self.theta, self.phi = Projection(back, HEADS * self.d), Projection(front, HEADS * self.d)
        self.f1, self.f2 = Projection(front, self.d), Biased(HEADS * self.d, back)

    def scores(self, front, back):
        """(heads, N, N)"""
        theta, phi = (p(v).reshape(len(v), HEADS, self.d).transpose(0, 1) for p, v in ((self.theta, back), (self.phi, front)))
        return theta @ phi.transpose(1, 2)

    def estimate(self, front, back):
        graph = F.softmax(self.scores(front, back), -1)
        attended = graph @ F.relu(self.f1(front))  # (heads, N, d)
        y = self.f2(torch.cat(list(attended), 1))
        return y / y.norm(dim=1, keepdim=True)


class Attentions(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.mha = torch.nn.ModuleList(Attention(a, b) for a, b in zip(channels, channels[1:]))


def attentions(dtype):
    module = fill(Attentions((16, 32, 64)).to(dtype))
    for name, tensor in module.state_dict().items():
        if name.endswith("running_mean"):
            tensor.copy_(float32(0.1 * r(name, tuple(tensor.shape)), dtype))
        if name.endswith("running_var"):
            tensor.copy_(float32(0.02 + 0.004 * r(name, tuple(tensor.shape)), dtype))
    return module


def cosine_loss(estimate, target):
    return (1 - F.cosine_similarity(estimate, target)).mean()


def divergence(graph_s, graph_t):
    log_s, log_t = F.log_softmax(graph_s, -1), F.log_softmax(graph_t, -1)
    return (log_s.exp() * (log_s - log_t)).sum()


def kernel(back, front):
    return torch.exp(-(back[:, :, None] - front[:, None, :]) ** 2 / 8)


# ---------------------------------------------------------------------------------------------- mixing
def mixed(main, transfer, rule, mistake):
    """The factor of a parameter's transfer gradient, in epoch 0."""
    m, t = main.norm(), transfer.norm()
    if t == 0 or mistake == "no transfer":
        return main
    if rule == "scale":
        tau = max(torch.ones_like(m), m / t)
        return main + transfer / (1 + torch.exp(-tau))
    factor = min(torch.ones_like(m), m / t) if mistake != "not clipped" else 1
    return main + factor * (1 if mistake == "no sigmoid" else 0.5) * transfer


def transfer_loss(method, attention, v_s, v_t):
    pairs = range(len(v_s) - 1)
    if method == "mhgd":
        return sum(divergence(torch.tanh(a.scores(v_s[p], v_s[p + 1])), torch.tanh(a.scores(v_t[p], v_t[p + 1])))
                   for p, a in enumerate(attention.mha))
    if method == "kd-svd":
        return sum(((kernel(v_s[p + 1], v_s[p]) - kernel(v_t[p + 1], v_t[p])) ** 2).sum() for p in pairs)
    return sum(((s - t) ** 2).sum() for s, t in zip(v_s, v_t))


def train(method, rule, attention_bn, dtype, mistake=None):
    teacher, student = make_teacher(TEACHER, dtype), fill(nets.build(STUDENT, CLASSES).to(dtype), "student.")
    attention = attentions(dtype).requires_grad_(False).train(attention_bn == "batch")
    images, targets = dataset(dtype)
    sgd, rows = optimiser(student), []
    for s in range(STEPS):
        batch = slice(s * BATCH, (s + 1) * BATCH)
        v_t = [teacher_vector(f) for f in sensing(teacher(images[batch])[1])]
        logits, features = student(images[batch])
        v_s = [student_vector(f, t) for f, t in zip(sensing(features), v_t)]
        ce, transfer = F.cross_entropy(logits, targets[batch]), transfer_loss(method, attention, v_s, v_t)
        parameters = list(student.parameters())
        main = torch.autograd.grad(ce, parameters, retain_graph=True)
        other = [torch.zeros_like(p) if g is None else g
                 for p, g in zip(parameters, torch.autograd.grad(transfer, parameters, allow_unused=True))]
        for p, m, t in zip(parameters, main, other):
            p.grad = mixed(m, t, rule, mistake)
        sgd.step()
        norm = [torch.cat([g.flatten() for g in gradients]).norm().item() for gradients in (main, other)]
        rows.append(dict(loss_ce=ce.item(), loss_transfer=transfer.item(), norm_ce=norm[0], norm_transfer=norm[1]))
    return rows


def train_attention(dtype):
    teacher, attention = make_teacher(TEACHER, dtype), attentions(dtype)
    images, _ = dataset(dtype)
    sgd, rows = torch.optim.SGD(attention.parameters(), 0.1, 0.9, weight_decay=1e-3, nesterov=True), []
    for s in range(STEPS):
        v = [teacher_vector(f) for f in sensing(teacher(images[s * BATCH:(s + 1) * BATCH])[1])]
        loss = sum(cosine_loss(a.estimate(v[p], v[p + 1]), v[p + 1]) for p, a in enumerate(attention.mha))
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        running = torch.cat([t.flatten() for k, t in attention.state_dict().items() if "running_" in k])
        rows.append(dict(loss_mha=loss.item(), norm_running=running.norm().item()))
    return rows


TRAJECTORIES = {
    f"mhgd_{TEACHER}_{STUDENT}": (train, ("mhgd", "clip", "running")),
    f"mhgd_{TEACHER}_{STUDENT}_mixing-scale": (train, ("mhgd", "scale", "running")),
    f"mhgd_{TEACHER}_{STUDENT}_mha-bn-batch": (train, ("mhgd", "clip", "batch")),
    f"kd-svd_{TEACHER}_{STUDENT}": (train, ("kd-svd", "clip", "running")),
    f"kd-svdf_{TEACHER}_{STUDENT}": (train, ("kd-svdf", "clip", "running")),
    f"mhan_{TEACHER}": (train_attention, ()),
}


def rows_of(f, arguments):
    singles, doubles = (f(*arguments, dtype) for dtype in (torch.float32, torch.float64))
    return [{"step": s, **a, **{f"{k}_f64": v for k, v in b.items()}} for s, (a, b) in enumerate(zip(singles, doubles))]


def apart(rows, others, suffix=""):
    keys = [k for k in others[0] if k != "step" and not k.endswith("_f64")]
    return {k: max(abs(a[k] - b[k + suffix]) / abs(b[k + suffix]) for a, b in zip(rows, others)) for k in keys}


# ---------------------------------------------------------------------------------------------- pieces
def heads_of(x, heads):
    return x.reshape(len(x), heads, -1).transpose(0, 1)


PIECES = [
    Case("head_products", lambda x, z: {"y": (heads_of(x, 3) @ heads_of(z, 3).transpose(1, 2)).flatten(0, 1)}, "3 heads",
         x=(5, 12), z=(5, 12)),
    Case("concat_heads", lambda x: {"y": torch.cat(list(x.reshape(3, 5, 4)), 1)}, "3 heads", x=(15, 4)),
    Case("graph_divergence", lambda s, t: divergence(torch.tanh(3 * s), torch.tanh(3 * t)), "of tanh 3 s and tanh 3 t; sum", ("t",),
         s=(6, 5), t=(6, 5)),
    Case("cosine_loss", lambda s, t: cosine_loss(s, t), "mean over rows", ("t",), s=(6, 5), t=(6, 5)),
    Case("kernel_distance", lambda s, z, t, u: ((kernel(s, z) - kernel(t, u)) ** 2).sum(), "back s and t; front z and u; sum", ("t", "u"),
         s=(4, 7), z=(4, 5), t=(4, 7), u=(4, 5)),
]


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if sys.argv[1:] == ["--mistakes"]:
        for name, (f, arguments) in TRAJECTORIES.items():
            rows = rows_of(f, arguments)
            print(f"{name:40s} float/double", {k: f"{v:.0e}" for k, v in apart(rows, rows, "_f64").items()})
            if f is train:
                for mistake in ("no transfer", "not clipped", "no sigmoid"):
                    wrong = f(*arguments, torch.float64, mistake)
                    print(f"    {mistake:14s}", {k: f"{v:.0e}" for k, v in apart(wrong, rows, "_f64").items()}, flush=True)
        return
    write("mhgd_pieces", [row for c in PIECES for row in case_rows(c.name, c.setup, c.run(torch.float32), c.run(torch.float64))])
    for name, (f, arguments) in TRAJECTORIES.items():
        rows = rows_of(f, arguments)
        write(name, rows)


if __name__ == "__main__":
    main()
