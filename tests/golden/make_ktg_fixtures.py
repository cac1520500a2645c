#!/usr/bin/python3
"""Writes ktg_*.csv beside it: training steps of knowledge transfer graphs in PyTorch, for tests/test_ktg.cpp to reproduce.

    /usr/bin/python3 tests/golden/make_ktg_fixtures.py      (Debian: python3-torch; some seconds, one thread)

Written from the paper's rules alone. Every node has an optimiser of its own and is sent back from its own loss: that one way back of the
sum does the same is what the tests are there to show. Weights follow the formula in make_fixtures.py: node 0's names begin with
`student.`, node k's with `node<k>.`, a frozen node's with `teacher.` (as that script fills a teacher).

Data set: 80 records of 16x16, 4 classes; pixel = h("ktg.images", i) >> 56 with i over (80,3,16,16), divided by 255; label =
h("ktg.labels", n) mod 4. Step s (from 0) trains on records 16r .. 16r+15, r = s mod 5. The linear gate rises over 2 epochs of
floor(80/16) + 1 iterations: K = 12. SGD lr 1e-4, momentum 0.9, Nesterov, weight decay 0.5 on every parameter (why: make_fixtures.py).

One row a step. loss_<t>_<s>: the edge's addend, after its gate, before the update; `_f64`: the same run in double. right_<node>: samples
that the node classifies correctly; both_<t>_<s>: those that source and target do.
"""
import csv
from pathlib import Path

import torch
import torch.nn.functional as F

from make_fixtures import LR, MOMENTUM, WEIGHT_DECAY, fill, hashes, labels, nets

HERE = Path(__file__).resolve().parent
CLASSES, BATCH, RECORDS, SIDE, STEPS, EPOCHS = 4, 16, 80, 16, 6, 2
K = EPOCHS * (RECORDS // BATCH + 1)

T, L, C, X = "through", "linear", "correct", "cutoff"
GRAPHS = {  # file: (models, gates[target][source], temperature, frozen nodes' BatchNorm)
    "ktg_three_nodes": (("resnet8a", "wrn-10-1", "resnet14"), ((T, L, C), (C, L, T), (X, X, X)), 1.0, "running"),
    "ktg_three_nodes_frozen-bn-batch": (("resnet8a", "wrn-10-1", "resnet14"), ((T, L, C), (C, L, T), (X, X, X)), 2.0, "batch"),
    "ktg_kd": (("resnet8a", "resnet14"), ((T, T), (X, X)), 4.0, "running"),
    "ktg_ensemble": (("ensemble:1+2", "resnet8a", "wrn-10-1"), ((X, X, X), (T, C, X), (X, L, T)), 1.0, "running"),
}


def dataset(dtype):
    pixels = torch.from_numpy((hashes("ktg.images", (RECORDS, 3, SIDE, SIDE)) >> 56).astype("float64"))
    return (pixels / 255).float().to(dtype), labels("ktg.labels", RECORDS, CLASSES)


def per_sample_kl(source, target, temperature):
    """KL(p_s || p_t) * T^2, the source's gradient cut."""
    log_s, log_t = (F.log_softmax(x / temperature, 1) for x in (source.detach(), target))
    return (log_s.exp() * (log_s - log_t)).sum(1) * temperature**2


def gated(gate, loss, k, source_is_right):
    if gate == T:
        return loss.mean()
    if gate == L:
        return k / K * loss.mean()
    assert gate == C
    return (loss * source_is_right).sum() / len(loss)


def run(models, gates, temperature, frozen_bn, dtype):
    n = len(models)
    networks, optimisers = [None] * n, [None] * n
    for i, model in enumerate(models):
        if model.startswith("ensemble"):
            continue
        frozen = all(g == X for g in gates[i])
        prefix = "teacher." if frozen else "student." if i == 0 else f"node{i}."
        networks[i] = fill(nets.build(model, CLASSES).to(dtype), prefix, teacher=frozen)
        if frozen:
            networks[i].requires_grad_(False).train(frozen_bn == "batch")
        else:
            optimisers[i] = torch.optim.SGD(networks[i].parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True)
    images, targets = dataset(dtype)
    rows = []
    for s in range(STEPS):
        first = s % (RECORDS // BATCH) * BATCH
        x, y = images[first:first + BATCH], targets[first:first + BATCH]
        logits = [network(x)[0] if network else None for network in networks]
        for i, model in enumerate(models):
            if model.startswith("ensemble"):
                logits[i] = sum(logits[int(m)] for m in model.split(":")[1].split("+")).detach()
        top = [v.detach().topk(2, 1).values for v in logits]
        assert min((v[:, 0] - v[:, 1]).min() for v in top) > 1e-4, "a tie: rounding would decide who is right"
        right = [v.argmax(1) == y for v in logits]
        row = {"step": s}
        for t in range(n):
            loss = 0
            for src, gate in enumerate(gates[t]):
                if gate == X:
                    continue
                if src == t:
                    addend = gated(gate, F.cross_entropy(logits[t], y, reduction="none"), s + 1, torch.ones(BATCH, dtype=dtype))
                else:
                    addend = gated(gate, per_sample_kl(logits[src], logits[t], temperature), s + 1, right[src].to(dtype))
                row[f"loss_{t}_{src}"] = addend.item()
                if src != t:
                    row[f"both_{t}_{src}"] = int((right[t] & right[src]).sum())
                loss = loss + addend
            if optimisers[t]:
                optimisers[t].zero_grad()
                loss.backward()
        for sgd in filter(None, optimisers):
            sgd.step()
        row.update({f"right_{i}": int(v.sum()) for i, v in enumerate(right)})
        rows.append(row)
    return rows


def main():
    torch.set_num_threads(1)
    for name, case in GRAPHS.items():
        single, double = (run(*case, dtype) for dtype in (torch.float32, torch.float64))
        worst = 0
        for a, b in zip(single, double):
            for key in list(b):
                if key.startswith("loss"):
                    assert b[key] > 1e-4, f"{name}: {key} of step {b['step']} says nothing"
                    worst = max(worst, abs(a[key] - b[key]) / b[key])
                    a[key + "_f64"] = b[key]
                else:
                    assert a[key] == b[key], f"{name}: {key} differs between float and double"
        with open(HERE / f"{name}.csv", "w", newline="") as f:
            out = csv.DictWriter(f, single[0], lineterminator="\n")
            out.writeheader()
            for row in single:
                out.writerow({k: f"{v:.9g}" if isinstance(v, float) and not k.endswith("_f64") else v for k, v in row.items()})
        print(f"{name}: float and double differ by {worst:.1e} at most")


if __name__ == "__main__":
    main()
