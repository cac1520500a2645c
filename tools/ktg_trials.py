"""A graph search's trials without the search: graphs as parameters and as files, and their training by `distill ktg train`.

ktg_optuna.py decides what is trained and when it stops; nothing here knows Optuna.
"""
import csv
import ctypes
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import time

GATES = ("through", "cutoff", "linear", "correct")
POLL_SECONDS = 0.2
LIBC = ctypes.CDLL(None)  # loaded here, so that nothing is left to load between fork and exec


class Stop(Exception):
    """Ends the program with one line."""

    def __init__(self, line, code=2):
        super().__init__(line)
        self.code = code


class TrainingFailed(Exception):
    """Ends a trial, not the worker."""


def say(line):
    print(line, flush=True)


def last_line(text):
    """The line of a complaint that names the reason."""
    return (str(text).strip() or "no reason given").splitlines()[-1].strip()


def ask_program(distill, *words):
    """What `distill WORDS` prints; its complaint is ours."""
    try:
        done = subprocess.run([str(distill), *map(str, words)], capture_output=True, text=True)
    except OSError as error:
        raise Stop(f"--distill {distill}: {error.strerror}; build it with make, or name it")
    if done.returncode:
        raise Stop(last_line(done.stderr))
    return done.stdout


# ---- graphs ---------------------------------------------------------------------------------------------------------------
# A trial's parameters, as the dashboard shows them: model_1 … model_<n-1>, and for every edge gate_<target>_<source> (gate_i_i: the
# label's). Node 0's network is the study's.
def draw(settings, number):
    """The study's graph of this number: depends on nothing but the seed and the number."""
    rng = random.Random(f"{settings['seed']}/{number}")
    nodes = range(settings["nodes"])
    choices = {**{f"model_{i}": settings["models"] for i in nodes[1:]}, **{f"gate_{t}_{s}": GATES for t in nodes for s in nodes}}
    return {name: values[int(rng.random() * len(values))] for name, values in choices.items()}


def read_graphs(folder):
    """The graph CSVs of a folder (or its */graph.csv), in the order of their names, as rows."""
    files = sorted([*folder.glob("*.csv"), *folder.glob("*/graph.csv")])
    if not files:
        raise Stop(f"--samples {folder}: no graphs; expected a folder of CSVs with the columns node,model,weights,gate_0,…")
    graphs = []
    for file in files:
        with open(file, newline="") as stream:
            rows = sorted(csv.DictReader(stream), key=lambda row: row.get("node") or "")
        for column in ("node", "model", *(f"gate_{i}" for i in range(len(rows)))):
            if not all(row.get(column) for row in rows):
                raise Stop(f"{file}: a value of column '{column}' is missing; a graph of {len(rows)} nodes has one in each row")
        graphs.append(rows)
        if not rows or (len(rows), rows[0]["model"]) != (len(graphs[0]), graphs[0][0]["model"]):
            raise Stop(f"{file}: a study's graphs have one size and one target, {files[0].name} has another")
    return graphs


def layout(settings, params):
    """A trial's parameters as networks and rows of gates, by node."""
    nodes = range(settings["nodes"])
    return ([settings["target"], *(params[f"model_{i}"] for i in nodes[1:])], [[params[f"gate_{t}_{s}"] for s in nodes] for t in nodes])


def is_frozen(gates):
    return set(gates) == {"cutoff"}


def write_graph(path, models, gates, weights):
    """Paths of weights relative to the file, as ktg train reads them; "" for none."""
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["node", "model", "weights", *(f"gate_{i}" for i in range(len(models)))])
        for node, (model, row, start) in enumerate(zip(models, gates, weights)):
            out.writerow([node, model, start and os.path.relpath(start, path.parent), *row])


# ---- trainings ------------------------------------------------------------------------------------------------------------
class Trainings:
    """The trainings of a study on this machine: its settings, and where things are here (distill, data, weights, further options)."""

    def __init__(self, settings, args):
        self.settings, self.args, self.folder = settings, args, (args.work / args.study).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        kept, text = self.folder / "settings.json", json.dumps(settings, indent=1)
        if kept.exists() and kept.read_text() != text:
            raise Stop(f"{self.folder}: holds trainings of other settings ({kept.name}); remove it, or choose another --work")
        kept.write_text(text)

    def trial_folder(self, number):
        return self.folder / "trials" / f"{number:05d}"

    def start(self, folder, before):
        """A new trial's folder, with the run of the trial that it repeats, where that can be reached."""
        if folder.exists():
            raise Stop(f"{folder}: belongs to an earlier study of this name; remove {self.folder}, or choose another --work")
        folder.mkdir(parents=True)
        if (before / "run").is_dir():
            shutil.copytree(before / "run", folder / "run")

    def weights(self, net):
        """The file of a network trained alone on the study's terms; made once in a work folder, by whoever needs it first."""
        if self.args.weights:
            return self.args.weights.resolve() / f"{net}.safetensors"
        folder = self.folder / "weights" / net
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "run" / "result.csv").exists():
                say(f"training {net} alone, for the graphs in which it is frozen")
                write_graph(folder / "graph.csv", [net], [["through"]], [""])
                self.train(folder, self.settings["weights_epochs"], self.settings["weights_batch"], lambda epoch, accuracy: None)
        return folder / "run" / "student.safetensors"

    def train(self, folder, epochs, batch, at_epoch):
        """Trains FOLDER/graph.csv in FOLDER/run, or goes on with what is there."""
        run, errors, code = folder / "run", folder / "errors.txt", 2
        command = [self.args.distill, "ktg", "train", "--quiet", "--run", run]
        if run.exists():
            code = self.follow(folder, [*command, "--resume"], at_epoch)
            if code == 2:
                say(f"{run}: cannot go on, starts anew: {last_line(errors.read_text())}")
                shutil.rmtree(run)
        if code == 2:
            code = self.follow(folder, [
                *command, "--graph", folder / "graph.csv", "--data", self.args.data.resolve(), "--dataset", self.args.dataset,
                "--val", self.settings["held_out"], "--epochs", epochs, "--batch", batch, "--seed", self.args.seed, *self.args.options],
                at_epoch)
        if code:
            line = f"{folder.name}: ended by signal {-code}" if code < 0 else last_line(errors.read_text())
            raise Stop(line, code) if code in (2, 3) else TrainingFailed(line)  # 3: told to stop, as on a machine that shuts down

    def follow(self, folder, command, at_epoch):
        """Runs a training to its exit code. at_epoch(epochs done, node 0's accuracy) sees every epoch once, and may end it by raising."""
        seen, file = 0, folder / "run" / "epochs.csv"
        with open(folder / "output.txt", "a") as output, open(folder / "errors.txt", "w") as errors:
            # A signal at the terminal reaches the worker alone, which passes it on; a worker's death is an interruption, too.
            child = subprocess.Popen([str(word) for word in command], stdout=output, stderr=errors, start_new_session=True,
                                     preexec_fn=lambda: LIBC.prctl(1, signal.SIGINT))  # PR_SET_PDEATHSIG
            try:
                while True:
                    ended = child.poll() is not None  # asked first, so that what it wrote last is seen
                    text = file.read_text() if file.exists() else ""
                    for row in list(csv.DictReader(text[:text.rfind("\n") + 1].splitlines()))[seen:]:
                        seen += 1
                        at_epoch(seen, float(row["test_acc"]))
                    if ended:
                        return child.returncode
                    time.sleep(POLL_SECONDS)
            finally:
                if child.poll() is None:
                    child.send_signal(signal.SIGINT)  # it writes a checkpoint and ends
                    child.wait()
