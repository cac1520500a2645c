"""distill against PyTorch, the same step on the same device, in turn, in one run.

    bench_peer.py [--distill ./distill] [--device cpu|cuda] [--precision fp32|tf32|bf16] [--rounds N] [--threads T]
                  [--case METHOD:TEACHER:STUDENT:BATCH]... [--csv F] [--strict]

Every round runs each program once (each warms up by itself and reports a median); the rounds are interleaved so that a
slow minute of the machine falls on all of them, and the medians over the rounds are compared. `make bench-peer` calls this.
On the CPU PyTorch runs eager in both memory layouts and by torch.compile; where the CPU has bf16 instructions a case more sets bf16
beside PyTorch's autocast. On a GPU, always channels_last: eager, torch.compile(max-autotune), a hand-made CUDA graph of the whole
step, and both together (step.py). A way that fails is left out, eager is not; PyTorch's best is the fastest of all on the CPU, on a
GPU of all but eager. PyTorch from 1.13 (Debian's; it cannot compile) on; the newest:
    python3 -m venv DIR; DIR/bin/pip install torch numpy; make bench-peer PYTHON=DIR/bin/python
The CSV has a row for each case and program; ratio = ours / that program.
Exit codes: 0 measured, whatever the ratios (--strict: 1 where a bound is missed), 1 a program failed, 2 bad usage.
"""
import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NEWEST = (2, 15)  # the newest PyTorch that this was tried with
LOSSES = ("fitnet", "at", "sp", "cc", "vid", "rkd", "pkt", "nst", "ft", "crd", "dkd")  # losses.py: networks of three stages
HOW_TO_GET = "the newest PyTorch: python3 -m venv DIR; DIR/bin/pip install torch numpy; make bench-peer PYTHON=DIR/bin/python"
# Each with the most of PyTorch's best time that ours may take, on a CPU with AVX-512 and on one without; a GPU's bounds are all cases'.
CPU_CASES = {"train::resnet20:128": (0.60, 0.55), "reviewkd:resnet56:resnet20:64": (0.60, 0.55), "kd:resnet56:resnet20:64": (0.65, 0.65),
             "train::resnet8x4:64": (0.75, 0.75), "train::wrn-16-2:64": (0.75, 0.75), "train::vgg8:64": (0.85, 0.85)}
# Not run unless they are asked for by --case: some take half an hour.
MORE_CPU_CASES = {"train::MobileNetV2:64": (0.7, 0.7), "train::ShuffleV1:64": (0.7, 0.7), "train::ShuffleV2:64": (0.7, 0.7),
                  "train::vgg13:64": (0.9, 0.9), "train::ResNet50:64": (0.9, 0.9),
                  **{f"{loss}:resnet32x4:resnet8x4:64": (0.8, 0.8) for loss in LOSSES}}
# What PyTorch's side has by itself: memories of all of CIFAR-100's training images, the benchmark's form.
# hkd's own part: --case kd:resnet32x4:resnet8x4:64 --case hkd:resnet32x4:resnet8x4:64
OURS_ALONE = {"crd": ["--records", "50000"], "ft": ["--benchmark-form", "on"]}
CASES = {"cpu": tuple(CPU_CASES), "cuda": ("reviewkd:resnet32x4:resnet8x4:64", "train::resnet20:128")}
# Compiled is one layout's: within 3 % of the other's time in all cases here (2.15, two Zen 4 cores), and never slower.
PEERS = {"cpu": {f"{mode} {layout}": ["--mode", mode, "--layout", layout]
                 for mode, layout in (("eager", "contiguous"), ("eager", "channels_last"), ("compiled", "channels_last"))},
         "cuda": {mode: ["--mode", mode, "--layout", "channels_last"] for mode in ("eager", "compiled", "graph", "compiled-graph")}}
GPU_BOUNDS = {"eager": 0.4, "best": 0.8}  # ours over that, at most
PATIENCE = {"cpu": 900, "cuda": 240}  # seconds for a program: torch.compile may take many minutes
STEPS = {"cpu": 8, "cuda": 100}
WARM_UP = {"cpu": 3, "cuda": 20}
COLUMNS = ("case", "batch", "device", "precision", "threads", "rounds", "program", "ms_per_step", "ratio", "bound", "torch")


