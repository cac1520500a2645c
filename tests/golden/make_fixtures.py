#!/usr/bin/python3
"""Writes the golden CSV files beside it: what PyTorch computes, for distill's tests to reproduce.

    /usr/bin/python3 tests/golden/make_fixtures.py              (Debian: python3-torch; ten seconds, one thread)
    /usr/bin/python3 tests/golden/make_fixtures.py --mistakes   writes nothing; prints how far mistakes move each trajectory

No weights are stored. Both sides fill every tensor from its name (64-bit unsigned arithmetic; real arithmetic
in double, rounded to float once, at the end):

    fnv1a64(s):    h = 0xcbf29ce484222325; for each byte b: h = (h ^ b) * 0x100000001b3
    splitmix64(x): z = x + 0x9E3779B97F4A7C15; z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
                   z = (z ^ (z >> 27)) * 0x94D049BB133111EB; z ^ (z >> 31)
    h(name, i)   = splitmix64(fnv1a64(name) + i)            i: flat index in PyTorch's layout (O,I,kh,kw), (N,C,H,W)
    u(name, i)   = (h >> 40) * 2^-24                        in [0, 1)
    r(name, i)   = 2 u - 1                                  in [-1, 1)

Network tensors (name as in the safetensors file; see the prefixes below):
    4-D weight (conv):    r * sqrt(6 / fan_in), fan_in = I*kh*kw      2-D weight (linear): r * sqrt(6 / fan_in), fan_in = I
    1-D weight (BN):      1 + 0.2 r                                   every bias:          0.1 r
    running_mean:         0                                           running_var:         1
    a teacher's running_mean: 0.1 r,  a teacher's running_var: 4 + 0.8 r
With these variances a frozen teacher keeps its activations O(1): every residual branch is divided twice by
sqrt(4), so it adds an eighth of the power of its input (features.csv holds the resulting norms).
Names: `train` uses the bare names (conv1.weight); kd and reviewkd put `student.`, `teacher.` and `abfs.` before.
With --no-residual the helper of teacher level k and student level j <= k (0 = deepest) is abfs.k.j.

Data set: 80 records; pixel = h("images", i) >> 56 with i over (80,3,H,W); label = h("labels", n) mod classes.
Step s (from 0) trains on records 8s .. 8s+7, normalised as (pixel - mean) / std, mean 125.3 123.0 113.9, std 63.0 62.1 66.7.
SGD lr 1e-4, momentum 0.9, Nesterov, weight decay 0.5 on every parameter. Losses are those before the update.
ReviewKD at full weight from step 0 (warm-up 0): 0.6 for resnet56, 5 for wrn-40-2, 1 in the ablations; its teacher on running
statistics but where the file says otherwise. KD: T 4, alpha 0.9, gamma 0.1. 100 classes, 32x32.
Why not the paper's lr and decay: at batch 8 a rounding error flips ReLUs, which at lr 0.01 moves the loss by 4e-3 within ten
steps. At lr 1e-4 float and double stay within 1e-6 there (3e-6 in kd), while plain momentum instead of Nesterov moves it by 4e-4,
and with a decay of 0.5 a decay forgotten on all parameters, or on BatchNorm's and the biases only, by 7e-4 and more (--mistakes).

Trajectories (train_*, kd_*, reviewkd_*): one row a step. Columns `*_f64`: the same run in double, whose distance
to the float column shows how much of a difference is rounding: PyTorch itself is no nearer to the truth.
`loss_ce`, `loss_kd`, `loss_reviewkd` as they enter the sum `loss`.

losses.csv, ops.csv, features.csv: case,setup,quantity,value,norm,value_f64. The inputs of a case are r("<case>.<input>", i)
(labels: h mod classes). Quantity:
    loss             the loss itself (norm: its magnitude)
    grad.<input>     dot product of d(objective)/d(input) with r("<case>.<input>.probe", i); norm: the gradient's L2 norm
    <output>         dot product of the output with r("<case>.<output>.probe", i); norm: the output's L2 norm
In losses.csv the objective is the loss, in ops.csv the dot product of `y` with its probe. Dot products in double.
sgd.csv: case,step,lr,value,norm,value_f64: the optimiser alone. w starts at r("sgd.w", i), i < 50; the gradient of step s is
r("sgd.g<s>", i); lr 0.1, from step 3 on 0.01; decay 0.05; value: dot product of w after the step with r("sgd.probe", i).
formula.csv: name,index,hash,value: spot checks of h and r.
"""
import csv
import math
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peer"))
import nets  # noqa: E402

