#!/usr/bin/python3
"""Writes hkd_resnet14_resnet8.csv beside it: HKD's steps in PyTorch, from docs/papers.md §11, for tests/test_hkd.cpp to reproduce.

    /usr/bin/python3 tests/golden/make_hkd_fixtures.py              (Debian: python3-torch; seconds, one thread)
    /usr/bin/python3 tests/golden/make_hkd_fixtures.py --mistakes   writes nothing; prints how far mistakes move the losses

Images, labels and networks as in make_fixtures.py; the teacher resnet14 sees `teacher.`, the student resnet8 `student.`. Embeddings
`embed_s.linear.…`, `embed_t.linear.…`, graph convolutions `gnn_s.conv1.lin.…`, `gnn_t.conv1.lin.…` and memories `memory.s`, `memory.t`
(80 records, 128) by the formula of a linear layer. k = 5. Steps 0 to 2 are on batches 0, 1, 0 of 8 images, so that the third meets rows that
the first has written; step 3 is on the first four images of batch 1, too few for a graph. The negatives of image i at step s are
h("negatives", (8s + i)·5 + j) mod 80, j < 5, whatever their class. γ 1, α 1, β 3. SGD lr 3e-4, momentum 0.9, no Nesterov, decay 0.05.

Columns case,setup,quantity,value,norm,value_f64. Case `step<s>`: loss_ce, loss_kd, loss_hkd as they enter the sum `loss`; individual_s,
individual_t, graph_s, graph_t: the four sums. Case `first`: a tensor's gradient at step 0. Case `after`: each tensor after the last step. Of a
tensor the dot product with r("<case>.<tensor>.probe", i), and its norm; of a loss its size.
"""
import csv
import sys

import torch
import torch.nn.functional as F

from make_fixtures import BATCH, HERE, RECORDS, dataset, fill, float32, hashes, make_teacher, nets, r

TEACHER, STUDENT, STEPS, NEGATIVES, WIDTH = "resnet14", "resnet8", 4, 5, 128
K, TAU, MOMENTUM, SMOOTHING, BETA = 5, 0.07, 0.9, 0.75, 3.0
MISTAKES = ("other's negatives", "own positives", "k without itself", "graph of features", "momentum", "no smoothing", "smoothed e", "e of 0.1",
            "ReLU", "frozen teacher's modules", "teacher's graph", "CRD's beta")


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


class Linear(torch.nn.Module):
    def __init__(self, n_in, names):
        super().__init__()
        for name in names[:-1]:
            self.add_module(name, torch.nn.Module())
        home = self if len(names) == 1 else getattr(self, names[0])
        home.add_module(names[-1], torch.nn.Linear(n_in, WIDTH))
        self.layer = lambda x: getattr(home, names[-1])(x)

    def forward(self, x):
        return unit(self.layer(x))


def neighbours(x, mistake):
    """-> (N,k): the image itself first."""
    cosine = x @ x.T / (x.norm(dim=1)[:, None] * x.norm(dim=1)[None]).clamp(min=1e-7)
    distance = 1 - cosine
    distance.fill_diagonal_(9.0 if mistake == "k without itself" else -1.0)
    return distance.topk(K, dim=1, largest=False).indices


def convolved(layer, e, index, mistake):
    g = layer(torch.cat([e, e[index].mean(1)], 1))
    return unit(F.relu(g)) if mistake == "ReLU" else g


def info_nce(anchors, positives, memory, drawn):
    scores = torch.cat([(anchors * positives).sum(1, keepdim=True), (anchors[:, None] * memory[drawn]).sum(2)], 1) / TAU
    return F.cross_entropy(scores, torch.zeros(len(anchors), dtype=torch.long))


