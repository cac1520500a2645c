"""distill against PyTorch, the same step on the same threads, in turn, in one run.

    bench_peer.py [--distill ./distill] [--rounds 5] [--threads T] [--case METHOD:TEACHER:STUDENT:BATCH]... [--csv F]

Every round runs each program once (each warms up by itself and reports a median); the rounds are interleaved so that a
slow minute of the machine falls on all of them, and the medians over the rounds are compared. `make bench-peer` calls this.
Exit codes: 0 measured, whatever the ratios (--strict: 1 where the bound is missed), 1 a program failed, 2 bad usage.
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
BOUND = 0.75  # ours over PyTorch's default layout, at most
DEFAULT_CASES = ("train::resnet20:128", "reviewkd:resnet56:resnet20:64", "kd:resnet56:resnet20:64")
LAYOUTS = ("contiguous", "channels_last")
COLUMNS = ("case", "batch", "threads", "rounds", "ours_ms", "torch_contiguous_ms", "torch_channels_last_ms",
           "ratio_contiguous", "ratio_channels_last", "bound")


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
    """METHOD:TEACHER:STUDENT:BATCH -> (title, arguments that distill bench and step.py share)."""
    parts = text.split(":")
    good = len(parts) == 4 and parts[0] in ("train", "kd", "reviewkd") and parts[2] and parts[3].isdigit()
    if not good or (parts[0] == "train") == bool(parts[1]):
        usage_error(f"--case {text}: expected METHOD:TEACHER:STUDENT:BATCH such as {DEFAULT_CASES[1]}; "
                    f"train has no teacher: {DEFAULT_CASES[0]}")
    method, teacher, student, batch = parts
    arguments = [method, *(["--teacher", teacher] if teacher else []), "--student", student, "--batch", batch]
    return f"{method} {teacher + '->' if teacher else ''}{student}", int(batch), arguments


def measure(command, environment):
    """Runs a program that writes a one-row CSV with ms_per_step -> that number."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "bench.csv"
        full = [*map(str, command), "--csv", str(result)]
        done = subprocess.run(full, env=environment, capture_output=True, text=True)
        if done.returncode != 0 or not result.exists():
            lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            print(f"{' '.join(full)}: exit code {done.returncode}, {lines[-1]}", file=sys.stderr)
            sys.exit(1)
        with open(result, newline="") as f:
            rows = list(csv.DictReader(f))
    return float(rows[-1]["ms_per_step"])


def main():
    parser = argparse.ArgumentParser(description="distill against PyTorch, the same step, in turn.")
    parser.add_argument("--distill", type=Path, default=HERE.parent.parent / "distill", help="the binary (default: the repository's)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each program runs a case")
    parser.add_argument("--steps", type=int, default=8, help="PyTorch's timed steps a round, after 3 to warm up")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    parser.add_argument("--case", action="append", metavar="METHOD:TEACHER:STUDENT:BATCH", help="default: " + ", ".join(DEFAULT_CASES))
    parser.add_argument("--csv", type=Path, help="write the table there too")
    parser.add_argument("--strict", action="store_true", help=f"exit 1 where ours is above {BOUND} of PyTorch's default layout")
    o = parser.parse_args()
    if not os.access(o.distill, os.X_OK):
        usage_error(f"{o.distill}: no such program; build it first (make) or name it with --distill PATH")
    if o.rounds < 1 or o.steps < 1 or o.threads < 1:
        usage_error("--rounds, --steps and --threads must be at least 1")
    cases, python = [parse_case(c) for c in o.case or DEFAULT_CASES], find_python()
    environment = {**os.environ, "OMP_NUM_THREADS": str(o.threads)}
    programs = {"ours": lambda a: [o.distill.resolve(), "bench", *a]}
    for layout in LAYOUTS:
        programs[layout] = lambda a, layout=layout: [python, HERE / "step.py", *a, "--layout", layout, "--rounds", o.steps]

    print(f"{o.threads} threads, {o.rounds} interleaved rounds, medians; ratio = ours / PyTorch, bound {BOUND} (default layout)")
    print(f"{'case':32s}{'batch':>6s}{'ours ms':>10s}{'torch ms':>10s}{'ratio':>7s}{'':5s}{'torch channels_last ms':>24s}{'ratio':>7s}")
    rows = []
    for title, batch, arguments in cases:
        times = {name: [] for name in programs}
        for _ in range(o.rounds):
            for name, command in programs.items():
                times[name].append(measure(command(arguments), environment))
        ours, contiguous, channels_last = (statistics.median(times[name]) for name in programs)
        ratios = ours / contiguous, ours / channels_last
        print(f"{title:32s}{batch:6d}{ours:10.1f}{contiguous:10.1f}{ratios[0]:7.2f}{'' if ratios[0] <= BOUND else ' high':5s}"
              f"{channels_last:24.1f}{ratios[1]:7.2f}", flush=True)
        rows.append((title, batch, o.threads, o.rounds, *(f"{v:.9g}" for v in (ours, contiguous, channels_last, *ratios)), BOUND))
    if o.csv:
        with open(o.csv, "w", newline="") as f:
            out = csv.writer(f, lineterminator="\n")
            out.writerow(COLUMNS)
            out.writerows(rows)
    return 1 if o.strict and any(float(row[7]) > BOUND for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