CLASSES, BATCH, RECORDS, SIDE = 100, 8, 80, 32
LR, MOMENTUM, WEIGHT_DECAY = 1e-4, 0.9, 0.5
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # of 255


# ---------------------------------------------------------------------------------------------- the formula
def fnv1a64(name):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = (h ^ b) * 0x100000001B3 % 2**64
    return h


def hashes(name, shape):
    with np.errstate(over="ignore"):  # unsigned arithmetic wraps: intended
        z = np.uint64(fnv1a64(name)) + np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (z ^ (z >> np.uint64(31))).reshape(shape)


def r(name, shape):
    """Float64 array of values in [-1, 1), each exact in float32 too."""
    return 2 * ((hashes(name, shape) >> np.uint64(40)).astype(np.float64) * 2.0**-24) - 1


def float32(array, dtype):
    """Rounded to float32 whatever dtype it is computed in afterwards: both runs start from the same numbers."""
    return torch.from_numpy(np.asarray(array, np.float32)).to(dtype)


def labels(name, n, classes):
    return torch.from_numpy((hashes(name, (n,)) % np.uint64(classes)).astype(np.int64))


def fill(module, prefix="", teacher=False):
    for name, tensor in module.state_dict().items():
        full, shape, kind = prefix + name, tuple(tensor.shape), name.rsplit(".", 1)[1]
        if kind == "num_batches_tracked":
            continue
        if kind == "running_mean":
            value = 0.1 * r(full, shape) if teacher else np.zeros(shape)
        elif kind == "running_var":
            value = 4 + 0.8 * r(full, shape) if teacher else np.ones(shape)
        elif kind == "bias":
            value = 0.1 * r(full, shape)
        elif len(shape) == 1:
            value = 1 + 0.2 * r(full, shape)
        else:
            value = r(full, shape) * math.sqrt(6 / math.prod(shape[1:]))
        tensor.copy_(float32(value, tensor.dtype))
    return module


def dataset(dtype):
    pixels = torch.from_numpy((hashes("images", (RECORDS, 3, SIDE, SIDE)) >> np.uint64(56)).astype(np.float64)).to(dtype)
    mean, std = (torch.tensor(v, dtype=dtype).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (pixels - mean) / std, labels("labels", RECORDS, CLASSES)


# ---------------------------------------------------------------------------------------------- trajectories
def optimiser(module, mistake=None):
    matrices = [p for p in module.parameters() if p.dim() > 1]
    vectors = [p for p in module.parameters() if p.dim() == 1]
    decay = {"no decay": 0.0}.get(mistake, WEIGHT_DECAY)
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0 if mistake == "vectors not decayed" else decay}]
    return torch.optim.SGD(groups, LR, MOMENTUM, weight_decay=decay, nesterov=mistake != "plain momentum")


def trajectory(module, loss_terms, steps, dtype, mistake=None):
    """loss_terms(images, labels) -> ordered name: addend. -> {addends..., their sum} for each step."""
    images, targets = dataset(dtype)
    sgd = optimiser(module, mistake)
    rows = []
    for s in range(steps):
        batch = slice(s * BATCH, (s + 1) * BATCH)
        terms = loss_terms(images[batch], targets[batch])
        loss = sum(terms.values())
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        row = {k: v.item() for k, v in terms.items()}
        rows.append(row if len(row) == 1 else {**row, "loss": loss.item()})
    return rows


