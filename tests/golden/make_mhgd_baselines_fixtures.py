#!/usr/bin/python3
"""Writes mhgd_baselines.csv beside it: the losses of Soft-logits, FSP and AB in PyTorch, for tests/test_golden_ops.cpp to reproduce.

    /usr/bin/python3 tests/golden/make_mhgd_baselines_fixtures.py      (Debian: python3-torch; a second, one thread)

Columns, inputs and quantities as in ops.csv and losses.csv (make_fixtures.py). FSP: maps s0, s1, s2 and t0, t1, t2. AB: at level i the
student's map s<i>, the connector's weights w<i>, its BatchNorm's g<i> and b<i>, the teacher's map t<i>; all before activation, times 2.
"""
import torch
import torch.nn.functional as F

from make_fixtures import Case, bn, case_rows, labels, write


def soft_logits(s, t):
    kl = F.kl_div(F.log_softmax(5 * s / 4, 1), F.softmax(5 * t / 4, 1), reduction="batchmean")
    return 0.7 * F.cross_entropy(5 * s, labels("soft.labels", 6, 10)) + 0.3 * kl


def flow(top, bottom):
    if top.shape[2] > bottom.shape[2]:
        top = F.max_pool2d(top, 2)
    return torch.einsum("nahw,nbhw->nab", top, bottom) / (top.shape[2] * top.shape[3])


def fsp(*maps):
    s, t = maps[:3], maps[3:]
    distances = [(flow(s[i], s[i + 1]) - flow(t[i], t[i + 1])).pow(2).flatten(1).sum(1) / 2 for i in range(2)]
    return 1e-3 * sum(d.mean() for d in distances)


def boundary(s, t):
    wrong = ((s + 1) ** 2 * ((s > -1) & (t <= 0))).flatten(1).sum(1) + ((s - 1) ** 2 * ((s <= 1) & (t > 0))).flatten(1).sum(1)
    return wrong.mean()


def ab(*levels):
    losses = []
    for i in range(2):
        s, w, g, b, t = levels[5 * i:5 * i + 5]
        losses.append(3e-3 * 2**i * boundary(bn(F.conv2d(2 * s, w), g, b), 2 * t))
    return sum(losses)


CASES = [
    Case("soft_logits", soft_logits, "0.7 CE + 0.3 KL of 5 s and 5 t; T 4", ("t",), s=(6, 10), t=(6, 10)),
    Case("flow_matrix", lambda a, b: {"y": flow(a, b).transpose(1, 2)[:, :, None]}, "B as channels; A as columns",
         a=(3, 5, 4, 6), b=(3, 7, 4, 6)),
    Case("fsp", fsp, "1e-3; the first pair pooled", ("t0", "t1", "t2"), s0=(3, 4, 8, 8), s1=(3, 6, 4, 4), s2=(3, 5, 4, 4),
         t0=(3, 4, 8, 8), t1=(3, 6, 4, 4), t2=(3, 5, 4, 4)),
    Case("boundary", lambda s, t: boundary(2 * s, 2 * t), "of 2 s and 2 t", ("t",), s=(3, 4, 5, 6), t=(3, 4, 5, 6)),
    Case("ab", ab, "3e-3 2^i; batch statistics", ("t0", "t1"), s0=(3, 4, 8, 6), w0=(5, 4, 1, 1), g0=(5,), b0=(5,), t0=(3, 5, 8, 6),
         s1=(3, 6, 4, 3), w1=(7, 6, 1, 1), g1=(7,), b1=(7,), t1=(3, 7, 4, 3)),
]

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    write("mhgd_baselines", [row for c in CASES for row in case_rows(c.name, c.setup, c.run(torch.float32), c.run(torch.float64))])
