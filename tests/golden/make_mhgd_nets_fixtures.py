#!/usr/bin/python3
"""Writes mhgd_nets.csv and mhgd_nets_train.csv beside it: MHGD's networks in PyTorch, for tests/test_nets_mhgd.cpp to reproduce.

    /usr/bin/python3 tests/golden/make_mhgd_nets_fixtures.py      (Debian: python3-torch; half a minute, one thread)

Weights, images, labels, optimiser, columns and quantities as in features.csv and the train_* trajectories (make_fixtures.py); for -tiny
networks the images are 64x64, from the same name. Forward: `train` (batch statistics, dropout as in step 0) and `evaluate` (a teacher's
weights and running statistics, no dropout): sensing points (s0, s1, ...), the same before their ReLU (p0, ...), logits, parameters.
Dropout's mask is Philox4x32-10's (philox below), keyed by (seed, purpose, layer's name), its counter (element / 4, step); seed 0.
Where a map is flattened, its order is row, column, channel.
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from make_fixtures import BATCH, CLASSES, MEAN, STD, Case, case_rows, fill, fnv1a64, hashes, labels, optimiser, write

SEED, DROPOUT_PURPOSE = 0, 4
SIZES = {"vgg16-mhgd": ([2, 2, 3, 3, 3], 2), "vgg7-mhgd": ([1] * 5, 1)}


# ---------------------------------------------------------------------------------------------- dropout's draws
def mix(z):
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def random_key(name):
    return mix(mix(mix(SEED) ^ DROPOUT_PURPOSE) ^ fnv1a64(name))


def philox(key, low, high):
    """Salmon et al. 2011, ten rounds; low: array of counters. -> (..., 4) words of 32 bits."""
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [low & mask, low >> shift, np.full_like(low, high & 0xFFFFFFFF), np.full_like(low, high >> 32)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> shift) ^ c[1] ^ np.uint64(k0), p1 & mask, (p0 >> shift) ^ c[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack(c, -1)


class Dropout(nn.Module):
    def __init__(self, name, rate=0.5):
        super().__init__()
        self.key, self.rate, self.step = random_key(name), rate, 0

    def forward(self, x):
        if not self.training:
            return x
        words = philox(self.key, np.arange((x.numel() + 3) // 4, dtype=np.uint64), self.step).reshape(-1)[:x.numel()]
        kept = (words >> np.uint64(8)).astype(np.float64) * 2.0**-24 >= self.rate
        return x * torch.from_numpy(kept.reshape(x.shape)).to(x.dtype) / (1 - self.rate)


# ---------------------------------------------------------------------------------------------- the networks
class Vgg(nn.Module):
    def __init__(self, convolutions, hidden, tiny, prefix):
        super().__init__()
        self.tiny, self.hidden, n_in = tiny, hidden, 3
        for s, (count, width) in enumerate(zip(convolutions, (64, 128, 256, 512, 512))):
            block = nn.Module()
            for k in range(count):
                block.add_module(f"conv{k + 1}", nn.Conv2d(n_in, width, 3, padding=1))
                n_in = width
            self.add_module(f"block{s + 1}", block)
        n_in = 4 * 512
        self.dropouts = [Dropout(f"{prefix}fc{k + 1}") for k in range(hidden)]
        for k in range(hidden):
            self.add_module(f"fc{k + 1}", nn.Linear(n_in, 1024))
            n_in = 1024
        self.fc = nn.Linear(n_in, CLASSES)

    def forward(self, x):
        after, before = [], []
        for s in range(5):
            block = getattr(self, f"block{s + 1}").children()
            for conv in block:
                z = conv(x)
                x = F.relu(z)
            if s != 3 or self.tiny:
                x, z = F.max_pool2d(x, 2), F.max_pool2d(z, 2)
            after.append(x)
            before.append(z)
        x = x.permute(0, 2, 3, 1).flatten(1)
        for k, dropout in enumerate(self.dropouts):
            x = dropout.train(self.training)(F.relu(getattr(self, f"fc{k + 1}")(x)))
        return self.fc(x), after, before


class Layer(nn.Module):
    def __init__(self, n_in, n_out, stride, separable):
        super().__init__()
        self.separable = separable
        if separable:
            self.depthwise = nn.Conv2d(n_in, n_in, 3, stride, 1, groups=n_in, bias=False)
            self.depthwise_bn = nn.BatchNorm2d(n_in)
            self.conv = nn.Conv2d(n_in, n_out, 1, bias=False)
        else:
            self.conv = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(n_out)

    def forward(self, x):
        if self.separable:
            x = F.relu(self.depthwise_bn(self.depthwise(x)))
        return self.bn(self.conv(x))


class Block(nn.Module):
    """Two convolutions and a shortcut, 1x1 where the shape changes; before its last ReLU."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x):
        return self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.downsample(x)


class ThreeStages(nn.Module):
    """Stem 16, stages of 64, 128, 256 at strides 1, 2, 2, pooling, classifier. make(in, out, stride): a layer without its ReLU."""

    def __init__(self, counts, tiny, make):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 2 if tiny else 1, 1, bias=False), nn.BatchNorm2d(16)
        n_in = 16
        for s, (count, width) in enumerate(zip(counts, (64, 128, 256))):
            layers = []
            for k in range(count):
                layers.append(make(n_in, width, 2 if s > 0 and k == 0 else 1))
                n_in = width
            setattr(self, f"layer{s + 1}", nn.ModuleList(layers))
        self.fc = nn.Linear(n_in, CLASSES)

    def forward(self, x):
        after, before = [], []
        x = F.relu(self.bn1(self.conv1(x)))
        for s in range(3):
            for layer in getattr(self, f"layer{s + 1}"):
                z = layer(x)
                x = F.relu(z)
            after.append(x)
            before.append(z)
        return self.fc(x.mean((2, 3))), after, before


