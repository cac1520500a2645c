"""A graph search without the search: graphs as parameters and as files, a study's settings, and trainings by `distill ktg train`.

ktg_optuna.py decides what is trained and when it stops; nothing here knows Optuna.
"""
import csv
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

GATES = ("through", "cutoff", "linear", "correct")
MACHINE_OPTIONS = ("--device", "--threads")  # a worker's own; every other option is the study's
POLL_SECONDS = 0.2
START_KEY = 2  # what start weights and batches are drawn from: start_key_version of include/core_philox.h
NOT_FINITE = "; try a smaller "  # TrainingLoop::fail_not_finite (src/train_loop.cpp) says so, and nothing else does
U32, U64 = 2**32 - 1, 2**64 - 1
LIBC = ctypes.CDLL(None)  # loaded here, so that nothing is left to load between fork and exec


class Stop(Exception):
    """Ends the program with one line."""

    def __init__(self, line, code=2):
        super().__init__(line)
        self.code = code


class TrainingFailed(Exception):
    """Ends a trial, not the worker: a loss or a weight is not finite any more."""


class Crashed(Stop):
    """A training ended as none should: by a signal, or by an error of the machine's. The graph may be what does it."""


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
# A draw is the built-in search's (include/core_philox.h, src/search_space.cpp): the same seed gives both the same graphs.
def mix_bits(z):
    z = (z + 0x9E3779B97F4A7C15) & U64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & U64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & U64
    return z ^ z >> 31


def philox(key, counter):
    """The first of the four numbers of Philox4x32-10."""
    c, k0, k1 = (counter & U32, counter >> 32, 0, 0), key & U32, key >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = (p1 >> 32) ^ c[1] ^ k0, p1 & U32, (p0 >> 32) ^ c[3] ^ k1, p0 & U32
        k0, k1 = (k0 + 0x9E3779B9) & U32, (k1 + 0xBB67AE85) & U32
    return c[0]


def draw(settings, number):
    """The study's graph of this number: depends on nothing but the seed and the number."""
    purpose, nodes = 7, range(settings["nodes"])
    key = mix_bits(mix_bits(mix_bits(settings["seed"]) ^ purpose) ^ number)
    choices = {**{f"gate_{t}_{s}": GATES for t in nodes for s in nodes}, **{f"model_{i}": settings["models"] for i in nodes[1:]}}
    return {name: values[philox(key, i) * len(values) >> 32] for i, (name, values) in enumerate(choices.items())}


def read_graphs(source):
    """A folder's graph CSVs, in the order of their names, or the trials of a built-in search's journal.csv, as networks and gates."""
    files, graphs = sorted(source.glob("*.csv")) if source.is_dir() else [source], []
    for file in files:
        rows = read_csv(file)
        if not source.is_dir():  # a trial's detail: "resnet32a wrn-28-2 | through cutoff | linear correct", perhaps with (a reason)
            # Of a row that a kill cut off, the last cells are missing or cut.
            rows = rows[:-1] if not file.read_bytes().endswith(b"\n") else rows
            lines = [row["detail"].split(" (")[0] for row in rows if row.get("event") in ("started", "rejected", "repeated")]
            graphs = [([part.split() for part in line.split("|")][0], [part.split() for part in line.split("|")][1:]) for line in lines]
        elif rows:
            rows.sort(key=lambda row: row.get("node") or "")
            graphs.append(([row.get("model") for row in rows], [[row.get(f"gate_{s}") for s in range(len(rows))] for row in rows]))
    if not graphs:
        raise Stop(f"--samples {source}: no graphs; expected a folder of CSVs node,model,weights,gate_0,… or a search's journal.csv")
    for number, (models, gates) in enumerate(graphs):
        n = len(models)
        if not all(models) or [len(row) for row in gates] != [n] * n or not set(sum(gates, [])) <= set(GATES):
            raise Stop(f"--samples {source}: graph {number}: expected {n} networks and {n} x {n} gates of {', '.join(GATES)}; "
                       f"found {models}, {gates}")
        if (n, models[0]) != (len(graphs[0][0]), graphs[0][0][0]):
            raise Stop(f"--samples {source}: graph {number}: found {n} nodes, target {models[0]}; the first graph has "
                       f"{len(graphs[0][0])}, {graphs[0][0][0]}: a study's graphs have one size and one target")
    return graphs


def read_csv(file):
    try:
        with open(file, newline="") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise Stop(f"{file}: {error.strerror}")


