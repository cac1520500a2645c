"""The CRD benchmark's losses on features and DKD in plain PyTorch, by their public formulas: what a PyTorch user would run beside distill.

Of networks of three stages whose maps have one size at each (nets.py); weights and widths are the benchmark's (docs/papers.md §6.5, §6.9 to
§6.18). defines: METHODS, Distilled
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

LEVELS = ("f1", "f2", "f3")


def normalised(map):
    """The mean over channels of x², divided by its norm."""
    return F.normalize(map.pow(2).mean(1).flatten(1))


def similarities(map):
    flat = map.flatten(1)
    return F.normalize(flat @ flat.T)


def distances(x):
    square = x.pow(2).sum(1)
    d = (square[:, None] + square[None] - 2 * x @ x.T).clamp(min=1e-12).sqrt()
    d = d * (1 - torch.eye(len(x), device=x.device))
    return d / d[d > 0].mean()


def angles(x):
    e = F.normalize(x[None] - x[:, None], dim=2)
    return torch.bmm(e, e.transpose(1, 2))


def probabilities(x):
    x = x / (x.norm(dim=1, keepdim=True) + 1e-7)
    k = (x @ x.T + 1) / 2
    return k / k.sum(1, keepdim=True)


class Distilled(nn.Module):
    """The student with a method's helper modules; forward() is the loss of a batch. `records`: images of the training set (crd)."""

    def __init__(self, method, student, teacher, batch, records=50000):
        super().__init__()
        self.method, self.student = method, student
        s, t = student.widths, teacher.widths
        if method == "fitnet":
            self.regressor = nn.Sequential(nn.Conv2d(s[1], t[1], 1), nn.BatchNorm2d(t[1]), nn.ReLU())
        elif method == "cc":
            self.embed_s, self.embed_t = nn.Linear(s[3], 128), nn.Linear(t[3], 128)
        elif method == "vid":
            self.regressors = nn.ModuleList(
                nn.Sequential(nn.Conv2d(a, b, 1, bias=False), nn.ReLU(), nn.Conv2d(b, b, 1, bias=False), nn.ReLU(),
                              nn.Conv2d(b, b, 1, bias=False)) for a, b in zip(s[:3], t[:3]))
            self.log_scales = nn.ParameterList(nn.Parameter(torch.full((1, b, 1, 1), math.log(math.expm1(5 - 1e-5)))) for b in t[:3])
        elif method == "ft":
            k = t[2] // 2
            widths = (s[2], s[2], k, k)
            self.translator = nn.Sequential(*(m for a, b in zip(widths, widths[1:])
                                              for m in (nn.Conv2d(a, b, 3, 1, 1), nn.BatchNorm2d(b), nn.LeakyReLU(0.1, inplace=True))))
            widths = (t[2], t[2], k, k)
            paraphraser = nn.Sequential(*(m for a, b in zip(widths, widths[1:])
                                          for m in (nn.Conv2d(a, b, 3, 1, 1), nn.LeakyReLU(0.1, inplace=True))))
            self.paraphraser = paraphraser.requires_grad_(False)
        elif method == "crd":
            self.embed_s, self.embed_t = nn.Linear(s[3], 128), nn.Linear(t[3], 128)
            bound = (3 / 128) ** 0.5
            for name in ("memory_s", "memory_t"):
                self.register_buffer(name, torch.empty(records, 128).uniform_(-bound, bound))
            self.records, self.negatives = records, 16384
            self.z = [None, None]
            # Drawn once: the drawing is a data loader's, in other processes.
            self.register_buffer("drawn", torch.randint(records, (batch, 1 + self.negatives)))
            self.drawn[:, 0] = torch.arange(batch)

    def contrast(self, z, memory, which):
        scores = torch.exp(torch.bmm(memory[self.drawn.flatten()].view(len(z), -1, 128), z.unsqueeze(2)) / 0.07).squeeze(2)
        if self.z[which] is None:
            self.z[which] = scores.detach().mean() * self.records
        p, c = scores / self.z[which], self.negatives / self.records
        return -(torch.log(p[:, 0] / (p[:, 0] + c + 1e-7)) + torch.log(c / (p[:, 1:] + c + 1e-7)).sum(1)).mean()

    def remember(self, memory, z):
        rows = self.drawn[:, 0]
        memory[rows] = F.normalize(0.5 * memory[rows] + 0.5 * z.detach())

    def loss(self, f, g, logits, logits_t, labels):
        """f, g: the student's features and the teacher's."""
        m = self.method
        if m == "fitnet":
            return 100 * F.mse_loss(self.regressor(f["f2"]), g["f2"])
        if m == "at":
            return 1000 * sum((normalised(f[i]) - normalised(g[i])).pow(2).mean() for i in LEVELS)
        if m == "sp":
            return 3000 * (similarities(g["f3"]) - similarities(f["f3"])).pow(2).sum() / len(logits)**2
        if m == "nst":
            total = 0
            for i in LEVELS:
                s, t = (F.normalize(x[i].flatten(2), dim=2) for x in (f, g))
                with torch.no_grad():
                    alone = torch.bmm(t, t.transpose(1, 2)).pow(2).mean()
                total = total + alone + torch.bmm(s, s.transpose(1, 2)).pow(2).mean() - 2 * torch.bmm(s, t.transpose(1, 2)).pow(2).mean()
            return 50 * total
        if m == "vid":
            total = 0
            for i, regressor, a in zip(LEVELS, self.regressors, self.log_scales):
                variance = F.softplus(a) + 1e-5
                total = total + (0.5 * ((regressor(f[i]) - g[i])**2 / variance + variance.log())).mean()
            return total
        if m == "ft":
            with torch.no_grad():
                factor = normalised(self.paraphraser(g["f3"]))
            return 200 * (normalised(self.translator(f["f3"])) - factor).abs().mean()
        s, t = f["f4"].flatten(1), g["f4"].flatten(1)
        if m == "cc":
            apart = (self.embed_s(s) - self.embed_t(t)).abs()
            return 0.02 * (apart[:-1] * apart[1:]).sum(1).mean()
        if m == "rkd":
            with torch.no_grad():
                distance_t, angle_t = distances(t), angles(t)
            return 25 * F.smooth_l1_loss(distances(s), distance_t) + 50 * F.smooth_l1_loss(angles(s), angle_t)
        if m == "pkt":
            p_s, p_t = probabilities(s), probabilities(t)
            return 30000 * (p_t * ((p_t + 1e-7) / (p_s + 1e-7)).log()).mean()
        if m == "crd":
            z_s, z_t = F.normalize(self.embed_s(s)), F.normalize(self.embed_t(t))
            loss = self.contrast(z_s, self.memory_t, 0) + self.contrast(z_t, self.memory_s, 1)
            with torch.no_grad():
                self.remember(self.memory_s, z_s)
                self.remember(self.memory_t, z_t)
            return 0.8 * loss
        # dkd: softmax over two classes, the label and the rest, and over the rest
        own = F.one_hot(labels, logits.shape[1]).bool()
        p_s, p_t = F.softmax(logits / 4, 1), F.softmax(logits_t / 4, 1)
        two_s, two_t = (torch.stack([(p * own).sum(1), (p * ~own).sum(1)], 1) for p in (p_s, p_t))
        target = F.kl_div(two_s.log(), two_t, reduction="batchmean")
        rest_s, rest_t = F.log_softmax(logits / 4 - 1000 * own, 1), F.softmax(logits_t / 4 - 1000 * own, 1)
        return 16 * (target + 8 * F.kl_div(rest_s, rest_t, reduction="batchmean"))

    def forward(self, images, labels, logits_t, features_t):
        logits, features = self.student(images)
        return F.cross_entropy(logits, labels) + self.loss(features, features_t, logits, logits_t, labels)


METHODS = ("fitnet", "at", "sp", "cc", "vid", "rkd", "pkt", "nst", "ft", "crd", "dkd")