def train_case(name, dtype):
    net = fill(nets.build(name, CLASSES).to(dtype))
    return net, lambda x, y: OrderedDict(loss_ce=F.cross_entropy(net(x)[0], y))


def make_teacher(name, dtype, bn="running"):
    teacher = fill(nets.build(name, CLASSES).to(dtype), "teacher.", teacher=True).requires_grad_(False)
    return teacher.train(bn == "batch")


def kd_case(teacher_name, student_name, dtype):
    teacher = make_teacher(teacher_name, dtype)
    student = fill(nets.build(student_name, CLASSES).to(dtype), "student.")

    def terms(x, y):
        ce, kd = nets.kd_loss(student(x)[0], teacher(x)[0], y, T=4.0, alpha=0.9, gamma=0.1)
        return OrderedDict(loss_ce=ce, loss_kd=kd)
    return student, terms


def reviewkd_case(teacher_name, student_name, weight, dtype, teacher_bn="running", **switches):
    teacher = make_teacher(teacher_name, dtype, teacher_bn)
    model = fill(nets.ReviewKD(nets.build(student_name, CLASSES), teacher.widths, **switches).to(dtype))

    def terms(x, y):
        logits, distance = model(x, teacher(x)[1])
        return OrderedDict(loss_ce=F.cross_entropy(logits, y), loss_reviewkd=weight * distance)
    return model, terms


TRAJECTORIES = {  # file: (steps, case, arguments, switches)
    "train_resnet20": (10, train_case, ("resnet20",), {}),
    "train_resnet32a": (3, train_case, ("resnet32a",), {}),
    "train_wrn-16-2": (3, train_case, ("wrn-16-2",), {}),
    "train_resnet8x4": (2, train_case, ("resnet8x4",), {}),
    "kd_resnet14_resnet8": (3, kd_case, ("resnet14", "resnet8"), {}),
    "reviewkd_resnet56_resnet20": (10, reviewkd_case, ("resnet56", "resnet20", 0.6), {}),
    "reviewkd_resnet56_resnet20_teacher-bn-batch": (3, reviewkd_case, ("resnet56", "resnet20", 0.6), {"teacher_bn": "batch"}),
    "reviewkd_wrn-40-2_wrn-16-2": (2, reviewkd_case, ("wrn-40-2", "wrn-16-2", 5.0), {}),
    "reviewkd_resnet14_resnet8_no-review": (3, reviewkd_case, ("resnet14", "resnet8", 1.0), {"review": False}),
    "reviewkd_resnet14_resnet8_no-residual": (3, reviewkd_case, ("resnet14", "resnet8", 1.0), {"residual": False}),
    "reviewkd_resnet14_resnet8_no-abf": (3, reviewkd_case, ("resnet14", "resnet8", 1.0), {"abf": False}),
    "reviewkd_resnet14_resnet8_no-hcl": (3, reviewkd_case, ("resnet14", "resnet8", 1.0), {"use_hcl": False}),
}


def trajectory_rows(steps, case, arguments, switches):
    runs = []
    for dtype in (torch.float32, torch.float64):
        module, terms = case(*arguments, dtype=dtype, **switches)
        runs.append(trajectory(module, terms, steps, dtype))
    return [{"step": s, **a, **{f"{k}_f64": v for k, v in b.items()}} for s, (a, b) in enumerate(zip(*runs))]


def difference(rows, others, suffix=""):
    """The worst relative difference between the (total) losses of two trajectories."""
    key = "loss" if "loss" in rows[0] else "loss_ce"
    return max(abs(a[key] - b[key + suffix]) / abs(b[key + suffix]) for a, b in zip(rows, others))


def print_mistakes():
    for name, (steps, case, arguments, switches) in TRAJECTORIES.items():
        rows = trajectory_rows(steps, case, arguments, switches)
        line = f"{name:45s} float/double {difference(rows, rows, '_f64'):.0e}"
        for mistake in ("plain momentum", "no decay", "vectors not decayed"):
            module, terms = case(*arguments, dtype=torch.float32, **switches)
            line += f"  {mistake} {difference(rows, trajectory(module, terms, steps, torch.float32, mistake)):.0e}"
        print(line, flush=True)


