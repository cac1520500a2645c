#!/usr/bin/env python3
"""Writes two_phases.csv beside it: AB, FSP and Factor Transfer as the CRD benchmark trains them, in PyTorch (docs/papers.md §6.5 to §6.7), for
tests/test_benchmark_forms.cpp to reproduce.

    python3 tests/golden/make_two_phases_fixtures.py              (PyTorch 2; seconds, one thread)
    python3 tests/golden/make_two_phases_fixtures.py --mistakes   writes nothing; prints how far mistakes move the numbers

Images, labels, networks and optimiser as in make_fixtures.py; batches of 8, step s of either phase on batch s. AB: wrn-10-2 teaches wrn-10-1,
FSP: wrn-16-1 does, Factor Transfer: wrn-10-2. The helpers of AB are `connector.…`, of Factor Transfer `paraphraser.…` and `translator.…`.
First phase two steps, a new optimiser, second phase two steps. Of AB and FSP the first trains the student without its last BatchNorm and
its classifier, which stay in evaluation mode; the second has the cross-entropy alone. AB makes pre-activations by a second look of a wrn's
BatchNorms in both phases. Factor Transfer: the paraphraser first; then CE + 200·L and the paraphraser still.

Columns: case,quantity,value,value_f64. Quantities: `first.<step>`, `second.<step>`, the loss; at the end the dot product of a tensor with
r("<name>.probe", i) as `end.<name>`.
"""
import sys

import torch
import torch.nn.functional as F

from make_fixtures import BATCH, LR, MOMENTUM, WEIGHT_DECAY, dataset, fill, make_teacher, nets, r, write

STEPS, CLASSES = 2, 100


def build(name, dtype, teacher=False):
    return make_teacher(name, dtype) if teacher else fill(nets.build(name, CLASSES).to(dtype), "student.")


def with_second_look(net, x):
    """Logits, and pre-activations by further calls of the BatchNorms that come next."""
    logits, f = net(x)
    next_bns = (net.block2.layer[0].bn1, net.block3.layer[0].bn1, net.bn1)
    return logits, [bn(f[f"f{i + 1}"]) for i, bn in enumerate(next_bns)]


def sgd(parameters):
    return torch.optim.SGD(parameters, LR, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True)


def features_of(net):
    return [p for n, p in net.named_parameters() if not n.startswith(("fc.", "bn1."))]


class Connector(torch.nn.Module):
    def __init__(self, s, t):
        super().__init__()
        self.conv, self.bn = torch.nn.Conv2d(s, t, 1), torch.nn.BatchNorm2d(t)

    def forward(self, x):
        return self.bn(self.conv(x))


def boundary(s, t):
    return ((s + 1)**2 * ((s > -1) & (t <= 0)) + (s - 1)**2 * ((s <= 1) & (t > 0))).sum() / len(s)


def flow(a, b):
    size = min(a.shape[2], b.shape[2])
    a, b = (F.adaptive_avg_pool2d(x, size) for x in (a, b))
    return torch.einsum("nahw,nbhw->nab", a, b) / size**2


def layers(widths, up=False, normalise=False):
    all = []
    for i in range(3):
        conv = torch.nn.ConvTranspose2d if up else torch.nn.Conv2d
        all += [conv(widths[i], widths[i + 1], 3, 1, 1), torch.nn.BatchNorm2d(widths[i + 1]) if normalise else torch.nn.Sequential(),
                torch.nn.LeakyReLU(0.1)]
    return torch.nn.Sequential(*all)


class Module(torch.nn.Module):
    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def factor(f):
    return F.normalize(f.pow(2).mean(1).flatten(1))


def ab(dtype, mistake):
    teacher, student = build("wrn-10-2", dtype, True), build("wrn-10-1", dtype)
    connectors = fill(torch.nn.ModuleList([Connector(w, 2 * w) for w in (16, 32, 64)]).to(dtype), "connector.")

    def first(x):
        s, t = with_second_look(student, x)[1], with_second_look(teacher, x)[1]
        doubled = (lambda i: i) if mistake == "doublings" else (lambda i: i - 2)
        return sum(3e-3 * 2**doubled(i) * boundary(connectors[i](s[i]), t[i]) for i in range(3))
    return student, first, features_of(student) + list(connectors.parameters()), lambda x: with_second_look(student, x)[0], None, \
        dict(student=student, connector=connectors)