def find_pytorch():
    """-> the first Python that has torch, this one or the system's (Debian's python3-torch serves only that), and torch's version."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            asked = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
        except OSError:
            continue
        if asked.returncode == 0:
            return python, asked.stdout.split()[-1]
    usage_error(f"no PyTorch: neither {sys.executable} nor /usr/bin/python3 can import torch; {HOW_TO_GET}; "
                "or an old one, Debian's python3-torch")


def release_of(version):
    """2.15.0+cu132 -> (2, 15)."""
    return tuple(int(part) for part in version.split("+")[0].split(".")[:2])


def cpu_has(feature):
    """Of the flags that Linux names."""
    words = next((line.split() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), [])
    return feature in words


def usage_error(message):
    print(message, file=sys.stderr)
    sys.exit(2)


def parse_case(text):
    """METHOD:TEACHER:STUDENT:BATCH -> (title, batch, arguments that distill bench and step.py share, those of ours alone)."""
    parts = text.split(":")
    good = len(parts) == 4 and parts[0] in ("train", "kd", "reviewkd", "hkd", *LOSSES) and parts[2] and parts[3].isdigit()
    if not good or (parts[0] == "train") == bool(parts[1]):
        usage_error(f"--case {text}: expected METHOD:TEACHER:STUDENT:BATCH such as {CASES['cpu'][1]}; "
                    f"train has no teacher: {CASES['cpu'][0]}")
    method, teacher, student, batch = parts
    arguments = [method, *(["--teacher", teacher] if teacher else []), "--student", student, "--batch", batch]
    if method == "hkd":
        arguments += ["--records", "50000"]
    return f"{method} {teacher + '->' if teacher else ''}{student}", int(batch), arguments, OURS_ALONE.get(method, [])


def measure(command, environment, patience):
    """Runs a program that writes a one-row CSV with ms_per_step -> that number; None, after saying why, if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "bench.csv"
        full = [*map(str, command), "--csv", str(result)]
        try:
            done = subprocess.run(full, env=environment, capture_output=True, text=True, timeout=patience)
        except subprocess.TimeoutExpired:
            print(f"{' '.join(full)}: stopped after {patience} s", file=sys.stderr)
            return None
        if done.returncode != 0 or not result.exists():
            lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            print(f"{' '.join(full)}: exit code {done.returncode}, {lines[-1]}", file=sys.stderr)
            return None
        with open(result, newline="") as f:
            rows = list(csv.DictReader(f))
    return float(rows[-1]["ms_per_step"])


def compare(programs, arguments, ours_alone, rounds, environment, device):
    """-> median ms of each program, in interleaved rounds, and the name of PyTorch's best. What may fail is left out; else the end."""
    times = {name: [] for name in programs}
    for _ in range(rounds):
        for name in list(times):
            ms = measure(programs[name](arguments + ours_alone if name == "ours" else arguments), environment, PATIENCE[device])
            if ms is not None:
                times[name].append(ms)
            elif name == "ours" or name.startswith("eager"):
                sys.exit(1)
            else:
                del times[name]
    medians = {name: statistics.median(t) for name, t in times.items()}
    rivals = [name for name in medians if name != "ours" and (device == "cpu" or name != "eager")]
    best = min(rivals, key=medians.get, default=None)
    if best:
        medians["best"] = medians[best]
    return medians, best


def bounds_of(case, device, precision):
    """-> {program: the most of its time that ours may take}."""
    if device == "cuda":
        return GPU_BOUNDS
    bounds = CPU_CASES | MORE_CPU_CASES
    return {"best": bounds[case][0 if cpu_has("avx512f") else 1]} if case in bounds and precision == "fp32" else {}