def sgd_rows():
    n, rows = 50, []
    for case, nesterov in (("nesterov", True), ("momentum", False)):
        runs = []
        for dtype in (torch.float32, torch.float64):
            w = float32(r("sgd.w", (n,)), dtype).requires_grad_()
            sgd = torch.optim.SGD([w], 0.1, MOMENTUM, weight_decay=0.05, nesterov=nesterov)
            run = []
            for s in range(6):
                sgd.param_groups[0]["lr"] = 0.1 if s < 3 else 0.01
                w.grad = float32(r(f"sgd.g{s}", (n,)), dtype)
                sgd.step()
                t = w.detach().double().numpy()
                run.append((sgd.param_groups[0]["lr"], float(t @ r("sgd.probe", (n,))), float(np.sqrt(t @ t))))
            runs.append(run)
        rows += [dict(case=case, step=s, lr=lr, value=v, norm=norm, value_f64=e)
                 for s, ((lr, v, norm), (_, e, _)) in enumerate(zip(*runs))]
    return rows


# ---------------------------------------------------------------------------------------------- single operations
class Case:
    """One row group of losses.csv or ops.csv: named inputs of given shapes, f(*inputs) -> loss or {"y": ..., others}."""

    def __init__(self, name, f, setup="", constant=(), **shapes):
        self.name, self.f, self.constant, self.shapes = name, f, constant, shapes
        sizes = ["x".join(map(str, s)) for s in shapes.values()]
        self.setup = "; ".join([f"{k} {s}" for k, s in zip(shapes, sizes)] + ([setup] if setup else []))

    def run(self, dtype):
        """-> {quantity: (value, norm)}"""
        x = {k: float32(r(f"{self.name}.{k}", s), dtype).requires_grad_(k not in self.constant) for k, s in self.shapes.items()}
        outputs = self.f(*x.values())
        result = {}
        if isinstance(outputs, dict):
            for k, t in outputs.items():
                result[k] = self.probe(k, t)
            objective = (outputs["y"] * float32(r(f"{self.name}.y.probe", tuple(outputs["y"].shape)), dtype)).sum()
        else:
            objective = outputs
            result["loss"] = (objective.item(), abs(objective.item()))
        objective.backward()
        for k, t in x.items():
            if t.grad is not None:
                result[f"grad.{k}"] = self.probe(k, t.grad)
        return result

    def probe(self, quantity, tensor):
        t = tensor.detach().double().numpy()
        return float((t * r(f"{self.name}.{quantity}.probe", t.shape)).sum()), float(np.sqrt((t * t).sum()))


