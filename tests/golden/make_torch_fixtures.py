#!/usr/bin/python3
"""Writes, beside it, what tests/test_torch_file.cpp and tests/test_foreign_weights.cpp read: the same checkpoint by the PyTorch that runs this,
in both of torch.save's containers, what is in it as bits of floats, and what networks with others' conventions answer.

    /usr/bin/python3 tests/golden/make_torch_fixtures.py                  (Debian: python3-torch, 1.13)
    DIR/bin/python tests/golden/make_torch_fixtures.py --checkpoints      torch_<version>_….pth alone, by another one
"""
import argparse
import collections
import pathlib
import sys

import numpy
import torch
import torch.nn.functional as F
from torch import nn

HERE = pathlib.Path(__file__).parent


def state():
    """A tensor of each kind that a state dict may have."""
    base = (torch.arange(24, dtype=torch.float32) * 0.37 - 2).reshape(4, 6)
    image = (torch.arange(2 * 3 * 2 * 2, dtype=torch.float32) / 7).reshape(2, 3, 2, 2)
    flat = torch.arange(6, dtype=torch.float32) + 0.5
    tensors = collections.OrderedDict()
    tensors["conv1.weight"] = torch.tensor([0.5, -0.0, 3e-45, 3.4e38, 0.1, -1 / 3]).reshape(2, 3, 1, 1)
    tensors["bn1.weight"] = nn.Parameter(torch.tensor([1.0, 2.5]))
    tensors["bn1.running_var"] = torch.tensor([0.0, 4.0])
    tensors["bn1.num_batches_tracked"] = torch.tensor(391)
    tensors["half"] = torch.tensor([1.0, -0.333251953125, 65504.0, 2.0 ** -24, -(2.0 ** -15), 2.0 ** -14, -0.0]).half()
    tensors["bfloat16"] = torch.tensor([1.0, -2.5, 2.0 ** -130, -0.0, 3e38]).bfloat16()
    tensors["double"] = torch.tensor([0.1, -1e38, 1 / 3], dtype=torch.float64)
    tensors["long"] = torch.tensor([-3, 1 << 40, (1 << 53) + 1])
    tensors["scalar"] = torch.tensor(7.25)
    tensors["empty"] = torch.zeros(0, 4)
    tensors["whole"] = base
    tensors["transposed"] = base.t()
    tensors["part"] = base[1:3, 2:5]
    tensors["every_other"] = base[:, ::2]
    tensors["channels_last"] = image.contiguous(memory_format=torch.channels_last)
    tensors["ones_last"] = flat.reshape(2, 1, 3)[:, :, 1:]
    return tensors


def checkpoints():
    name = "torch_" + ".".join(torch.__version__.split(".")[:2])
    tensors = state()
    layer = nn.Linear(2, 2)
    sgd = torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.arange(p.numel()).reshape(p.shape).float())
    layer(torch.ones(1, 2)).sum().backward()
    sgd.step()
    whole = {"epoch": 240, "best": 91.73, "done": True, "note": None, "steps": [1, 1 << 40, -5], "rng": torch.tensor([1, 2], dtype=torch.uint8),
             "optimizer": sgd.state_dict(),
             "state_dict": collections.OrderedDict(("module." + key, value) for key, value in tensors.items())}
    torch.save(whole, HERE / f"{name}_zip.pth")
    torch.save(whole, HERE / f"{name}_legacy.pth", _use_new_zipfile_serialization=False)


def trainers_checkpoint():
    """As the CRD benchmark's trainer saves its teachers: numpy computes the rate of later epochs and the accuracy; its last file has the options."""
    name = "torch_" + ".".join(torch.__version__.split(".")[:2])
    net = nn.Sequential(collections.OrderedDict(fc=nn.Linear(3, 2)))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.arange(p.numel()).reshape(p.shape).float())
    sgd = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    for group in sgd.param_groups:
        group["lr"] = 0.05 * 0.1 ** numpy.sum(240 > numpy.asarray([150, 180, 210]))
    whole = {"opt": argparse.Namespace(lr=0.05, lr_decay_epochs=[150, 180, 210], model="resnet8"), "epoch": 240, "accuracy": numpy.float64(61.5),
             "history": numpy.arange(3.0), "model": net.state_dict(), "optimizer": sgd.state_dict()}
    torch.save(whole, HERE / f"{name}_crd.pth")
    torch.save(whole, HERE / f"{name}_crd_legacy.pth", _use_new_zipfile_serialization=False)


def write_bits():
    with open(HERE / "torch_state.csv", "w") as out:
        out.write("name,shape,bits\n")
        for name, tensor in state().items():
            values = tensor.detach().to(torch.float32).contiguous().reshape(-1)
            bits = " ".join(f"{v & 0xffffffff:08x}" for v in values.view(torch.int32).tolist())
            out.write(f"{name},{' '.join(map(str, tensor.shape))},{bits}\n")


class OptionA(nn.Module):
    """A CIFAR ResNet without projections: a shortcut takes every other pixel and adds channels of zeros, `before` of them before the others."""

    def __init__(self, depth, both_sides, classifier):
        super().__init__()
        self.both_sides, n_in = both_sides, 16
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.blocks = []
        for l, width in enumerate((16, 32, 64), 1):
            layer = nn.Sequential()
            for b in range((depth - 2) // 6):
                k = nn.Module()
                k.conv1 = nn.Conv2d(n_in, width, 3, 2 if l > 1 and b == 0 else 1, 1, bias=False)
                k.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
                k.bn1, k.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
                layer.add_module(str(b), k)
                self.blocks.append(k)
                n_in = width
            self.add_module(f"layer{l}", layer)
        self.add_module(classifier, nn.Linear(64, 100))
        self.classify = [getattr(self, classifier)]

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for k in self.blocks:
            y = k.bn2(k.conv2(F.relu(k.bn1(k.conv1(x)))))
            added = y.shape[1] - x.shape[1]
            if added:
                before = added // 2 if self.both_sides else 0
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, added - before))
            x = F.relu(x + y)
        return self.classify[0](x.mean((2, 3)))


def write_answers():
    from make_fixtures import dataset, fill

    with open(HERE / "torch_option_a.csv", "w") as out:
        out.write("zeros,classifier,logits\n")
        for zeros, classifier in (("both_sides", "linear"), ("at_end", "linear"), ("at_end", "fc")):
            net = fill(OptionA(14, zeros == "both_sides", classifier), teacher=True).double().eval()
            with torch.no_grad():
                logits = net(dataset(torch.float64)[0][:1])
            out.write(f"{zeros},{classifier},{' '.join(f'{v:.9g}' for v in logits.reshape(-1).tolist())}\n")


if __name__ == "__main__":
    checkpoints()
    trainers_checkpoint()
    if "--checkpoints" not in sys.argv:
        write_bits()
        with torch.no_grad():
            write_answers()
