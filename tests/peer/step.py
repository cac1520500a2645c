"""One training step in plain PyTorch, timed: the figure that `distill bench` is compared with.

    step.py train|teacher|kd|reviewkd|hkd|LOSS [--teacher NAME] --student NAME [--batch N] [--threads T] [--rounds R] [--layout L]
            [--device cpu|cuda] [--precision fp32|tf32|bf16] [--mode eager|compiled|graph|compiled-graph] [--csv F]

A step is forward, loss, backward and the SGD update (momentum, Nesterov, weight decay), on one normalised batch of random
pixels that already lies in the device's memory: no data loading, no augmentation. The teacher runs frozen, without gradients.
hkd: with memories of --records images, the 16,384 negatives of each image already drawn.
Prints the median over the rounds after the warm-up. Networks: nets.py. LOSS: one of losses.py; teacher: its forward pass alone.

Modes: eager; compiled: forward and backward by torch.compile(mode="max-autotune"), which replays them as CUDA graphs on a GPU;
graph: the whole eager step, update included, captured by hand as one CUDA graph; compiled-graph: the compiled step so captured.
PyTorch from 1.13 (Debian's) on; compiled needs 2.x, graph a GPU.
"""
import argparse
import contextlib
import csv
import inspect
import os
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import losses
import nets

COLUMNS = ("case", "device", "precision", "batch", "ms_per_step", "images_per_s", "layout", "mode", "threads", "torch")
LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 5e-4


def frozen(teacher, images):
    """Running statistics taken from one batch: with the initial 0 and 1 a deep untrained teacher's features would explode."""
    for m in teacher.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    with torch.no_grad():
        teacher.train()(images)
    return teacher.eval().requires_grad_(False)


def allow_precision(precision):
    """fp32 is IEEE single throughout; otherwise products and convolutions that are not bf16 may round to TF32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.benchmark = True  # the fastest algorithms, chosen during the warm-up


def capture(step):
    """The whole step as one CUDA graph -> a function that replays it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # as PyTorch's notes on CUDA graphs have it: everything lazy happens before, off the main stream
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay():
        graph.replay()
        return loss
    return replay


def make_step(o):
    """-> a function that does one step and returns the loss tensor."""
    memory = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[o.layout]
    images = torch.randn(o.batch, 3, o.size, o.size, device=o.device).to(memory_format=memory)
    labels = torch.randint(o.classes, (o.batch,), device=o.device)
    model = nets.build(o.student, o.classes)
    teacher = None
    if o.method != "train":
        teacher = frozen(nets.build(o.teacher, o.classes).to(o.device, memory_format=memory), images)
    if o.method == "reviewkd":
        model = nets.ReviewKD(model, teacher.widths)
    if o.method == "hkd":
        model = nets.HKD(model, teacher.widths, o.records)
        records = torch.randperm(o.records, device=o.device)[:o.batch]
        negatives = min(16384, o.records)
        drawn = torch.stack([torch.randperm(o.records, device=o.device)[:negatives] for _ in range(o.batch)])
    elif o.method in losses.METHODS:
        model = losses.Distilled(o.method, model, teacher, o.batch)
    model = model.to(o.device, memory_format=memory)
    fast = {"fused": True} if o.mode != "eager" and o.device == "cuda" and "fused" in inspect.signature(torch.optim.SGD).parameters else {}
    sgd = torch.optim.SGD(model.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True, **fast)

    def loss_of_batch():
        with torch.autocast(o.device, dtype=torch.bfloat16) if o.precision == "bf16" else contextlib.nullcontext():
            if o.method == "train":
                return F.cross_entropy(model(images)[0], labels)
            with torch.no_grad():
                logits_t, features_t = teacher(images)
            if o.method in losses.METHODS:
                return model(images, labels, logits_t, features_t)
            if o.method == "kd":
                return sum(nets.kd_loss(model(images)[0], logits_t, labels))
            if o.method == "hkd":
                logits, holistic = model(images, logits_t, features_t, records, drawn)
                return F.cross_entropy(logits, labels) + 3 * holistic
            logits, distance = model(images, features_t)
            return F.cross_entropy(logits, labels) + distance

    if o.mode == "compiled":
        loss_of_batch = torch.compile(loss_of_batch, mode="max-autotune")
    elif o.mode == "compiled-graph":
        loss_of_batch = torch.compile(loss_of_batch, mode="max-autotune-no-cudagraphs")
    new_step = getattr(getattr(torch, "compiler", None), "cudagraph_mark_step_begin", None) if o.mode == "compiled" else None

    def look():
        with torch.no_grad():
            return teacher(images)[0].sum()
    if o.method == "teacher":
        return look

    def step():
        if new_step:
            new_step()
        loss = loss_of_batch()
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        sgd.step()
        return loss.detach()
    return capture(step) if o.mode.endswith("graph") else step


def time_steps(step, rounds, warm_up, device):
    """-> milliseconds of each round."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(warm_up):
        step()
    wait()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        loss = step()
        wait()
        times.append(1e3 * (time.perf_counter() - start))
    if not torch.isfinite(loss):
        raise SystemExit(f"the loss is {loss.item()}: these timings would mean nothing")
    return times


def main():
    parser = argparse.ArgumentParser(description="One training step in plain PyTorch, timed.")
    parser.add_argument("method", choices=("train", "teacher", "kd", "reviewkd", "hkd", *losses.METHODS))
    parser.add_argument("--teacher", help="network name (all but train)")
    parser.add_argument("--student", required=True, help="network name")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--records", type=int, default=50_000, help="hkd: training images, of which each has a row in the memories")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    parser.add_argument("--rounds", type=int, default=10, help="timed steps")
    parser.add_argument("--warm-up", type=int, default=3, help="steps before them")
    parser.add_argument("--layout", choices=("contiguous", "channels_last"), default="contiguous")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="fp32", help="bf16: by autocast")
    parser.add_argument("--mode", choices=("eager", "compiled", "graph", "compiled-graph"), default="eager")
    parser.add_argument("--csv", type=Path, help="write the result there")
    o = parser.parse_args()
    if o.method != "train" and not o.teacher:
        parser.error(f"{o.method} needs --teacher NAME")
    if o.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this PyTorch sees no GPU")
    if o.mode.endswith("graph") and o.device != "cuda":
        parser.error(f"--mode {o.mode}: CUDA graphs need --device cuda")
    if o.mode.startswith("compiled") and not hasattr(torch, "compile"):
        parser.error(f"--mode {o.mode}: this PyTorch, {torch.__version__}, has no torch.compile; it came with 2.0")
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    allow_precision(o.precision)

    case = f"{o.method} " + (f"{o.teacher}->" if o.method != "train" else "") + o.student
    step = make_step(o)
    times = time_steps(step, o.rounds, o.warm_up, o.device)
    ms = statistics.median(times)
    print(f"{case}, batch {o.batch}, {o.layout}, {o.mode}, {o.precision}, {o.device}, {o.threads} threads, PyTorch {torch.__version__}: "
          f"{ms:.2f} ms/step (median of {o.rounds}, {min(times):.2f} to {max(times):.2f}), {1e3 * o.batch / ms:.0f} images/s")
    if o.csv:
        with open(o.csv, "w", newline="") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow(COLUMNS)
            out.writerow((case, o.device, o.precision, o.batch, f"{ms:.9g}", f"{1e3 * o.batch / ms:.9g}", o.layout, o.mode, o.threads,
                          torch.__version__))


if __name__ == "__main__":
    sys.exit(main())