def exact_resize(x, h, w):
    """The index rule in integers; F.interpolate must agree, since nets.py uses it."""
    rows, columns = (torch.arange(n) * old // n for n, old in ((h, x.shape[2]), (w, x.shape[3])))
    y = x[:, :, rows][..., columns]
    assert torch.equal(y, nets.resize(x, (h, w)))
    return y


def bn(x, w, b, training=True, running_mean=None, running_var=None):
    return F.batch_norm(x, running_mean, running_var, w, b, training, momentum=0.1, eps=1e-5)


def bn_train(x, w, b):
    """Running statistics start at 0 and 1; momentum 0.1; the running variance is the unbiased one."""
    mean, var = torch.zeros(x.shape[1], dtype=x.dtype), torch.ones(x.shape[1], dtype=x.dtype)
    return {"y": bn(x, w, b, True, mean, var), "running_mean": mean, "running_var": var}


def bn_eval(x, w, b, mean, var):
    return {"y": bn(x, w, b, False, mean, 1.5 + var)}


def l2_normalise(x):
    """Per sample over the flattened map."""
    return x / x.flatten(1).norm(dim=1).view(-1, *[1] * (x.dim() - 1))


def abf(fuse, out_size):
    """The five parameters, and att.w, att.b if fused, in the ABF's own order; batch statistics."""
    def f(x, conv1, bn1_w, bn1_b, conv2, bn2_w, bn2_b, residual=None, att_w=None, att_b=None):
        h = bn(F.conv2d(x, conv1), bn1_w, bn1_b)
        if fuse:
            y = exact_resize(residual, *h.shape[2:])
            z = torch.sigmoid(F.conv2d(torch.cat([h, y], 1), att_w, att_b))
            h = h * z[:, :1] + y * z[:, 1:]
        h = exact_resize(h, *out_size)
        return {"y": bn(F.conv2d(h, conv2, padding=1), bn2_w, bn2_b), "handed_on": h}
    return f


ABF_PLAIN = dict(x=(3, 5, 4, 4), conv1=(6, 5, 1, 1), bn1_w=(6,), bn1_b=(6,), conv2=(7, 6, 3, 3), bn2_w=(7,), bn2_b=(7,))
ABF_FUSED = dict(ABF_PLAIN, residual=(3, 6, 2, 2), att_w=(2, 12, 1, 1), att_b=(2,))
MAP, BN = dict(x=(2, 3, 7, 5)), dict(x=(4, 3, 5, 6), w=(3,), b=(3,))


def conv(name, x, w, b=None, **options):
    shapes = dict(x=x, w=w, **({"b": b} if b else {}))
    setup = " ".join(f"{k} {v}" for k, v in options.items())
    return Case(name, lambda x, w, b=None: {"y": F.conv2d(x, w, b, **options)}, setup.replace(", ", "x"), **shapes)


def unary(name, f, setup="", x=(2, 3, 7, 5)):
    return Case(name, lambda x: {"y": f(x)}, setup, x=x)


def fused(x, z, w, b):
    s = torch.sigmoid(F.conv2d(torch.cat([x, z], 1), w, b))
    return {"y": x * s[:, :1] + z * s[:, 1:]}


OPS = [
    conv("conv3x3", (2, 3, 7, 5), (4, 3, 3, 3), padding=1),
    conv("conv3x3_bias", (2, 3, 7, 5), (4, 3, 3, 3), (4,), padding=1),
    conv("conv3x3_stride2", (2, 3, 8, 7), (4, 3, 3, 3), stride=2, padding=1),
    conv("conv1x1_stride2", (2, 6, 7, 6), (5, 6, 1, 1), stride=2),
    conv("conv5x3_rectangular", (2, 3, 9, 8), (4, 3, 5, 3), stride=(2, 1), padding=(2, 0)),
    conv("conv3x3_groups", (2, 6, 6, 5), (4, 3, 3, 3), padding=1, groups=2),
    conv("conv3x3_depthwise", (2, 6, 6, 5), (6, 1, 3, 3), stride=2, padding=1, groups=6),
    conv("conv3x3_16", (2, 16, 8, 8), (16, 16, 3, 3), padding=1),
    conv("conv3x3_16_32_stride2", (2, 16, 8, 8), (32, 16, 3, 3), stride=2, padding=1),
    Case("batchnorm_train", bn_train, "eps 1e-5 momentum 0.1", **BN),
    Case("batchnorm_eval", bn_eval, "running_mean = mean; running_var = 1.5 + var", ("mean", "var"), **BN, mean=(3,), var=(3,)),
    Case("batchnorm_relu", lambda x, w, b: {"y": F.relu(bn(x, w, b))}, "relu(bn(x)) batch statistics", **BN),
    Case("batchnorm_add_relu", lambda x, w, b, z: {"y": F.relu(bn(x, w, b) + z)}, "relu(bn(x) + z) batch statistics", **BN,
         z=BN["x"]),
    unary("relu", F.relu), unary("leaky_relu", lambda x: F.leaky_relu(x, 0.1), "slope 0.1"),
    unary("sigmoid", torch.sigmoid), unary("tanh", torch.tanh),
    Case("add", lambda x, z: {"y": x + z}, x=MAP["x"], z=MAP["x"]), Case("mul", lambda x, z: {"y": x * z}, x=MAP["x"], z=MAP["x"]),
    unary("scale", lambda x: 0.3 * x, "0.3 x"),
    Case("attention_fusion", fused, "x s0 + z s1 with s = sigmoid(conv1x1([x z]))", x=MAP["x"], z=MAP["x"], w=(2, 6, 1, 1), b=(2,)),
    Case("concat_channels", lambda x, z: {"y": torch.cat([x, z], 1)}, x=(2, 3, 4, 5), z=(2, 2, 4, 5)),
    unary("slice_channels", lambda x: x[:, 2:5], "channels 2..4", x=(2, 6, 4, 5)),
    unary("max_pool2", lambda x: F.max_pool2d(x, 2), "2x2 stride 2", x=(2, 3, 8, 6)),
    unary("max_pool3_stride2", lambda x: F.max_pool2d(x, 3, 2, 1), "3x3 stride 2 pad 1"),
    unary("avg_pool2", lambda x: F.avg_pool2d(x, 2), "2x2 stride 2", x=(2, 3, 8, 6)),
    unary("avg_pool3_stride2", lambda x: F.avg_pool2d(x, 3, 2, 1), "3x3 stride 2 pad 1; always divided by 9"),
    unary("global_avg_pool", lambda x: x.mean((2, 3), keepdim=True)),
    *[unary(f"adaptive_avg_pool{l}", lambda x, l=l: F.adaptive_avg_pool2d(x, l), f"to {l}x{l}") for l in (4, 2, 1)],
    unary("resize_up", lambda x: exact_resize(x, 8, 8), "to 8x8", x=(2, 3, 4, 4)),
    unary("resize_up_uneven", lambda x: exact_resize(x, 7, 5), "to 7x5", x=(2, 3, 3, 2)),
    unary("resize_down", lambda x: exact_resize(x, 3, 2), "to 3x2"),
    Case("linear", lambda x, w, b: {"y": F.linear(x, w, b)}, "x wT + b", x=(4, 6), w=(5, 6), b=(5,)),
    Case("matmul", lambda x, z: {"y": x @ z}, x=(4, 6), z=(6, 5)),
    unary("softmax", lambda x: F.softmax(4 * x, 1), "of 4 x", x=(4, 7)),
    unary("l2_normalise", l2_normalise, "per sample over the flattened map"),
    unary("pad_channels", lambda x: F.pad(x, (0, 0, 0, 0, 1, 4)), "1 zero channel before; 4 after"),
    unary("shortcut_a", lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 3)), "every second row and column; 3 zero channels appended"),
    Case("abf_deepest", abf(False, (4, 4)), "no fuse; out 4x4; batch statistics", **ABF_PLAIN),
    Case("abf_fused", abf(True, (4, 4)), "out 4x4; batch statistics", **ABF_FUSED),
    Case("abf_fused_resized", abf(True, (8, 8)), "out 8x8; batch statistics", **ABF_FUSED),
]