class Run:
    def __init__(self, dtype, mistake=None):
        self.images, self.labels = dataset(dtype)
        self.teacher = make_teacher(TEACHER, dtype)
        modules = {"student": fill(nets.build(STUDENT, 100).to(dtype), "student.")}
        for k in "st":
            modules[f"embed_{k}"] = fill(Linear(64, ("linear",)).to(dtype), f"embed_{k}.")
            modules[f"gnn_{k}"] = fill(Linear(2 * WIDTH, ("conv1", "lin")).to(dtype), f"gnn_{k}.")
        self.modules = torch.nn.ModuleDict(modules)
        self.memory = {k: float32(r(f"memory.{k}", (RECORDS, WIDTH)) * (6 / WIDTH) ** 0.5, dtype) for k in "st"}
        self.mistake, self.rows = mistake, []

    def add(self, case, quantity, value, norm):
        self.rows.append((case, quantity, value, norm))

    def add_tensor(self, case, name, tensor):
        t = tensor.detach().double().numpy()
        self.add(case, name, float((t * r(f"{case}.{name}.probe", t.shape)).sum()), float((t * t).sum() ** 0.5))

    def losses(self, step, records, drawn):
        m, mistake, memory = self.modules, self.mistake, self.memory
        x, y = self.images[records], self.labels[records]
        with torch.no_grad():
            t_logits, t_features = self.teacher(x)
        logits, features = m["student"](x)
        f = {"s": features["f4"].flatten(1), "t": t_features["f4"].flatten(1)}
        e = {k: m[f"embed_{k}"](f[k]) for k in "st"}
        with_graph = len(records) >= K
        sums = {}
        other = {"s": "t", "t": "s"}
        for k in "st":
            positives, negatives = (k if mistake == "own positives" else other[k]), (other[k] if mistake == "other's negatives" else k)
            sums[f"individual_{k}"] = info_nce(e[k], memory[positives][records], memory[negatives], drawn)
        if with_graph:
            l = {"s": logits.detach(), "t": t_logits}
            seen = {k: f[k].detach() if mistake == "graph of features" else l[k].softmax(1) for k in "st"}
            index = {k: neighbours(seen["t" if mistake == "teacher's graph" else k], mistake) for k in "st"}
            g = {k: convolved(m[f"gnn_{k}"], e[k], index[k], mistake) for k in "st"}
            for k in "st":
                keep = 1.0 if mistake == "no smoothing" else SMOOTHING
                with_what = e if mistake == "smoothed e" else g
                smoothed = unit(keep * memory[other[k]][records] + (1 - keep) * with_what[other[k]].detach())
                sums[f"graph_{k}"] = info_nce(g[k], smoothed, memory[other[k] if mistake == "other's negatives" else k], drawn)
        terms = {"loss_ce": F.cross_entropy(logits, y), "loss_kd": 16 * nets.kl_loss(logits, t_logits, 4.0),
                 "loss_hkd": (0.8 if mistake == "CRD's beta" else BETA) * sum(sums.values())}
        terms["loss"] = sum(terms.values())
        for name, value in {**terms, **sums}.items():
            self.add(f"step{step}", name, value.item(), abs(value.item()))
        return terms["loss"], e if with_graph else None

    def train(self):
        learning = [p for n, p in self.modules.named_parameters()
                    if not (self.mistake == "frozen teacher's modules" and n.split(".")[0] in ("embed_t", "gnn_t"))]
        sgd = torch.optim.SGD(learning, 3e-4, 0.9, weight_decay=0.05)
        for step in range(STEPS):
            batch = step % 2
            records = torch.arange(batch * BATCH, (batch + 1) * BATCH)[:4 if step == 3 else BATCH]
            drawn = torch.from_numpy((hashes("negatives", (STEPS, BATCH, NEGATIVES))[step] % RECORDS).astype("int64"))[:len(records)]
            loss, e = self.losses(step, records, drawn)
            sgd.zero_grad(set_to_none=False)  # as before PyTorch 2: what step 3 has no gradient of moves on and decays
            loss.backward()
            if step == 0:
                for name, p in self.modules.named_parameters():
                    self.add_tensor("first", name, p.grad)
            sgd.step()
            for k in "st" if e else "":
                keep = {"momentum": 0.5, "e of 0.1": 0.1}.get(self.mistake, MOMENTUM)
                self.memory[k][records] = unit(keep * self.memory[k][records] + (1 - keep) * e[k].detach())
        for name, p in self.modules.named_parameters():
            self.add_tensor("after", name, p)
        for k in "st":
            self.add_tensor("after", f"memory.{k}", self.memory[k])
        return self.rows


def both(mistake=None):
    return [Run(dtype, mistake).train() for dtype in (torch.float32, torch.float64)]


def farthest(rows, others, cases):
    """The largest relative difference, and whose it is."""
    other = {row[:2]: row for row in others}
    pairs = [(abs(row[2] - other[row[:2]][2]) / other[row[:2]][3], " ".join(row[:2])) for row in rows if row[0].startswith(cases)]
    return max(pairs)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    single, double = both()
    if sys.argv[1:] == ["--mistakes"]:
        for cases in ("step", "first", "after"):
            print("float, of {}: {:.1e} ({})".format(cases, *farthest(single, double, cases)))
        for mistake in MISTAKES:
            moved = Run(torch.float64, mistake).train()
            print("{:26s} {:.1e} ({})".format(mistake, *farthest([row for row in moved if row[1].startswith("loss")], double, "step")))
    else:
        with open(HERE / "hkd_resnet14_resnet8.csv", "w", newline="") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow(("case", "setup", "quantity", "value", "norm", "value_f64"))
            for a, b in zip(single, double):
                out.writerow((a[0], "", a[1], f"{a[2]:.9g}", f"{b[3]:.9g}", f"{b[2]:.9g}"))