def layout(settings, params):
    """A trial's parameters as networks and rows of gates, by node."""
    nodes = range(settings["nodes"])
    return ([settings["target"], *(params[f"model_{i}"] for i in nodes[1:])], [[params[f"gate_{t}_{s}"] for s in nodes] for t in nodes])


def training_of(models, gates):
    """What node 0's training depends on: networks and gates of all that it hears, a label's correct gate as through (src/graph.cpp)."""
    heard, reached = set(), [0]
    while reached:
        target = reached.pop()
        heard.add(target)
        reached += [source for source, gate in enumerate(gates[target]) if gate != "cutoff" and source not in heard]
    rows = []
    for target, (model, row) in enumerate(zip(models, gates)):
        own = "through" if row[target] == "correct" else row[target]
        rows.append([model, *row[:target], own, *row[target + 1:]] if target in heard else [])
    return " | ".join(" ".join(row) for row in rows)


def is_frozen(gates):
    return set(gates) == {"cutoff"}


def write_graph(path, models, gates, weights):
    """Paths of weights relative to the file, as ktg train reads them; "" for none."""
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["node", "model", "weights", *(f"gate_{i}" for i in range(len(models)))])
        for node, (model, row, start) in enumerate(zip(models, gates, weights)):
            out.writerow([node, model, start and os.path.relpath(start, path.parent), *row])


# ---- what a study is ------------------------------------------------------------------------------------------------------
def digest(contents):
    return hashlib.sha256(contents).hexdigest()[:12]


def records_left(data, options):
    """The training records that --per-class among the further options leaves, by what `distill data info` says of each class."""
    words = " ".join(options).replace("=", " ").split()
    said = dict(zip(words, words[1:])).get("--per-class", "")
    most = int(said) if said.isdecimal() else 0  # what is no number the training refuses; 0: all
    return sum(min(int(count), most or int(count)) for key, count in data.items() if key.startswith("train_"))