LOGITS = dict(x=(6, 10))
PAIR = dict(s=(6, 10), t=(6, 10))
MAPS = dict(s=(4, 8, 8, 6), t=(4, 8, 8, 6))
TEACHER = ("t",)


def kd(s, t):
    return sum(nets.kd_loss(5 * s, 5 * t, labels("kd.labels", 6, 10), T=4.0, alpha=0.9, gamma=0.1))


def maps(h, w):
    return dict(s=(4, 8, h, w), t=(4, 8, h, w))


LOSSES = [
    Case("ce", lambda x: F.cross_entropy(5 * x, labels("ce.labels", 6, 10)), "logits 5 x; 10 classes; batch mean", **LOGITS),
    Case("kl_t1", lambda s, t: nets.kl_loss(5 * s, 5 * t, 1.0), "KL(p_t || p_s) of 5 s and 5 t; T 1; batch mean", TEACHER, **PAIR),
    Case("kl_t4", lambda s, t: 16 * nets.kl_loss(5 * s, 5 * t, 4.0), "KL(p_t || p_s) of 5 s and 5 t; T 4; times 16", TEACHER, **PAIR),
    Case("kd", kd, "0.1 CE + 0.9 * 16 KL of 5 s and 5 t; T 4", TEACHER, **PAIR),
    Case("mse", F.mse_loss, "mean over elements", s=(4, 8, 8, 6), t=(4, 8, 8, 6)),
    Case("l1", F.l1_loss, "mean over elements", s=(4, 8, 8, 6), t=(4, 8, 8, 6)),
    Case("l1_normalised", lambda s, t: F.l1_loss(l2_normalise(s), l2_normalise(t)), "L1 of the L2-normalised; mean over elements",
         TEACHER, **MAPS),
    Case("hcl", nets.hcl, "", TEACHER, **MAPS),
    *[Case(f"hcl_{h}x{w}", nets.hcl, "", TEACHER, **maps(h, w)) for h, w in ((16, 16), (4, 4), (3, 5), (1, 1))],
]


