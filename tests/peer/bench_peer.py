"""distill against PyTorch, the same step on the same device, in turn, in one run.

    bench_peer.py [--distill ./distill] [--device cpu|cuda] [--precision fp32|tf32|bf16] [--rounds N] [--threads T]
                  [--case METHOD:TEACHER:STUDENT:BATCH]... [--csv F] [--strict]

Every round runs each program once (each warms up by itself and reports a median); the rounds are interleaved so that a
slow minute of the machine falls on all of them, and the medians over the rounds are compared. `make bench-peer` calls this.
On the CPU PyTorch runs eager in both memory layouts. On a GPU, always channels_last: eager, and its best of
torch.compile(max-autotune), a hand-made CUDA graph of the whole step, and both together (step.py); one that fails is left out.
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
CASES = {"cpu": ("train::resnet20:128", "reviewkd:resnet56:resnet20:64", "kd:resnet56:resnet20:64"),
         "cuda": ("reviewkd:resnet32x4:resnet8x4:64", "train::resnet20:128")}
PEERS = {"cpu": {"contiguous": ["--layout", "contiguous"], "channels_last": ["--layout", "channels_last"]},
         "cuda": {mode: ["--layout", "channels_last", "--mode", mode] for mode in ("eager", "compiled", "graph", "compiled-graph")}}
CANDIDATES = ("compiled", "graph", "compiled-graph")  # the fastest of them is PyTorch's best
BOUNDS = {"contiguous": 0.75, "eager": 0.4, "best": 0.8}  # ours over that, at most
PATIENCE = 240  # seconds for a program: torch.compile may search for many minutes
STEPS = {"cpu": 8, "cuda": 100}
WARM_UP = {"cpu": 3, "cuda": 20}
COLUMNS = ("case", "batch", "device", "precision", "threads", "rounds", "program", "ms_per_step", "ratio", "bound")


def find_python():
    """The first Python that has torch: this one, or the system's (Debian's python3-torch serves only that)."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
                return python
        except OSError:
            continue
    usage_error(f"no PyTorch: neither {sys.executable} nor /usr/bin/python3 can import torch; install Debian's python3-torch")


def usage_error(message):
    print(message, file=sys.stderr)
    sys.exit(2)


def parse_case(text):
    """METHOD:TEACHER:STUDENT:BATCH -> (title, batch, arguments that distill bench and step.py share)."""
    parts = text.split(":")
    good = len(parts) == 4 and parts[0] in ("train", "kd", "reviewkd") and parts[2] and parts[3].isdigit()
    if not good or (parts[0] == "train") == bool(parts[1]):
        usage_error(f"--case {text}: expected METHOD:TEACHER:STUDENT:BATCH such as {CASES['cpu'][1]}; "
                    f"train has no teacher: {CASES['cpu'][0]}")
    method, teacher, student, batch = parts
    arguments = [method, *(["--teacher", teacher] if teacher else []), "--student", student, "--batch", batch]
    return f"{method} {teacher + '->' if teacher else ''}{student}", int(batch), arguments


def measure(command, environment):
    """Runs a program that writes a one-row CSV with ms_per_step -> that number; None, after saying why, if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "bench.csv"
        full = [*map(str, command), "--csv", str(result)]
        try:
            done = subprocess.run(full, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            print(f"{' '.join(full)}: stopped after {PATIENCE} s", file=sys.stderr)
            return None
        if done.returncode != 0 or not result.exists():
            lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            print(f"{' '.join(full)}: exit code {done.returncode}, {lines[-1]}", file=sys.stderr)
            return None
        with open(result, newline="") as f:
            rows = list(csv.DictReader(f))
    return float(rows[-1]["ms_per_step"])


def compare(programs, arguments, rounds, environment):
    """-> median ms of each program, in interleaved rounds. Candidates may fail and are left out; else the end."""
    times = {name: [] for name in programs}
    for _ in range(rounds):
        for name in list(times):
            ms = measure(programs[name](arguments), environment)
            if ms is not None:
                times[name].append(ms)
            elif name in CANDIDATES:
                del times[name]
            else:
                sys.exit(1)
    medians = {name: statistics.median(t) for name, t in times.items()}
    if fastest := min((name for name in medians if name in CANDIDATES), key=medians.get, default=None):
        medians["best"] = medians[fastest]
        print(f"PyTorch's best is {fastest}", file=sys.stderr)
    return medians


def main():
    parser = argparse.ArgumentParser(description="distill against PyTorch, the same step, in turn.")
    parser.add_argument("--distill", type=Path, default=HERE.parent.parent / "distill", help="the binary (default: the repository's)")
    parser.add_argument("--device", choices=PEERS, default="cpu")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="fp32", help="of both sides")
    parser.add_argument("--rounds", type=int, default=5, help="times that each program runs a case")
    parser.add_argument("--steps", type=int, help="timed steps a round, after a warm-up "
                        f"(default: {STEPS['cpu']} of PyTorch's on the CPU, {STEPS['cuda']} of both on a GPU)")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    parser.add_argument("--case", action="append", metavar="METHOD:TEACHER:STUDENT:BATCH",
                        help="default: " + "; on a GPU ".join(", ".join(cases) for cases in CASES.values()))
    parser.add_argument("--csv", type=Path, help="write the figures there too")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bound is missed: ours is to take at most " +
                        ", ".join(f"{bound} of {name}" for name, bound in BOUNDS.items()))
    o = parser.parse_args()
    if not os.access(o.distill, os.X_OK):
        usage_error(f"{o.distill}: no such program; build it first (make) or name it with --distill PATH")
    o.steps = STEPS[o.device] if o.steps is None else o.steps
    if o.rounds < 1 or o.steps < 1 or o.threads < 1:
        usage_error("--rounds, --steps and --threads must be at least 1")
    cases, python = [parse_case(c) for c in o.case or CASES[o.device]], find_python()
    environment = {**os.environ, "OMP_NUM_THREADS": str(o.threads), "TORCHINDUCTOR_FX_GRAPH_CACHE": "1"}  # compiled once, not every round
    same = ["--device", o.device, "--precision", o.precision]
    ours_steps = ["--steps", o.steps] if o.device == "cuda" else []
    programs = {"ours": lambda a: [o.distill.resolve(), "bench", *a, *same, *ours_steps]}
    for name, how in PEERS[o.device].items():
        programs[name] = lambda a, how=how: [python, HERE / "step.py", *a, *same, *how, "--rounds", o.steps,
                                             "--warm-up", WARM_UP[o.device]]

    print(f"{o.device}, {o.precision}, {o.threads} threads, {o.rounds} interleaved rounds, medians; ratio = ours / PyTorch")
    rows, missed = [], False
    for title, batch, arguments in cases:
        print(f"{title}, batch {batch}")
        medians = compare(programs, arguments, o.rounds, environment)
        for name, ms in medians.items():
            ratio, bound = medians["ours"] / ms, BOUNDS.get(name, "")
            high = bound != "" and ratio > bound
            missed |= high
            print(f"  {name if name == 'ours' else 'PyTorch ' + name:24s}{ms:10.3f} ms" + (f"{ratio:8.3f}" if name != "ours" else "") +
                  (f"  bound {bound}" if bound != "" else "") + (" missed" if high else ""), flush=True)
            rows.append((title, batch, o.device, o.precision, o.threads, o.rounds, name, f"{ms:.9g}",
                         "" if name == "ours" else f"{ratio:.9g}", bound))
    if o.csv:
        with open(o.csv, "w", newline="") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow(COLUMNS)
            out.writerows(rows)
    return 1 if o.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
