#!/usr/bin/env python3
"""Writes benchmark_losses.csv beside it: the CRD benchmark's losses and DKD in PyTorch (docs/papers.md §6.10 and what follows), written from
their formulas, for tests/test_golden_ops.cpp to reproduce.

    python3 tests/golden/make_benchmark_losses_fixtures.py      (PyTorch 2; a second, one thread)

Columns, inputs and quantities as in losses.csv (make_fixtures.py). VID: the student's map s, the teacher's t, the regressor's weights w0, w1,
w2, the scale a. CC: pooled vectors s and t, embeddings ws, bs and wt, bt. FSP, AB and FT as the benchmark has them: their functions here.
"""
import torch
import torch.nn.functional as F

from make_fixtures import Case, case_rows, labels, write

TEACHER = ("t",)


def alike(s, t):
    """The larger map pooled to the smaller."""
    size = min(s.shape[2], t.shape[2])
    return [x if x.shape[2] == size else F.adaptive_avg_pool2d(x, size) for x in (s, t)]


def dkd(target, others):
    def loss(s, t):
        y, temperature = F.one_hot(labels("dkd.labels", 6, 10), 10).bool(), 4.0

        def parts(x):
            p = F.softmax(5 * x / temperature, 1)
            two = torch.stack([p[y], 1 - p[y]], 1)
            return two, F.log_softmax((5 * x / temperature)[~y].reshape(6, 9), 1)
        (two_s, rest_s), (two_t, rest_t) = parts(s), parts(t)
        tckd = (two_t * (two_t.log() - two_s.log())).sum(1).mean()
        nckd = (rest_t.exp() * (rest_t - rest_s)).sum(1).mean()
        return temperature**2 * (target * tckd + others * nckd)
    return loss


def at(s, t):
    s, t = alike(s, t)
    return (F.normalize(s.pow(2).mean(1).flatten(1)) - F.normalize(t.pow(2).mean(1).flatten(1))).pow(2).mean()


def sp(s, t):
    s, t = ((x.flatten(1) @ x.flatten(1).T) for x in (s, t))
    return (F.normalize(s) - F.normalize(t)).pow(2).sum() / len(s)**2


def cc(s, t, ws, bs, wt, bt):
    apart = (F.linear(s, ws, bs) - F.linear(t, wt, bt)).abs()
    return (apart[:-1] * apart[1:]).sum(1).mean()


def vid(s, t, w0, w1, w2, a):
    s, t = alike(s, t)
    mean = F.conv2d(F.relu(F.conv2d(F.relu(F.conv2d(s, w0)), w1)), w2)
    variance = (torch.log1p(torch.exp(a)) + 1e-5).reshape(1, -1, 1, 1)
    return (0.5 * ((mean - t)**2 / variance + variance.log())).mean()


def distances(x):
    square = x.pow(2).sum(1)
    d = (square[:, None] + square[None] - 2 * x @ x.T).clamp(min=1e-12).sqrt() * (1 - torch.eye(len(x), dtype=x.dtype))
    return d / d[d > 0].mean()


def angles(x):
    e = F.normalize(x[None] - x[:, None], dim=2)
    return e @ e.transpose(1, 2)


def pkt(s, t):
    def p(x):
        x = x / (x.norm(dim=1, keepdim=True) + 1e-7)
        k = (x @ x.T + 1) / 2
        return k / k.sum(1, keepdim=True)
    s, t = p(s), p(t)
    return (t * ((t + 1e-7) / (s + 1e-7)).log()).mean()


def nst(s, t):
    s, t = (F.normalize(x.flatten(2), dim=2) for x in alike(s, t))
    return sum(w * (a @ b.transpose(1, 2)).pow(2).mean() for w, a, b in ((1, t, t), (1, s, s), (-2, s, t)))


def fsp(*maps):
    """Three maps of each; the mean over all entries of a flow matrix."""
    def flow(a, b):
        a, b = alike(a, b)
        return torch.einsum("nahw,nbhw->nab", a, b) / (a.shape[2] * a.shape[3])
    s, t = maps[:3], maps[3:]
    return sum((flow(s[i], s[i + 1]) - flow(t[i], t[i + 1])).pow(2).mean() for i in range(2))


def ab(s0, t0, s1, w1, b1, g1, h1, t1):
    """The first level as it is, the second by a convolution of stride 2 with bias and BatchNorm."""
    def boundary(s, t):
        wrong = (s + 1)**2 * ((s > -1) & (t <= 0)) + (s - 1)**2 * ((s <= 1) & (t > 0))
        return wrong.sum() / len(s)
    connected = F.batch_norm(F.conv2d(2 * s1, w1, b1, 2, 1), None, None, g1, h1, True)
    return 3e-3 * (0.5 * boundary(2 * s0, 2 * t0) + boundary(connected, 2 * t1))