# ---------------------------------------------------------------------------------------------- feature checksums
def feature_rows():
    """Step 0's features and logits of each network on the first batch: where to look when a trajectory is off."""
    rows = []
    for name, teacher in (("resnet20", False), ("resnet32a", False), ("resnet8x4", False), ("wrn-16-2", False),
                          ("resnet14", True), ("resnet56", True), ("wrn-40-2", True)):
        mode, results = "teacher (running statistics)" if teacher else "train (batch statistics)", []
        for dtype in (torch.float32, torch.float64):
            net = make_teacher(name, dtype) if teacher else fill(nets.build(name, CLASSES).to(dtype))
            with torch.no_grad():
                logits, features = net(dataset(dtype)[0][:BATCH])
            probe = Case(name, None).probe
            results.append({k: probe(k, v) for k, v in sorted(features.items())} | {"logits": probe("logits", logits)})
            results[-1]["parameters"] = (sum(p.numel() for p in net.parameters()), 0)
            for k, v in features.items():
                rms = v.double().pow(2).mean().sqrt().item()
                assert 0.05 < rms < 20, f"{name} {k}: rms {rms}: the formula weights are not healthy"
        rows += case_rows(name, mode, *results)
    return rows


def case_rows(name, setup, f32, f64):
    return [dict(case=name, setup=setup, quantity=k, value=v, norm=norm, value_f64=f64[k][0]) for k, (v, norm) in f32.items()]


def formula_rows():
    names = ("images", "labels", "conv1.weight", "student.conv1.weight", "teacher.bn1.running_var", "abfs.1.att_conv.0.bias")
    return [dict(name=n, index=i, hash=int(hashes(n, (1000,))[i]), value=float(r(n, (1000,))[i])) for n in names for i in (0, 1, 999)]


def write(name, rows):
    path = HERE / f"{name}.csv"
    with open(path, "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(rows[0].keys())
        out.writerows([f"{v:.9g}" if isinstance(v, float) else v for v in row.values()] for row in rows)
    note = f"  float against double: {difference(rows, rows, '_f64'):.1e}" if "loss_ce" in rows[0] else ""
    print(f"{path.name:52s} {len(rows):4d} rows {path.stat().st_size:6d} bytes{note}", flush=True)
    return path.stat().st_size


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    print(f"PyTorch {torch.__version__}")
    if sys.argv[1:] == ["--mistakes"]:
        return print_mistakes()
    if sys.argv[1:]:
        raise SystemExit(f"unknown argument {sys.argv[1]}: expected none, or --mistakes")
    total = write("formula", formula_rows())
    for name, cases in (("losses", LOSSES), ("ops", OPS)):
        rows = [row for c in cases for row in case_rows(c.name, c.setup, c.run(torch.float32), c.run(torch.float64))]
        total += write(name, rows)
    total += write("sgd", sgd_rows()) + write("features", feature_rows())
    for name, spec in TRAJECTORIES.items():
        total += write(name, trajectory_rows(*spec))
    print(f"total {total} bytes")


if __name__ == "__main__":
    main()