class WideBlock(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(n_in), nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(n_out), nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        if n_in != n_out:
            self.convShortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x, activated):
        y = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return y + (self.convShortcut(activated) if hasattr(self, "convShortcut") else x)


class Wide(nn.Module):
    def __init__(self, blocks, r, tiny):
        super().__init__()
        self.conv1, n_in = nn.Conv2d(3, 16, 3, 2 if tiny else 1, 1, bias=False), 16
        for s, width in enumerate((16 * r, 32 * r, 64 * r)):
            stage, layers = nn.Module(), []
            for k in range(blocks):
                layers.append(WideBlock(n_in, width, 2 if s > 0 and k == 0 else 1))
                n_in = width
            stage.layer = nn.ModuleList(layers)
            setattr(self, f"block{s + 1}", stage)
        self.bn1, self.fc = nn.BatchNorm2d(n_in), nn.Linear(n_in, CLASSES)

    def forward(self, x):
        after, before = [], []
        x = self.conv1(x)
        for s in range(3):
            for k, block in enumerate(getattr(self, f"block{s + 1}").layer):
                z = block.bn1(x)
                a = F.relu(z)
                if s > 0 and k == 0:
                    after.append(a), before.append(z)
                x = block(x, a)
        z = self.bn1(x)
        after.append(F.relu(z)), before.append(z)
        return self.fc(after[-1].mean((2, 3))), after, before


def build(name, prefix):
    tiny, base = name.endswith("-tiny"), name.replace("-tiny", "")
    if base in SIZES:
        return Vgg(*SIZES[base], tiny, prefix)
    if base.startswith("wrn-"):
        depth, r = map(int, base.split("-")[1:])
        return Wide((depth - 4) // 6, r, tiny)
    if base == "resnet-mhgd":
        return ThreeStages((1, 1, 1), tiny, Block)
    separable = base == "mobilenet-mhgd"
    return ThreeStages((1, 2, 2) if separable else (2, 2, 2), tiny, lambda i, o, s: Layer(i, o, s, separable))


NETWORKS = ["vgg16-mhgd", "vgg7-mhgd", "vggm-mhgd", "mobilenet-mhgd", "resnet-mhgd", "wrn-22-4", "wrn-10-4",
            "vgg16-mhgd-tiny", "vgg7-mhgd-tiny", "vggm-mhgd-tiny", "mobilenet-mhgd-tiny", "resnet-mhgd-tiny", "wrn-10-4-tiny"]


def batch(name, step, dtype):
    side = 64 if name.endswith("-tiny") else 32
    pixels = torch.from_numpy((hashes("images", (4 * BATCH, 3, side, side)) >> np.uint64(56)).astype(np.float64)).to(dtype)
    mean, std = (torch.tensor(v, dtype=dtype).view(1, 3, 1, 1) for v in (MEAN, STD))
    part = slice(step * BATCH, (step + 1) * BATCH)
    return ((pixels - mean) / std)[part], labels("labels", 4 * BATCH, CLASSES)[part]


def forward_rows(name, mode):
    results = []
    for dtype in (torch.float32, torch.float64):
        teacher = mode == "evaluate"
        net = fill(build(name, "").to(dtype), "teacher." if teacher else "", teacher).train(not teacher)
        with torch.no_grad():
            logits, after, before = net(batch(name, 0, dtype)[0])
        probe, quantities = Case(f"{name} {mode}", None).probe, {}
        for i, (a, b) in enumerate(zip(after, before)):
            rms = a.double().pow(2).mean().sqrt().item()
            assert 0.03 < rms < 20, f"{name} s{i}: rms {rms}: the formula weights are not healthy"
            quantities |= {f"s{i}": probe(f"s{i}", a), f"p{i}": probe(f"p{i}", b)}
        quantities |= {"logits": probe("logits", logits), "parameters": (sum(p.numel() for p in net.parameters()), 0)}
        results.append(quantities)
    return case_rows(f"{name} {mode}", "", *results)


def train_rows(name, steps=3):
    runs = []
    for dtype in (torch.float32, torch.float64):
        net, run = fill(build(name, "student.").to(dtype)), []  # the formula sees bare names, dropout the method's
        sgd = optimiser(net)
        for s in range(steps):
            for dropout in getattr(net, "dropouts", []):
                dropout.step = s
            x, y = batch(name, s, dtype)
            loss = F.cross_entropy(net(x)[0], y)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            run.append(loss.item())
        runs.append(run)
    return [{"network": name, "step": s, "loss_ce": a, "loss_ce_f64": b} for s, (a, b) in enumerate(zip(*runs))]


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    names = sys.argv[1:] or NETWORKS
    write("mhgd_nets", [row for n in names for mode in ("train", "evaluate") for row in forward_rows(n, mode)])
    write("mhgd_nets_train", [row for n in names for row in train_rows(n)])