def ft(s, t, *w):
    """w: of the three layers of the student's translator weight, bias, BatchNorm's two; then the teacher's paraphraser's, weight and bias."""
    for i in range(3):
        a, b, g, h = w[4 * i:4 * i + 4]
        s = F.leaky_relu(F.batch_norm(F.conv2d(s, a, b, 1, 1), None, None, g, h, True), 0.1)
    for i in range(3):
        t = F.leaky_relu(F.conv2d(t, *w[12 + 2 * i:14 + 2 * i], 1, 1), 0.1)
    s, t = alike(s, t)
    return (F.normalize(s.pow(2).mean(1).flatten(1)) - F.normalize(t.pow(2).mean(1).flatten(1))).abs().mean()


def ft_inputs(size_s, size_t):
    widths_s, widths_t = (4, 4, 3, 3), (6, 6, 3, 3)
    shapes = dict(s=(3, 4, size_s, size_s), t=(3, 6, size_t, size_t))
    for i in range(3):
        n = widths_s[i + 1]
        shapes.update({f"w{i}": (n, widths_s[i], 3, 3), f"b{i}": (n,), f"g{i}": (n,), f"h{i}": (n,)})
    for i in range(3):
        shapes.update({f"v{i}": (widths_t[i + 1], widths_t[i], 3, 3), f"c{i}": (widths_t[i + 1],)})
    return shapes


# A bias before BatchNorm changes nothing: of a gradient of 0 there is only rounding to compare.
FT_CONSTANT = ("t", "b0", "b1", "b2", "v0", "c0", "v1", "c1", "v2", "c2")
LOGITS, VECTORS = dict(s=(6, 10), t=(6, 10)), dict(s=(6, 7), t=(6, 11))
VID = dict(t=(3, 17, 4, 4), w0=(17, 4, 1, 1), w1=(17, 17, 1, 1), w2=(17, 17, 1, 1), a=(17,))
CASES = [
    Case("dkd", dkd(1, 8), "16 (TCKD + 8 NCKD) of 5 s and 5 t; T 4", TEACHER, **LOGITS),
    Case("dkd_target", dkd(1, 0), "16 TCKD", TEACHER, **LOGITS),
    Case("dkd_others", dkd(0, 1), "16 NCKD", TEACHER, **LOGITS),
    Case("at", at, "", TEACHER, s=(4, 20, 6, 6), t=(4, 5, 6, 6)),
    Case("at_larger", at, "s pooled", TEACHER, s=(4, 8, 6, 6), t=(4, 5, 3, 3)),
    Case("at_smaller", at, "t pooled", TEACHER, s=(4, 8, 4, 4), t=(4, 5, 6, 6)),
    Case("sp", sp, "", TEACHER, s=(6, 5, 4, 4), t=(6, 8, 3, 3)),
    Case("cc", cc, "", TEACHER, **VECTORS, ws=(9, 7), bs=(9,), wt=(9, 11), bt=(9,)),
    Case("vid", vid, "", TEACHER, s=(3, 4, 4, 4), **VID),
    Case("vid_larger", vid, "s pooled", TEACHER, s=(3, 4, 8, 8), **VID),
    Case("rkd_distance", lambda s, t: F.smooth_l1_loss(distances(s), distances(t)), "", TEACHER, **VECTORS),
    Case("rkd_angle", lambda s, t: F.smooth_l1_loss(angles(s), angles(t)), "", TEACHER, **VECTORS),
    Case("pkt", pkt, "", TEACHER, **VECTORS),
    Case("nst_channels", nst, "more pixels than channels", TEACHER, s=(3, 17, 6, 6), t=(3, 16, 6, 6)),
    Case("nst_pixels", nst, "fewer", TEACHER, s=(3, 20, 3, 3), t=(3, 17, 3, 3)),
    Case("nst_larger", nst, "s pooled", TEACHER, s=(3, 4, 6, 6), t=(3, 3, 3, 3)),
    Case("fsp_benchmark", fsp, "averages of the larger", ("t0", "t1", "t2"), s0=(3, 4, 8, 8), s1=(3, 6, 8, 8), s2=(3, 5, 3, 3),
         t0=(3, 4, 6, 6), t1=(3, 6, 4, 4), t2=(3, 5, 4, 4)),
    Case("ab_benchmark", ab, "maps times 2; batch statistics", ("t0", "t1", "b1"), s0=(3, 5, 4, 4), t0=(3, 5, 4, 4), s1=(3, 6, 8, 8),
         w1=(7, 6, 3, 3), b1=(7,), g1=(7,), h1=(7,), t1=(3, 7, 4, 4)),
    Case("ft_benchmark", ft, "batch statistics", FT_CONSTANT, **ft_inputs(4, 4)),
    Case("ft_benchmark_larger", ft, "s pooled", FT_CONSTANT, **ft_inputs(6, 3)),
]

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    write("benchmark_losses", [row for c in CASES for row in case_rows(c.name, c.setup, c.run(torch.float32), c.run(torch.float64))])