def fsp(dtype, mistake):
    teacher, student = build("wrn-16-1", dtype, True), build("wrn-10-1", dtype)

    def first(x):
        s, t = ([f[f"f{i}"] for i in range(0 if mistake != "no stem" else 1, 4)] for f in (student(x)[1], teacher(x)[1]))
        return sum((flow(*s[i:i + 2]) - flow(*t[i:i + 2])).pow(2).mean() for i in range(len(s) - 1))
    return student, first, features_of(student), lambda x: student(x)[0], None, dict(student=student)


def ft(dtype, mistake):
    teacher, student = build("wrn-10-2", dtype, True), build("wrn-10-1", dtype)
    c, f = 128, 64
    paraphraser = fill(Module(encoder=layers((c, c, f, f)), decoder=layers((f, f, c, c), True)).to(dtype), "paraphraser.")
    translator = fill(Module(encoder=layers((64, 64, f, f), normalise=True)).to(dtype), "translator.")

    def map_of(features):
        return F.relu(features["pre3"]) if mistake == "activated map" else features["f3"]

    def first(x):
        t = map_of(teacher(x)[1])
        return F.mse_loss(paraphraser.decoder(paraphraser.encoder(t)), t)

    def extra(x, features):
        with torch.no_grad():
            t = factor(paraphraser.encoder(map_of(teacher(x)[1])))
        return 200 * (factor(translator.encoder(map_of(features))) - t).abs().mean()
    return student, first, list(paraphraser.parameters()), None, (extra, translator), \
        dict(student=student, paraphraser=paraphraser, translator=translator)


ENDS = {
    "ab": ("student.conv1.weight", "student.fc.weight", "student.bn1.weight", "student.block2.layer.0.bn1.running_mean",
           "student.bn1.running_mean", "connector.1.conv.weight", "connector.1.bn.running_mean"),
    "fsp": ("student.conv1.weight", "student.fc.weight", "student.bn1.weight", "student.block2.layer.0.bn1.running_mean",
            "student.bn1.running_mean"),
    "ft": ("student.fc.weight", "paraphraser.decoder.6.weight", "translator.encoder.3.weight", "translator.encoder.4.running_mean"),
}


def run(case, dtype, mistake=None):
    images, targets = dataset(dtype)
    student, first, trained, logits_of, extra, parts = {"ab": ab, "fsp": fsp, "ft": ft}[case](dtype, mistake)
    batches = [slice(s * BATCH, (s + 1) * BATCH) for s in range(STEPS)]
    values = {}
    if case != "ft" and mistake != "head trains":
        student.bn1.eval()
    if mistake == "all decay":
        trained = [p for part in parts.values() for p in part.parameters()]
        for p in trained:
            p.grad = torch.zeros_like(p)
    optimiser = sgd(trained)
    for s, batch in enumerate(batches):
        loss = first(images[batch])
        optimiser.zero_grad(set_to_none=mistake != "all decay")
        loss.backward()
        optimiser.step()
        values[f"first.{s}"] = loss.item()
    student.train()
    optimiser = sgd(list(student.parameters()) + (list(extra[1].parameters()) if extra else []))
    for s, batch in enumerate(batches):
        x, y = images[batch], targets[batch]
        if extra:
            logits, features = student(x)
            loss = F.cross_entropy(logits, y) + extra[0](x, features)
        else:
            loss = F.cross_entropy(student(x)[0] if mistake == "one look" else logits_of(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values[f"second.{s}"] = loss.item()
    for name in ENDS[case]:
        part, rest = name.split(".", 1)
        t = parts[part].state_dict()[rest].double().numpy()
        values[f"end.{name}"] = float((t * r(f"{name}.probe", t.shape)).sum())
    return values


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if sys.argv[1:] == ["--mistakes"]:
        for case, mistakes in {"ab": ("doublings", "head trains", "all decay", "one look"), "fsp": ("no stem", "all decay", "head trains"),
                               "ft": ("activated map",)}.items():
            right = run(case, torch.float64)
            single = run(case, torch.float32)
            print(f"{case:4s} float/double   {max(abs(single[k] / v - 1) for k, v in right.items()):.1e}")
            for mistake in mistakes:
                wrong = run(case, torch.float64, mistake)
                print(f"{case:4s} {mistake:14s} {max(abs(wrong[k] / v - 1) for k, v in right.items()):.1e}")
    else:
        rows = []
        for case in ENDS:
            single, double = run(case, torch.float32), run(case, torch.float64)
            rows += [dict(case=case, quantity=q, value=v, value_f64=double[q]) for q, v in single.items()]
        write("two_phases", rows)