def main():
    parser = argparse.ArgumentParser(description="distill against PyTorch, the same step, in turn.")
    parser.add_argument("--distill", type=Path, default=HERE.parent.parent / "distill", help="the binary (default: the repository's)")
    parser.add_argument("--device", choices=PEERS, default="cpu")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"),
                        help="of both sides (default: fp32; without --case also the first case in bf16, on a CPU that has it)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each program runs a case")
    parser.add_argument("--steps", type=int, help="timed steps a round, after a warm-up "
                        f"(default: {STEPS['cpu']} of PyTorch's on the CPU, {STEPS['cuda']} of both on a GPU)")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    parser.add_argument("--case", action="append", metavar="METHOD:TEACHER:STUDENT:BATCH",
                        help="default: " + "; on a GPU ".join(", ".join(cases) for cases in CASES.values()))
    parser.add_argument("--csv", type=Path, help="write the figures there too")
    parser.add_argument("--strict", action="store_true", help="exit 1 where ours takes a larger part of PyTorch's time than the bound")
    o = parser.parse_args()
    if not os.access(o.distill, os.X_OK):
        usage_error(f"{o.distill}: no such program; build it first (make) or name it with --distill PATH")
    o.steps = STEPS[o.device] if o.steps is None else o.steps
    if o.rounds < 1 or o.steps < 1 or o.threads < 1:
        usage_error("--rounds, --steps and --threads must be at least 1")
    if o.device == "cpu" and o.precision == "bf16" and not cpu_has("avx512_bf16"):
        usage_error("--precision bf16: this CPU has no bfloat16 instructions (AVX512_BF16); use --precision fp32")
    cases = [(case, o.precision or "fp32") for case in o.case or CASES[o.device]]
    if o.device == "cpu" and not o.case and not o.precision and cpu_has("avx512_bf16"):
        cases.append((CASES["cpu"][0], "bf16"))
    parsed = [(case, precision, *parse_case(case)) for case, precision in cases]
    python, version = find_pytorch()
    # Compiled once, not every round.
    environment = {**os.environ, "OMP_NUM_THREADS": str(o.threads), "TORCHINDUCTOR_FX_GRAPH_CACHE": "1"}
    ours_steps = ["--steps", o.steps] if o.device == "cuda" else []
    programs = {"ours": lambda a: [o.distill.resolve(), "bench", *a, *ours_steps]}
    for name, how in PEERS[o.device].items():
        if "compiled" in name and release_of(version) < (2, 0):
            continue
        programs[name] = lambda a, how=how: [python, HERE / "step.py", *a, *how, "--rounds", o.steps, "--warm-up", WARM_UP[o.device]]

    print(f"{o.device}, {o.threads} threads, PyTorch {version}, {o.rounds} interleaved rounds, medians; ratio = ours / PyTorch")
    if release_of(version) < NEWEST:
        print(f"older than {NEWEST[0]}.{NEWEST[1]}" + ("" if release_of(version) >= (2, 0) else ", without torch.compile") + f"; {HOW_TO_GET}")
    rows, missed = [], False
    for case, precision, title, batch, arguments, ours_alone in parsed:
        print(f"{title}, batch {batch}, {precision}", flush=True)
        same = [*arguments, "--device", o.device, "--precision", precision]
        medians, best = compare(programs, same, ours_alone, o.rounds, environment, o.device)
        bounds = bounds_of(case, o.device, precision)
        for name, ms in medians.items():
            ratio, bound = medians["ours"] / ms, bounds.get(name, "")
            high = bound != "" and ratio > bound
            missed |= high
            shown = name if name == "ours" else f"PyTorch best, {best}" if name == "best" else f"PyTorch {name}"
            print(f"  {shown:36s}{ms:10.3f} ms" + (f"{ratio:8.3f}" if name != "ours" else "") +
                  (f"  bound {bound}" if bound != "" else "") + (" missed" if high else ""), flush=True)
            rows.append((title, batch, o.device, precision, o.threads, o.rounds, name, f"{ms:.9g}",
                         "" if name == "ours" else f"{ratio:.9g}", bound, "" if name == "ours" else version))
    if o.csv:
        with open(o.csv, "w", newline="") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow(COLUMNS)
            out.writerows(rows)
    return 1 if o.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
