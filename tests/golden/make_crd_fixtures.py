#!/usr/bin/python3
"""Writes crd_resnet14_resnet8.csv beside it: CRD's steps in PyTorch, from docs/papers.md §6.18, for tests/test_crd.cpp to reproduce.

    /usr/bin/python3 tests/golden/make_crd_fixtures.py              (Debian: python3-torch; seconds, one thread)
    /usr/bin/python3 tests/golden/make_crd_fixtures.py --mistakes   writes nothing; prints how far mistakes move the trajectory

Images, labels, networks, optimiser and columns as in make_fixtures.py; the teacher resnet14 sees `teacher.`, the student resnet8 `student.`.
Embeddings `embed_s.linear.…`, `embed_t.linear.…` and memories `memory.s`, `memory.t` (80 records, 128) by the formula of a linear layer.
Step s is on batch s mod 2, so that the third meets rows that the first has written. The negatives of image i at step s are
h("negatives", (8s + i)·5 + j) mod 80, j < 5, whatever their class. β 0.8, α 1, γ 1. The row "end" holds in the
columns of the losses, in their order, both normalisers and of what the first batch's rows of memory.s and memory.t became the dot product
with r("memory.probe", i).
"""
import sys

import torch
import torch.nn.functional as F

from make_fixtures import BATCH, RECORDS, dataset, difference, fill, float32, hashes, make_teacher, nets, optimiser, r, write

TEACHER, STUDENT, STEPS, NEGATIVES, WIDTH = "resnet14", "resnet8", 4, 5, 128
TAU, MOMENTUM, EPSILON, BETA = 0.07, 0.5, 1e-7, 0.8


class Embed(torch.nn.Module):
    def __init__(self, n_in):
        super().__init__()
        self.linear = torch.nn.Linear(n_in, WIDTH)

    def forward(self, x):
        z = self.linear(x)
        return z / z.norm(dim=1, keepdim=True)


def contrast(anchors, memory, indices, z, mistake):
    """indices (N,1+K), the image itself first. Returns the loss and z."""
    scores = torch.exp((anchors[:, None] * memory[indices]).sum(2) / TAU)
    if z is None or mistake == "z anew":
        z = scores.detach().mean() * len(memory)
    p, c = scores / z, (indices.shape[1] - 1) / len(memory)
    positive = torch.log(p[:, 0] / (p[:, 0] + c + EPSILON))
    negative = torch.log(c / (p[:, 1:] + c + EPSILON))
    negative = negative.mean(1) if mistake == "mean" else negative.sum(1)
    return -(positive + negative).mean(), z


def trajectory(dtype, mistake=None):
    images, labels = dataset(dtype)
    teacher = make_teacher(TEACHER, dtype)
    student = fill(nets.build(STUDENT, 100).to(dtype), "student.")
    embed_s, embed_t = (fill(Embed(64).to(dtype), name) for name in ("embed_s.", "embed_t."))
    memory = {k: float32(r(f"memory.{k}", (RECORDS, WIDTH)) * (6 / WIDTH) ** 0.5, dtype) for k in "st"}
    sgd = optimiser(torch.nn.ModuleList([student, embed_s, embed_t]))
    z, rows = [None, None], []
    for step in range(STEPS):
        batch = step % 2
        records = torch.arange(batch * BATCH, (batch + 1) * BATCH)
        drawn = hashes("negatives", (STEPS, BATCH, NEGATIVES))[step] % RECORDS
        indices = torch.cat([records[:, None], torch.from_numpy(drawn.astype("int64"))], 1)
        x, y = images[records], labels[records]
        with torch.no_grad():
            t_logits, t_features = teacher(x)
        logits, features = student(x)
        s, t = embed_s(features["f4"].flatten(1)), embed_t(t_features["f4"].flatten(1))
        loss_s, z[0] = contrast(s, memory["s" if mistake == "own memory" else "t"], indices, z[0], mistake)
        loss_t, z[1] = contrast(t, memory["t" if mistake == "own memory" else "s"], indices, z[1], mistake)
        ce, kd = F.cross_entropy(logits, y), 16 * nets.kl_loss(logits, t_logits, 4.0)
        crd = BETA * (loss_s + loss_t)
        loss = ce + kd + crd
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        keep = 0.9 if mistake == "momentum" else MOMENTUM
        for k, rows_of in (("s", s), ("t", t)):
            mixed = keep * memory[k][records] + (1 - keep) * rows_of.detach()
            memory[k][records] = mixed if mistake == "not normalised" else mixed / mixed.norm(dim=1, keepdim=True)
        rows.append(dict(step=step, loss_ce=ce.item(), loss_kd=kd.item(), loss_crd=crd.item(), loss=loss.item()))
    return rows, z, memory


def probe(memory):
    t = memory[:BATCH].double().numpy()
    return float((t * r("memory.probe", t.shape)).sum())


def rows_of(mistake=None):
    runs = []
    for dtype in (torch.float32, torch.float64):
        rows, z, memory = trajectory(dtype, mistake)
        rows.append(dict(step="end", loss_ce=z[0].item(), loss_kd=z[1].item(), loss_crd=probe(memory["s"]), loss=probe(memory["t"])))
        runs.append(rows)
    return [a | {f"{k}_f64": v for k, v in b.items() if k != "step"} for a, b in zip(*runs)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rows = rows_of()
    if sys.argv[1:] == ["--mistakes"]:
        for mistake in ("z anew", "mean", "own memory", "momentum", "not normalised"):
            print(f"{mistake:16s} {difference(rows_of(mistake)[:STEPS], rows[:STEPS], '_f64'):.1e}")
    else:
        write("crd_resnet14_resnet8", rows)
