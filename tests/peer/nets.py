"""The networks and the two distillation steps in plain PyTorch: the peer that distill is compared with.

Written for this project from the papers' descriptions; it is what a PyTorch user would run, so no tricks.
Parameter names are the public CRD benchmark's, the ones distill's safetensors files carry.
defines: build, ABF, ReviewKD, hcl, kd_loss, kl_loss, resize
"""
import math
import re
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


# ---------------------------------------------------------------------------------------------- CIFAR resnets
class BasicBlock(nn.Module):
    """conv3x3-BN-ReLU-conv3x3-BN-add. Returns the sum *before* the last ReLU: the caller wants both."""

    def __init__(self, n_in, n_out, stride, option_a):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.stride, self.new_channels = stride, n_out - n_in
        self.downsample = None
        if not option_a and (stride != 1 or n_in != n_out):
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.downsample is not None:
            x = self.downsample(x)
        elif self.new_channels:  # option A: subsample, the new channels (appended) are zero
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, 0, self.new_channels))
        return x + y


class ResNet(nn.Module):
    """resnet<6n+2>[a|x4]: stem, three stages of n basic blocks, pooling, classifier."""

    def __init__(self, depth, widths, classes, option_a=False):
        super().__init__()
        stem, *stages = widths
        self.widths = (*stages, stages[-1])  # of f1..f4
        self.conv1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        n_in = stem
        for s, width in enumerate(stages):
            blocks = []
            for b in range((depth - 2) // 6):
                blocks.append(BasicBlock(n_in, width, 2 if s > 0 and b == 0 else 1, option_a))
                n_in = width
            setattr(self, f"layer{s + 1}", nn.ModuleList(blocks))
        self.fc = nn.Linear(n_in, classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        if option_a:
            nn.init.kaiming_normal_(self.fc.weight)
            nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        """x (N,3,H,W) -> logits (N,classes), features {f0..f4 after, pre1..pre3 before the activation}."""
        x = F.relu(self.bn1(self.conv1(x)))
        features = {"f0": x}
        for s in (1, 2, 3):
            for block in getattr(self, f"layer{s}"):
                pre = block(x)
                x = F.relu(pre)
            features[f"pre{s}"], features[f"f{s}"] = pre, x
        features["f4"] = F.adaptive_avg_pool2d(x, 1)
        return self.fc(features["f4"].flatten(1)), features


# ---------------------------------------------------------------------------------------------- wide resnets
class WideBlock(nn.Module):
    """Pre-activation block. Where the width changes the shortcut is a 1x1 conv of the *activated* input."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.convShortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False) if n_in != n_out else None

    def forward(self, x):
        """-> block output, bn1(x): the latter is the *previous* stage's pre-activation feature."""
        pre = self.bn1(x)
        a = F.relu(pre)
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return (x if self.convShortcut is None else self.convShortcut(a)) + y, pre


class WideStage(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.layer = nn.ModuleList(blocks)


class WideResNet(nn.Module):
    """wrn-<6n+4>-r: f1..f3 are the raw stage outputs, pre1..pre3 those after the BatchNorm that comes next."""

    def __init__(self, depth, r, classes):
        super().__init__()
        n_in, stages = 16, (16 * r, 32 * r, 64 * r)
        self.widths = (*stages, stages[-1])
        self.conv1 = nn.Conv2d(3, n_in, 3, 1, 1, bias=False)
        for s, width in enumerate(stages):
            blocks = []
            for b in range((depth - 4) // 6):
                blocks.append(WideBlock(n_in, width, 2 if s > 0 and b == 0 else 1))
                n_in = width
            setattr(self, f"block{s + 1}", WideStage(blocks))
        self.bn1 = nn.BatchNorm2d(n_in)
        self.fc = nn.Linear(n_in, classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.normal_(m.weight, 0, math.sqrt(2 / (m.kernel_size[0] * m.kernel_size[1] * m.out_channels)))
        nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        x = self.conv1(x)
        features = {"f0": x}
        for s in (1, 2, 3):
            for b, block in enumerate(getattr(self, f"block{s}").layer):
                x, pre = block(x)
                if b == 0 and s > 1:
                    features[f"pre{s - 1}"] = pre
            features[f"f{s}"] = x
        features["pre3"] = self.bn1(x)
        features["f4"] = F.adaptive_avg_pool2d(F.relu(features["pre3"]), 1)
        return self.fc(features["f4"].flatten(1)), features


class OfTheBenchmark(nn.Module):
    """vgg8, MobileNetV2, ShuffleV1, ResNet50, ... as the fixtures' script has them."""

    def __init__(self, name, classes):
        super().__init__()
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "golden"))
        import make_benchmark_nets_fixtures as benchmark
        benchmark.CLASSES = classes
        self.net = benchmark.build(name)

    def forward(self, x):
        logits, *features = self.net(x)
        return logits, features


def build(name, classes):
    """A network by its public name: resnet20, resnet8x4, resnet32a, wrn-16-2, vgg8, MobileNetV2, ShuffleV1, ResNet50 ..."""
    if re.fullmatch(r"vgg(8|11|13|16|19)|MobileNetV2|ShuffleV[12]|ResNet(10|18|34|50)", name):
        return OfTheBenchmark(name, classes)
    if m := re.fullmatch(r"resnet(8|14|20|32|44|56|110)", name):
        return ResNet(int(m[1]), (16, 16, 32, 64), classes)
    if m := re.fullmatch(r"resnet(8|32)x4", name):
        return ResNet(int(m[1]), (32, 64, 128, 256), classes)
    if m := re.fullmatch(r"resnet(8|32|110)a", name):
        return ResNet(int(m[1]), (16, 16, 32, 64), classes, option_a=True)
    if (m := re.fullmatch(r"wrn-(\d+)-(\d+)", name)) and int(m[1]) >= 10 and int(m[1]) % 6 == 4:
        return WideResNet(int(m[1]), int(m[2]), classes)
    raise SystemExit(f"unknown network {name}: expected resnet8/14/20/32/44/56/110, resnet8x4, resnet32x4, resnet8a, resnet32a, "
                     "resnet110a, wrn-<6n+4>-<width>, vgg8 to vgg19, MobileNetV2, ShuffleV1, ShuffleV2, ResNet10 to ResNet50")


# ---------------------------------------------------------------------------------------------- losses
def kl_loss(logits_s, logits_t, T):
    """KL(p_t || p_s) at temperature T, mean over the batch."""
    return F.kl_div(F.log_softmax(logits_s / T, 1), F.softmax(logits_t / T, 1), reduction="batchmean")


def kd_loss(logits_s, logits_t, labels, T=4.0, alpha=0.9, gamma=0.1):
    """Hinton's loss as its two addends: gamma * CE, alpha * T^2 * KL."""
    return gamma * F.cross_entropy(logits_s, labels), alpha * T * T * kl_loss(logits_s, logits_t, T)


def hcl(fs, ft):
    """Pyramid distance: MSE at full size and at 4x4, 2x2, 1x1 where smaller than the map, each weighing half the one before."""
    loss, w, total = F.mse_loss(fs, ft), 1.0, 1.0
    for l in (4, 2, 1):
        if l >= fs.shape[2]:
            continue
        w /= 2
        loss = loss + w * F.mse_loss(F.adaptive_avg_pool2d(fs, l), F.adaptive_avg_pool2d(ft, l))
        total += w
    return loss / total


# ---------------------------------------------------------------------------------------------- ReviewKD
def resize(x, size):
    """Nearest by index floor(i * h_in / h_out)."""
    return x if tuple(x.shape[2:]) == tuple(size) else F.interpolate(x, size=tuple(size), mode="nearest")


class ABF(nn.Module):
    """Attention-based fusion of a level's feature with the residual from the deeper level.

    fuse: None (nothing to fuse), "attention", or "add" (the --no-abf ablation).
    """

    def __init__(self, n_in, mid, n_out, fuse=None):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(n_in, mid, 1, bias=False), nn.BatchNorm2d(mid))
        self.conv2 = nn.Sequential(nn.Conv2d(mid, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out))
        self.fuse = fuse
        if fuse == "attention":
            self.att_conv = nn.Sequential(nn.Conv2d(2 * mid, 2, 1), nn.Sigmoid())
        for conv in (self.conv1[0], self.conv2[0]):
            nn.init.kaiming_uniform_(conv.weight, a=1)

    def forward(self, x, out_size, residual=None):
        """x (N,in,h,w), residual (N,mid,.,.) -> output (N,out,*out_size), residual for the next level (N,mid,*out_size)."""
        x = self.conv1(x)
        if self.fuse:
            y = resize(residual, x.shape[2:])
            if self.fuse == "attention":
                z = self.att_conv(torch.cat([x, y], 1))
                x = x * z[:, :1] + y * z[:, 1:]
            else:
                x = x + y
        x = resize(x, out_size)
        return self.conv2(x), x


class ReviewKD(nn.Module):
    """The student with its helper modules. Levels are walked from the deepest (abfs.0) to the shallowest.

    --no-residual has one plain transform per pair: abfs.<teacher level>.<student level>, both counted from the
    deepest; teacher level k is compared with the sum of abfs.k.0 .. abfs.k.k.
    """

    def __init__(self, student, teacher_widths, review=True, residual=True, abf=True, use_hcl=True):
        super().__init__()
        self.student = student
        self.review, self.residual = review, residual
        self.distance = hcl if use_hcl else F.mse_loss
        ins, outs = student.widths[::-1], teacher_widths[::-1]
        mid = min(512, ins[0])
        if review and not residual:
            self.abfs = nn.ModuleList(nn.ModuleList(ABF(ins[j], mid, out) for j in range(k + 1)) for k, out in enumerate(outs))
        else:
            fuse = ("attention" if abf else "add") if review else None
            self.abfs = nn.ModuleList(ABF(ins[k], mid, out, fuse if k else None) for k, out in enumerate(outs))

    def forward(self, x, teacher_features):
        """-> logits, sum over the levels of the distance to the teacher's pre-activation features (unweighted)."""
        logits, f = self.student(x)
        students = [f["f4"], f["f3"], f["f2"], f["f1"]]
        teachers = [teacher_features[k] for k in ("f4", "pre3", "pre2", "pre1")]
        total, handed_on = 0, None
        for k, ft in enumerate(teachers):
            size = ft.shape[2:]
            if self.review and not self.residual:
                fs = sum(transform(s, size)[0] for transform, s in zip(self.abfs[k], students))
            else:
                fs, handed_on = self.abfs[k](students[k], size, handed_on)
            total = total + self.distance(fs, ft)
        return logits, total


# ---------------------------------------------------------------------------------------------- HKD
class HKD(nn.Module):
    """A student with HKD's modules and memories (docs/papers.md §11), negatives gathered as its authors' code does."""

    K, TAU, WIDTH = 8, 0.07, 128

    def __init__(self, student, teacher_widths, records):
        super().__init__()
        self.student = student
        self.embed = nn.ModuleList(nn.Linear(widths[-1], self.WIDTH) for widths in (student.widths, teacher_widths))
        self.gnn = nn.ModuleList(nn.Linear(2 * self.WIDTH, self.WIDTH) for _ in range(2))
        for name in ("memory_s", "memory_t"):
            self.register_buffer(name, (2 * torch.rand(records, self.WIDTH) - 1) * (3 / self.WIDTH) ** 0.5)

    def holistic(self, e, logits, gnn):
        q = logits.detach().softmax(1)
        distance = 1 - q @ q.T / (q.norm(dim=1)[:, None] * q.norm(dim=1)[None]).clamp(min=1e-7)
        nearest = (distance - torch.diag(torch.diag(distance) + 1)).topk(self.K, dim=1, largest=False).indices
        return F.normalize(gnn(torch.cat([e, e[nearest].mean(1)], 1)), dim=1)

    def info_nce(self, anchors, positives, negatives):
        """negatives (N,K,128)."""
        others = torch.bmm(negatives, anchors[:, :, None]).squeeze(2)
        scores = torch.cat([(anchors * positives).sum(1, keepdim=True), others], 1) / self.TAU
        return F.cross_entropy(scores, torch.zeros(len(anchors), dtype=torch.long, device=scores.device))

    def forward(self, images, teacher_logits, teacher_features, records, drawn):
        """drawn (N,K) -> the student's logits, L_e + L_g; the memories then have this batch."""
        logits, features = self.student(images)
        seen = (logits, teacher_logits)
        e = [F.normalize(embed(f["f4"].flatten(1)), dim=1) for embed, f in zip(self.embed, (features, teacher_features))]
        g = [self.holistic(own, l, gnn) for own, l, gnn in zip(e, seen, self.gnn)]
        memories = (self.memory_s, self.memory_t)
        loss = 0
        for own, other in ((0, 1), (1, 0)):
            negatives = memories[own][drawn.flatten()].view(*drawn.shape, -1)
            positives = memories[other][records]
            smoothed = F.normalize(0.75 * positives + 0.25 * g[other].detach(), dim=1)
            loss = loss + self.info_nce(e[own], positives, negatives) + self.info_nce(g[own], smoothed, negatives)
        with torch.no_grad():
            for memory, rows in zip(memories, e):
                memory[records] = F.normalize(0.9 * memory[records] + 0.1 * rows, dim=1)
        return logits, loss
