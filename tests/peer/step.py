"""One training step in plain PyTorch, timed: the figure that `distill bench` is compared with.

    step.py train|kd|reviewkd [--teacher NAME] --student NAME [--batch N] [--threads T] [--rounds R] [--layout L] [--csv F]

A step is forward, loss, backward and the SGD update (momentum, Nesterov, weight decay), on one normalised batch of random
pixels that already lies in memory: no data loading, no augmentation. The teacher runs frozen, without gradients.
Prints the median over the rounds after the warm-up. Networks: nets.py.
"""
import argparse
import csv
import os
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import nets

COLUMNS = ("case", "device", "precision", "batch", "ms_per_step", "images_per_s", "layout", "threads", "torch")
LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 5e-4


def frozen(teacher, images):
    """Running statistics taken from one batch: with the initial 0 and 1 a deep untrained teacher's features would explode."""
    for m in teacher.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    with torch.no_grad():
        teacher.train()(images)
    return teacher.eval().requires_grad_(False)


def make_step(method, teacher_name, student_name, batch, classes, size, layout, device):
    """-> a function that does one step and returns the loss tensor."""
    memory = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[layout]
    images = torch.randn(batch, 3, size, size, device=device).to(memory_format=memory)
    labels = torch.randint(classes, (batch,), device=device)
    model = nets.build(student_name, classes)
    teacher = None
    if method != "train":
        teacher = frozen(nets.build(teacher_name, classes).to(device, memory_format=memory), images)
    if method == "reviewkd":
        model = nets.ReviewKD(model, teacher.widths)
    model = model.to(device, memory_format=memory)
    sgd = torch.optim.SGD(model.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True)

    def loss_of_batch():
        if method == "train":
            return F.cross_entropy(model(images)[0], labels)
        with torch.no_grad():
            logits_t, features_t = teacher(images)
        if method == "kd":
            return sum(nets.kd_loss(model(images)[0], logits_t, labels))
        logits, distance = model(images, features_t)
        return F.cross_entropy(logits, labels) + distance

    def step():
        loss = loss_of_batch()
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        sgd.step()
        return loss.detach()
    return step


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
    parser.add_argument("method", choices=("train", "kd", "reviewkd"))
    parser.add_argument("--teacher", help="network name (kd, reviewkd)")
    parser.add_argument("--student", required=True, help="network name")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    parser.add_argument("--rounds", type=int, default=10, help="timed steps")
    parser.add_argument("--warm-up", type=int, default=3, help="steps before them")
    parser.add_argument("--layout", choices=("contiguous", "channels_last"), default="contiguous")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--csv", type=Path, help="write the result there")
    o = parser.parse_args()
    if o.method != "train" and not o.teacher:
        parser.error(f"{o.method} needs --teacher NAME")
    if o.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this PyTorch sees no GPU")
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)

    case = f"{o.method} " + (f"{o.teacher}->" if o.method != "train" else "") + o.student
    step = make_step(o.method, o.teacher, o.student, o.batch, o.classes, o.size, o.layout, o.device)
    times = time_steps(step, o.rounds, o.warm_up, o.device)
    ms = statistics.median(times)
    print(f"{case}, batch {o.batch}, {o.layout}, {o.device}, {o.threads} threads, PyTorch {torch.__version__}: "
          f"{ms:.1f} ms/step (median of {o.rounds}, {min(times):.1f} to {max(times):.1f}), {1e3 * o.batch / ms:.0f} images/s")
    if o.csv:
        with open(o.csv, "w", newline="") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow(COLUMNS)
            out.writerow((case, o.device, "fp32", o.batch, f"{ms:.9g}", f"{1e3 * o.batch / ms:.9g}", o.layout, o.threads,
                          torch.__version__))


if __name__ == "__main__":
    sys.exit(main())
