#!/usr/bin/python3
"""Writes nets_*.csv and nets_*_train.csv beside it: the CRD benchmark's VGG, MobileNetV2, ShuffleNets and ResNets of four
stages, and FFSD's wide ResNets, in PyTorch, for tests/network_checks.h to reproduce.

    /usr/bin/python3 tests/golden/make_benchmark_nets_fixtures.py      (Debian: python3-torch; two minutes, one thread)

Weights, images, labels, optimiser, columns and quantities as in features.csv and the train_* trajectories (make_fixtures.py). Written from
the description in docs/papers.md §8, its own way: every network is a list of layers by the names of its parameters.
Forward: `train` and `evaluate` (a teacher's weights and running statistics): stem (f0), stages (s0, s1, ...), the same before their ReLU
(p0, ...), pooled vector, logits, parameters. ResNet50's and vgg19's maps are those of 2 images, the others' of 8.
"""
import sys

import torch
import torch.nn.functional as F
from torch import nn

from make_fixtures import CLASSES, Case, case_rows, dataset, fill, optimiser, write


class Net(nn.Module):
    """Modules by dotted names: conv("block0.0", ...), bn("block0.1", ...); run by each network's own forward."""

    def put(self, name, module):
        *path, last = name.split(".")
        at = self
        for part in path:
            if part not in at._modules:
                at.add_module(part, nn.Module())
            at = at._modules[part]
        at.add_module(last, module)

    def at(self, name):
        return self.get_submodule(name)

    def conv(self, name, n_in, n_out, size, stride=1, groups=1, bias=False):
        self.put(name, nn.Conv2d(n_in, n_out, size, stride, size // 2, groups=groups, bias=bias))

    def bn(self, name, channels):
        self.put(name, nn.BatchNorm2d(channels))


class Vgg(Net):
    COUNTS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

    def __init__(self, depth):
        super().__init__()
        self.counts, n_in = self.COUNTS[depth], 3
        for b, (count, width) in enumerate(zip(self.counts, (64, 128, 256, 512, 512))):
            for i in range(count):
                self.conv(f"block{b}.{3 * i}", n_in, width, 3, bias=True)
                self.bn(f"block{b}.{3 * i + 1}", width)
                n_in = width
        self.classifier = nn.Linear(512, CLASSES)

    def forward(self, x):
        stages, pooled_at = [], x.shape[2]
        for b, count in enumerate(self.counts):
            for i in range(count):
                z = self.at(f"block{b}.{3 * i + 1}")(self.at(f"block{b}.{3 * i}")(x))
                x = F.relu(z)
            stages.append((x, z))
            if b < 3 or (b == 3 and pooled_at == 64):
                x = F.max_pool2d(x, 2)
        pooled = x.mean((2, 3))
        return self.classifier(pooled), pooled, stages[0][0], stages[1:]


class MobileNetV2(Net):
    GROUPS = ((1, 8, 1, 1), (6, 12, 2, 1), (6, 16, 3, 2), (6, 32, 4, 2), (6, 48, 3, 1), (6, 80, 3, 2), (6, 160, 1, 1))

    def __init__(self):
        super().__init__()
        self.conv("conv1.0", 3, 16, 3, 2)
        self.bn("conv1.1", 16)
        n_in, self.strides = 16, {}
        for g, (t, width, blocks, stride) in enumerate(self.GROUPS):
            for j in range(blocks):
                name, s = f"blocks.{g}.{j}.conv", stride if j == 0 else 1
                self.conv(f"{name}.0", n_in, t * n_in, 1)
                self.bn(f"{name}.1", t * n_in)
                self.conv(f"{name}.3", t * n_in, t * n_in, 3, s, t * n_in)
                self.bn(f"{name}.4", t * n_in)
                self.conv(f"{name}.6", t * n_in, width, 1)
                self.bn(f"{name}.7", width)
                self.strides[g, j] = s == 1 and n_in == width
                n_in = width
        self.conv("conv2.0", n_in, 1280, 1)
        self.bn("conv2.1", 1280)
        self.put("classifier.0", nn.Linear(1280, CLASSES))

    def forward(self, x):
        x = stem = F.relu(self.at("conv1.1")(self.at("conv1.0")(x)))
        stages = []
        for g, group in enumerate(self.GROUPS):
            for j in range(group[2]):
                name = f"blocks.{g}.{j}.conv"
                y = F.relu(self.at(f"{name}.1")(self.at(f"{name}.0")(x)))
                y = F.relu(self.at(f"{name}.4")(self.at(f"{name}.3")(y)))
                y = self.at(f"{name}.7")(self.at(f"{name}.6")(y))
                x = x + y if self.strides[g, j] else y
            if g in (1, 2, 4, 6):
                stages.append((x, x))
        pooled = F.relu(self.at("conv2.1")(self.at("conv2.0")(x))).mean((2, 3))
        return self.at("classifier.0")(pooled), pooled, stem, stages


def shuffle(x, groups):
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class ShuffleV1(Net):
    def __init__(self):
        super().__init__()
        self.conv("conv1", 3, 24, 1)
        self.bn("bn1", 24)
        n_in = 24
        for l, (blocks, width) in enumerate(((4, 240), (8, 480), (4, 960)), 1):
            for b in range(blocks):
                out = width - n_in if b == 0 else width
                m, g, name = out // 4, 1 if n_in == 24 else 3, f"layer{l}.{b}"
                self.conv(f"{name}.conv1", n_in, m, 1, groups=g)
                self.bn(f"{name}.bn1", m)
                self.conv(f"{name}.conv2", m, m, 3, 2 if b == 0 else 1, m)
                self.bn(f"{name}.bn2", m)
                self.conv(f"{name}.conv3", m, out, 1, groups=3)
                self.bn(f"{name}.bn3", out)
                n_in = width
        self.linear = nn.Linear(960, CLASSES)

    def forward(self, x):
        x = stem = F.relu(self.bn1(self.conv1(x)))
        stages = []
        for l, blocks in enumerate((4, 8, 4), 1):
            for b in range(blocks):
                k = self.at(f"layer{l}.{b}")
                y = shuffle(F.relu(k.bn1(k.conv1(x))), k.conv1.groups)
                y = k.bn3(k.conv3(F.relu(k.bn2(k.conv2(y)))))
                z = torch.cat((y, F.avg_pool2d(x, 3, 2, 1)), 1) if b == 0 else y + x
                x = F.relu(z)
            stages.append((x, z))
        pooled = x.mean((2, 3))
        return self.linear(pooled), pooled, stem, stages


class ShuffleV2(Net):
    LAYERS = ((4, 116), (8, 232), (4, 464))

    def __init__(self):
        super().__init__()
        self.conv("conv1", 3, 24, 1)
        self.bn("bn1", 24)
        n_in = 24
        for l, (blocks, width) in enumerate(self.LAYERS, 1):
            h, down = width // 2, f"layer{l}.0"
            shapes = ((n_in, n_in, 3, 2, n_in), (n_in, h, 1, 1, 1), (n_in, h, 1, 1, 1), (h, h, 3, 2, h), (h, h, 1, 1, 1))
            for i, shape in enumerate(shapes, 1):
                self.conv(f"{down}.conv{i}", *shape)
                self.bn(f"{down}.bn{i}", shape[1])
            for b in range(1, blocks):
                for i, shape in enumerate(((h, h, 1), (h, h, 3, 1, h), (h, h, 1)), 1):
                    self.conv(f"layer{l}.{b}.conv{i}", *shape)
                    self.bn(f"layer{l}.{b}.bn{i}", h)
            n_in = width
        self.conv("conv2", n_in, 1024, 1)
        self.bn("bn2", 1024)
        self.linear = nn.Linear(1024, CLASSES)

    def forward(self, x):
        x = stem = F.relu(self.bn1(self.conv1(x)))
        stages = []
        for l, (blocks, width) in enumerate(self.LAYERS, 1):
            k = self.at(f"layer{l}.0")
            left = F.relu(k.bn2(k.conv2(k.bn1(k.conv1(x)))))
            right = F.relu(k.bn5(k.conv5(k.bn4(k.conv4(F.relu(k.bn3(k.conv3(x))))))))
            x = shuffle(torch.cat((left, right), 1), 2)
            for b in range(1, blocks):
                k, kept, y = self.at(f"layer{l}.{b}"), x[:, :width // 2], x[:, width // 2:]
                y = k.bn3(k.conv3(k.bn2(k.conv2(F.relu(k.bn1(k.conv1(y)))))))
                z = torch.cat((kept, y), 1)
                x = shuffle(torch.cat((kept, F.relu(y)), 1), 2)
            stages.append((x, z))
        pooled = F.relu(self.bn2(self.conv2(x))).mean((2, 3))
        return self.linear(pooled), pooled, stem, stages


class ResNet(Net):
    BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}

    def __init__(self, depth):
        super().__init__()
        self.blocks, self.deep, n_in = self.BLOCKS[depth], depth == 50, 64
        self.conv("conv1", 3, 64, 3)
        self.bn("bn1", 64)
        for l, blocks in enumerate(self.blocks, 1):
            planes = 32 << l
            for b in range(blocks):
                s, name, out = 2 if l > 1 and b == 0 else 1, f"layer{l}.{b}", planes * (4 if self.deep else 1)
                shapes = ((n_in, planes, 1), (planes, planes, 3, s), (planes, out, 1)) if self.deep else ((n_in, out, 3, s), (out, out, 3))
                for i, shape in enumerate(shapes, 1):
                    self.conv(f"{name}.conv{i}", *shape)
                    self.bn(f"{name}.bn{i}", shape[1])
                if s > 1 or n_in != out:
                    self.conv(f"{name}.shortcut.0", n_in, out, 1, s)
                    self.bn(f"{name}.shortcut.1", out)
                n_in = out
        self.linear = nn.Linear(n_in, CLASSES)

    def forward(self, x):
        x = stem = F.relu(self.bn1(self.conv1(x)))
        stages = []
        for l, blocks in enumerate(self.blocks, 1):
            for b in range(blocks):
                k, y = self.at(f"layer{l}.{b}"), x
                for i in range(1, 4 if self.deep else 3):
                    y = getattr(k, f"bn{i}")(getattr(k, f"conv{i}")(F.relu(y) if i > 1 else y))
                if "shortcut" in k._modules:
                    x = k.get_submodule("shortcut.1")(k.get_submodule("shortcut.0")(x))
                z = x + y
                x = F.relu(z)
            stages.append((x, z))
        pooled = x.mean((2, 3))
        return self.linear(pooled), pooled, stem, stages


class WideFfsd(Net):
    """FFSD's: a bias in each convolution, the stride in a block's second, the shortcut from the raw input, a forgetful last BatchNorm."""

    def __init__(self, depth):
        super().__init__()
        self.blocks, n_in = (depth - 4) // 6, 16
        self.conv("conv1", 3, 16, 3, bias=True)
        for l in (1, 2, 3):
            width = 16 << l
            for b in range(self.blocks):
                s, name = 2 if l > 1 and b == 0 else 1, f"layer{l}.{b}"
                self.bn(f"{name}.bn1", n_in)
                self.conv(f"{name}.conv1", n_in, width, 3, bias=True)
                self.bn(f"{name}.bn2", width)
                self.conv(f"{name}.conv2", width, width, 3, s, bias=True)
                if s > 1 or n_in != width:
                    self.conv(f"{name}.shortcut.0", n_in, width, 1, s, bias=True)
                n_in = width
        self.put("bn1", nn.BatchNorm2d(n_in, momentum=0.9))
        self.linear = nn.Linear(n_in, CLASSES)

    def forward(self, x):
        x = stem = self.conv1(x)
        names, sums = [f"layer{l}.{b}" for l in (1, 2, 3) for b in range(self.blocks)], []
        pre = self.at(names[0]).bn1(x)
        for i, name in enumerate(names):
            k = self.at(name)
            y = k.conv2(F.relu(k.bn2(k.conv1(F.relu(pre)))))
            x = y + (k.get_submodule("shortcut.0")(x) if "shortcut" in k._modules else x)
            pre = (self.at(names[i + 1]).bn1 if i + 1 < len(names) else self.bn1)(x)
            sums.append((x, pre))
        pooled = F.relu(pre).mean((2, 3))
        return self.linear(pooled), pooled, stem, sums[self.blocks - 1::self.blocks]


NETWORKS = ["vgg8", "vgg13", "vgg19", "MobileNetV2", "ShuffleV1", "ShuffleV2", "ResNet10", "ResNet18", "ResNet50",
            "wrn-16-2-ffsd", "wrn-40-2-ffsd"]
TRAINED = ["vgg8", "MobileNetV2", "ShuffleV1", "ShuffleV2", "ResNet10", "wrn-16-2-ffsd"]


def build(name):
    if name.endswith("-ffsd"):
        return WideFfsd(int(name.split("-")[1]))
    for kind, start in ((Vgg, "vgg"), (ResNet, "ResNet")):
        if name.startswith(start):
            return kind(int(name[len(start):]))
    return {"MobileNetV2": MobileNetV2, "ShuffleV1": ShuffleV1, "ShuffleV2": ShuffleV2}[name]()


def images_of(name):
    return 2 if name in ("vgg19", "ResNet50") else 8


def forward_rows(name, mode):
    results = []
    for dtype in (torch.float32, torch.float64):
        teacher = mode == "evaluate"
        net = fill(build(name).to(dtype), "teacher." if teacher else "", teacher).train(not teacher)
        with torch.no_grad():
            logits, pooled, stem, stages = net(dataset(dtype)[0][:images_of(name)])
        probe, quantities = Case(f"{name} {mode}", None).probe, {}
        quantities["f0"] = probe("f0", stem)
        for i, (a, b) in enumerate(stages):
            quantities |= {f"s{i}": probe(f"s{i}", a), f"p{i}": probe(f"p{i}", b)}
        quantities |= {"pooled": probe("pooled", pooled), "logits": probe("logits", logits),
                       "parameters": (sum(p.numel() for p in net.parameters()), 0)}
        results.append(quantities)
    return case_rows(f"{name} {mode}", "", *results)


def train_rows(name, steps=3):
    runs = []
    for dtype in (torch.float32, torch.float64):
        net, run = fill(build(name).to(dtype)), []
        sgd = optimiser(net)
        images, y = dataset(dtype)
        for s in range(steps):
            part = slice(8 * s, 8 * (s + 1))
            loss = F.cross_entropy(net(images[part])[0], y[part])
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            run.append(loss.item())
        runs.append(run)
    return [{"network": name, "step": s, "loss_ce": a, "loss_ce_f64": b} for s, (a, b) in enumerate(zip(*runs))]


FILES = {"nets_vgg": "vgg", "nets_mobilenetv2": "Mobile", "nets_shufflenet": "Shuffle", "nets_resnet4": "ResNet", "nets_wrn_ffsd": "wrn-"}

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for file, start in FILES.items():
        if sys.argv[1:] and file not in sys.argv[1:]:
            continue
        names = [n for n in NETWORKS if n.startswith(start)]
        write(file, [row for n in names for mode in ("train", "evaluate") for row in forward_rows(n, mode)])
        write(file + "_train", [row for n in names if n in TRAINED for row in train_rows(n)])
