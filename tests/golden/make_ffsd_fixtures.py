#!/usr/bin/python3
"""Writes ffsd_resnet8.csv beside it: FFSD's steps in PyTorch, from docs/papers.md §6.19, for tests/test_ffsd.cpp to reproduce.

    /usr/bin/python3 tests/golden/make_ffsd_fixtures.py              (Debian: python3-torch; seconds, one thread)
    /usr/bin/python3 tests/golden/make_ffsd_fixtures.py --mistakes   writes nothing; prints how far mistakes move losses and weights

Images and labels as in make_fixtures.py. Three common students and a leader, resnet8, with formula weights of the names `student0.…`, `leader.…`;
helpers `fusion.…`, `leader.trans_fusion_module.…`, `sd1.…`, `sd2.…`, `sd_leader.…` of theirs. As the paper's authors have it, every player has
an optimiser and a backward pass of its own, one after the other (students, F, leader, the S), each from the maps of one forward pass.

Step s is the first of epoch s, so the warm-up is that of its epochs 1, 2, 3. Students and leader: SGD lr 1e-3, Nesterov, decay 0.5; F the same with
decay 0.2; the S: Adam lr 2e-3, decay 0.1. T 2; lambda of diversity 3, of fusion 10, of self 1000.

case,setup,quantity,value,norm,value_f64 as in losses.csv. Case "step <s>": the losses, weights and warm-up in them, and their sum. Case "end": of each
parameter and running statistic the dot product with r("end.<name>.probe", i), and of the S's parameters that of Adam's two averages, as
adam_m.<name> and adam_s.<name>.
"""
import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

from make_fixtures import BATCH, CLASSES, Case, case_rows, dataset, fill, nets, write

STUDENTS, STEPS, T = 3, 3, 2.0
LAMBDA = dict(div=3.0, fus=10.0, sd=1000.0)


class Separable(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_in, 3, 1, 1, groups=n_in, bias=False), nn.BatchNorm2d(n_in)
        self.conv1_1, self.bn1_1 = nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)

    def forward(self, x):
        return F.relu(self.bn1_1(self.conv1_1(F.relu(self.bn1(self.conv1(x))))))


class Fusion(Separable):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.fc2 = nn.Linear(n_out, CLASSES)

    def forward(self, x):
        fused = super().forward(x)
        return fused, self.fc2(fused.mean((2, 3)))