def settle(args):
    """What all workers of a study share, and the graphs that it is fed with (none: they are drawn)."""
    tables, graphs = read_graphs(args.samples) if args.samples else [], []
    if tables:
        args.nodes, args.target, args.trials = len(tables[0][0]), tables[0][0][0], len(tables)
        args.models = ",".join(sorted({model for models, _ in tables for model in models[1:]}))
        graphs = [{**{f"gate_{t}_{s}": gate for t, row in enumerate(gates) for s, gate in enumerate(row)},
                   **{f"model_{i}": model for i, model in enumerate(models) if i}} for models, gates in tables]
    missing = [f"--{name}" for name in ("nodes", "target", "models", "trials") if not getattr(args, name)]
    if missing:
        raise Stop(f"{', '.join(missing)}: missing; they describe the study (or --samples does)")
    models = args.models.split(",")
    for net in dict.fromkeys([args.target, *models]):
        ask_program(args.distill, "info", "--net", net)
    info = ask_program(args.distill, "data", "info", "--csv", "--data", args.data, "--dataset", args.dataset)
    data = dict(csv.reader(info.splitlines()))
    held_out = 0 if args.score == "test" else args.val or max(1, records_left(data, args.options) // 5)
    options, words = [], iter(args.options)
    for word in words:
        if word in MACHINE_OPTIONS:
            next(words, None)
        elif word.split("=")[0] not in MACHINE_OPTIONS:
            options.append(word)
    try:
        weights = {net: digest((args.weights / f"{net}.safetensors").read_bytes()) for net in models} if args.weights else "trained as teachers"
    except OSError as error:
        raise Stop(f"--weights: {error.filename}: {error.strerror}; expected NET.safetensors of each of --models")
    return {"start_key": START_KEY, "dataset": args.dataset, "data_sha256": digest(json.dumps({k: data[k] for k in data if k.startswith("sha256")}).encode()),
            "score": args.score, "held_out": held_out, "nodes": args.nodes, "target": args.target, "models": models,
            "trials": args.trials, "epochs": args.epochs, "batch": args.batch, "seed": args.seed, "weights": weights,
            "weights_epochs": args.weights_epochs or args.epochs, "alone_batch": args.alone_batch,
            "graphs": digest(json.dumps(graphs).encode()) if graphs else "drawn", "options": " ".join(options)}, graphs


# ---- trainings ------------------------------------------------------------------------------------------------------------
class Trainings:
    """The trainings of a study on this machine: its settings, and where things are here (distill, data, weights, further options)."""

    def __init__(self, settings, args):
        self.settings, self.args, self.folder = settings, args, (args.work / args.study).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        kept, text = self.folder / "settings.json", json.dumps(settings, indent=1)
        if not kept.exists():  # whole or not at all
            partial = kept.with_name(f"{kept.name}.{os.uname().nodename}-{os.getpid()}.tmp")
            partial.write_text(text)
            partial.replace(kept)
        if kept.read_text() != text:
            raise Stop(f"{self.folder}: holds trainings of other settings ({kept.name}); remove it, or choose another --work")

    def trial_folder(self, number):
        return self.folder / "trials" / f"{number:05d}"

    def start(self, folder, before):
        """A new trial's folder, with the run of the trial that it repeats, where that can be reached."""
        if folder.exists():
            raise Stop(f"{folder}: belongs to an earlier study of this name; remove {self.folder}, or choose another --work")
        folder.mkdir(parents=True)
        if (before / "run").is_dir():
            shutil.copytree(before / "run", folder / "run.copy")
            (folder / "run.copy").rename(folder / "run")  # whole or not at all

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
                # As the built-in search trains them. The lock is the training's, too, which may outlive a killed worker by a step.
                try:
                    self.train(folder, self.settings["weights_epochs"], self.settings["alone_batch"], lambda epoch, accuracy: None,
                               ["--as-teacher"], [lock.fileno()])
                except TrainingFailed as failed:  # it would fail every graph in which this network is frozen
                    raise Stop(f"{net}, trained alone for frozen nodes: {failed}", 1)
        return folder / "run" / "student.safetensors"

    def here(self, folder):
        """What a run begun on another machine is told anew: where its data and its graph with the frozen nodes' files are, and this worker's own
        options."""
        words = ["--graph", folder / "graph.csv", "--data", self.args.data.resolve()]
        options = iter(self.args.options)
        for word in options:
            if word in MACHINE_OPTIONS:
                words += [word, next(options, "")]
            elif word.split("=")[0] in MACHINE_OPTIONS:
                words.append(word)
        return words

    def train(self, folder, epochs, batch, at_epoch, further=(), held=()):
        """Trains FOLDER/graph.csv in FOLDER/run, or goes on with what is there; `held`: open files that the training keeps open."""
        run, code = folder / "run", 2
        complaint = lambda: last_line((folder / "errors.txt").read_text(errors="replace"))
        command = [self.args.distill, "ktg", "train", "--quiet", "--run", run]
        if run.exists():
            code = self.follow(folder, [*command, "--resume", *self.here(folder)], at_epoch, held)
            if code == 2:
                say(f"{run}: cannot go on, starts anew: {complaint()}")
                shutil.rmtree(run)
        if code == 2:
            code = self.follow(folder, [
                *command, "--graph", folder / "graph.csv", "--data", self.args.data.resolve(), "--dataset", self.args.dataset,
                "--val", self.settings["held_out"], "--epochs", epochs, "--batch", batch, "--seed", self.args.seed, *further,
                *self.args.options], at_epoch, held)
        if code:
            line = f"{folder.name}: ended by signal {-code}" if code < 0 else complaint()
            if code == 1 and NOT_FINITE in line:
                raise TrainingFailed(line)
            # 3: told to stop, as on a machine that shuts down. A full disk is no graph's fault, and would meet the next one, too.
            raise Stop(line, code) if code in (2, 3) or ": cannot be written (" in line else Crashed(line, 1)

    def follow(self, folder, command, at_epoch, held):
        """Runs a training to its exit code. at_epoch(epochs done, node 0's accuracy) sees every epoch once, and may end it by raising."""
        seen, file = 0, folder / "run" / "epochs.csv"
        with open(folder / "output.txt", "a") as output, open(folder / "errors.txt", "w") as errors:
            # A signal at the terminal reaches the worker alone, which passes it on; a worker's death is an interruption, too.
            child = subprocess.Popen([str(word) for word in command], stdout=output, stderr=errors, start_new_session=True, pass_fds=held,
                                     preexec_fn=lambda: LIBC.prctl(1, signal.SIGINT))  # PR_SET_PDEATHSIG
            try:
                while True:
                    ended = child.poll() is not None  # asked first, so that what it wrote last is seen
                    text = file.read_text(errors="replace") if file.exists() else ""
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