class Up(nn.Module):
    def __init__(self, n_in):
        super().__init__()
        self.convtranpose = nn.ConvTranspose2d(n_in, n_in // 2, 3, 2, 1, output_padding=1, bias=False)
        self.norm = nn.BatchNorm2d(n_in // 2)

    def forward(self, x):
        return F.relu(self.norm(self.convtranpose(x)))


class SelfDistillation(nn.Module):
    def __init__(self, channels=64):
        super().__init__()
        self.layer0, self.layer1 = Up(channels), Up(channels // 2)

    def forward(self, x):
        deep = self.layer0(x)
        return self.layer1(deep), deep


def att(x):
    return x.pow(2).mean(1, keepdim=True)


def d(a, b):
    return (F.normalize(a.flatten(1)) - F.normalize(b.flatten(1))).pow(2).mean()


def turned(y, mistake=None):
    """t and the normalised attention, flattened, and the attention's norm."""
    a = att(y).flatten(1)
    s = a.norm(dim=1, keepdim=True)
    unit = F.normalize(a)
    k = a.shape[1] // 3 + (1 if mistake == "next smallest" else 0)
    threshold = unit.kthvalue(k, dim=1, keepdim=True).values
    sign = torch.sign(unit - threshold)
    if mistake == "sign of equals":
        sign = torch.where(sign == 0, torch.ones_like(sign), sign)
    return (s / 2 - unit) * sign + s / 2, unit, s


def div(x, y, mistake):
    return (F.normalize(att(x).flatten(1)) - turned(y, mistake)[0]).pow(2).mean()


def shifted(y, mistake):
    t, unit, s = turned(y, mistake)
    return y + ((t - unit) * s / y.shape[1]).view(len(y), 1, *y.shape[2:])


def kl(target, logits, mistake):
    t2 = 1.0 if mistake == "no T2" else T * T
    return t2 * F.kl_div(F.log_softmax(logits / T, 1), F.softmax(target.detach() / T, 1), reduction="batchmean")


def run(dtype, mistake=None):
    images, labels = dataset(dtype)
    students = [fill(nets.build("resnet8", CLASSES), f"student{i}.").to(dtype) for i in range(STUDENTS)]
    leader = fill(nets.build("resnet8", CLASSES), "leader.").to(dtype)
    tr = fill(Separable(64, 64 * STUDENTS), "leader.trans_fusion_module.").to(dtype)
    fusion = fill(Fusion(64 * STUDENTS, 64), "fusion.").to(dtype)
    selves = {name: fill(SelfDistillation(), f"sd{name}.").to(dtype) for name in (*range(1, STUDENTS), "_leader")}

    def sgd(modules, decay):
        return torch.optim.SGD([p for m in modules for p in m.parameters()], 1e-3, 0.9, weight_decay=decay, nesterov=True)

    optimisers = [sgd([s], 0.5) for s in students]
    of_fusion, of_leader = sgd([fusion], 0.5 if mistake == "one decay" else 0.2), sgd([leader, tr], 0.5)
    of_selves = {name: torch.optim.Adam(s.parameters(), 2e-3, weight_decay=0.1) for name, s in selves.items()}

    def update(optimiser, losses):
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()

    def taught(name, given):
        """What S gives as targets: running statistics, no gradient."""
        if mistake != "targets by the batch":
            selves[name].eval()
        with torch.no_grad():
            made = selves[name](given)
        selves[name].train()
        return made

    rows = []
    for step in range(STEPS):
        e = step if mistake == "epoch from 0" else step + 1
        warm = math.exp(-5 * (1 - e / 5) ** 2)
        if mistake == "linear warm-up":
            warm = e / 5
        w = {k: v * warm for k, v in LAMBDA.items()}
        x, y = images[step * BATCH:(step + 1) * BATCH], labels[step * BATCH:(step + 1) * BATCH]

        def show(net):
            logits, f = net(x)
            return logits, [f["f1"], f["f2"], f["f3"]]

        led, shown = show(leader), [show(s) for s in students]
        concat = torch.cat([maps[-1].detach() for _, maps in shown], 1)
        fused, fused_logits = fusion(concat)
        kept_maps = [[m.detach().clone() for m in maps] for _, maps in (*shown, led)]
        all_losses = {}
        for i, (logits, maps) in enumerate(shown):
            others = [kl(l, logits, mistake) for j, (l, _) in enumerate(shown) if j != i]
            losses = {f"loss_ce_{i}": F.cross_entropy(logits, y),
                      f"loss_kl_{i}": sum(others) / (1 if mistake == "sum of KL" else STUDENTS - 1)}
            if i > 0:
                before = shown[i - 1][1][-1].detach()
                losses[f"loss_diversity_{i}"] = w["div"] * div(maps[-1], before, mistake)
                targets = taught(i, before if mistake == "no shift" else shifted(before, mistake))
                losses[f"loss_sd_{i}"] = w["div"] * sum(d(att(a), att(b)) for a, b in zip(maps, targets))
            update(optimisers[i], losses)
            all_losses |= losses
        mean = sum(l for l, _ in shown) / STUDENTS
        if mistake == "mean of softmax":
            mean = T * torch.log(sum(F.softmax(l / T, 1) for l, _ in shown) / STUDENTS)
        losses = {"loss_ce_fusion": F.cross_entropy(fused_logits, y), "loss_kl_fusion": kl(mean, fused_logits, mistake)}
        update(of_fusion, losses)
        all_losses |= losses
        logits, maps = led
        losses = {"loss_ce_leader": F.cross_entropy(logits, y), "loss_kl_leader": kl(fused_logits, logits, mistake),
                  "loss_map_leader": w["fus"] * d(att(maps[-1]), att(fused.detach())),
                  "loss_trans_leader": w["fus"] * d(att(tr(maps[-1])), att(concat))}
        targets = taught("_leader", maps[-1].detach() if mistake == "own map" else fused.detach())
        losses["loss_sd_leader"] = w["fus"] * sum(d(att(a), att(b)) for a, b in zip(maps, targets))
        update(of_leader, losses)
        all_losses |= losses
        for name, s in selves.items():
            maps, label = kept_maps[-1 if name == "_leader" else name], str(name).strip("_")
            made = s(shifted(kept_maps[name - 1][-1], mistake) if mistake == "trained shifted" and name != "_leader" else maps[-1])
            losses = {f"loss_sd_feature_{label}": w["sd"] * sum(d(a, b) for a, b in zip(made, maps)),
                      f"loss_sd_attention_{label}": w["sd"] * sum(d(att(a), att(b)) for a, b in zip(made, maps))}
            update(of_selves[name], losses)
            all_losses |= losses
        rows.append({k: v.item() for k, v in all_losses.items()})
        rows[-1]["loss"] = sum(rows[-1].values())

    tensors, modules = {}, {f"student{i}.": s for i, s in enumerate(students)}
    modules |= {"leader.": leader, "leader.trans_fusion_module.": tr, "fusion.": fusion} | {f"sd{n}.": s for n, s in selves.items()}
    for prefix, module in modules.items():
        tensors |= {prefix + k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    for name, s in selves.items():
        for k, p in s.named_parameters():
            state = of_selves[name].state[p]
            tensors |= {f"adam_m.sd{name}.{k}": state["exp_avg"], f"adam_s.sd{name}.{k}": state["exp_avg_sq"]}
    return rows, tensors


def probed(steps, tensors):
    cases = {f"step {s}": {k: (v, abs(v)) for k, v in losses.items()} for s, losses in enumerate(steps)}
    cases["end"] = {k: Case("end", None).probe(k, v) for k, v in tensors.items()}
    return cases


def rows_of(f32, f64):
    return [row for case in f32 for row in case_rows(case, "", f32[case], f64[case])]


MISTAKES = ("sign of equals", "next smallest", "no shift", "trained shifted", "own map", "epoch from 0", "linear warm-up", "no T2",
            "sum of KL", "mean of softmax", "targets by the batch", "one decay")


def worst(found, truth):
    return max((abs(found[c][q][0] - v) / norm, c, q) for c in truth for q, (v, norm) in truth[c].items() if norm > 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    f32, f64 = (probed(*run(dtype)) for dtype in (torch.float32, torch.float64))
    print("float against double:", *worst(f32, f64))
    if sys.argv[1:] == ["--mistakes"]:
        for mistake in MISTAKES:
            print(f"{mistake:22s}", *worst(probed(*run(torch.float64, mistake)), f64))
    else:
        write("ffsd_resnet8", rows_of(f32, f64))
