"""The Knowledge Transfer Graph search over many machines: Optuna on a PostgreSQL storage, `distill ktg train` as its objective.

    ktg_optuna.py run  --storage postgresql://USER@HOST/DB --study NAME --nodes 3 --target resnet32a --models resnet32a,wrn-28-2
                       --trials 1500 --epochs 200 --dataset cifar100 [--work DIR] [--seed S] … [-- further options of ktg train]
    ktg_optuna.py show --storage postgresql://USER@HOST/DB --study NAME [--top 10] [--graph best.csv]

Workers are this same command, started on any number of machines at any time; the number of trials is the study's. Node 0's
error on held-out training records goes to Optuna after every epoch, whose successive halving (rungs 1, 2, 4 … epochs; the
better half goes on) stops the rest. A worker that dies costs nothing but time: its trial's heartbeat stops, and another
worker takes the same graph up, from the dead one's checkpoint where that can be reached (a shared --work); the fourth dead
one is a graph's last. A graph whose target is frozen is rejected, one that trains its target as an earlier one does is
repeated, and not trained; a training whose loss is not finite any more is recorded with its reason. A training that crashes
(out of memory, an error of the GPU's) goes back to the study and ends its worker, which may be what is broken; the second
time it is recorded as failed, and the worker goes on. A worker uses one GPU: CUDA_VISIBLE_DEVICES chooses it.

Needs Optuna 3.1 or later and a PostgreSQL driver: apt install python3-optuna python3-psycopg2 (the server: postgresql), or
pip install optuna psycopg2-binary. A study in the browser: pip install optuna-dashboard && optuna-dashboard STORAGE
Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 interrupted (the trial went back to the study).
"""
import argparse
import contextlib
import importlib.util
import inspect
import os
import shlex
import signal
import socket
import sys
import threading
import time
import types
import warnings
from pathlib import Path

from ktg_trials import (GATES, Crashed, Stop, TrainingFailed, Trainings, draw, is_frozen, last_line, layout, say, settle, training_of,
                        write_graph)

INSTALL = "install Optuna and a driver: apt install python3-optuna python3-psycopg2, or pip install optuna psycopg2-binary"
LOCK_SECONDS = 60  # many times what a worker needs to choose a trial
MAX_RETRIES = 3  # of one graph, after workers that died; those that gave it back do not count
MAX_CRASHES = 2  # of one graph's training, then it is what crashes (the built-in search's max_losses, include/search_pool.h)


# ---- the study ------------------------------------------------------------------------------------------------------------
def with_driver(url):
    """SQLAlchemy's name for a bare postgresql:// changed its meaning from psycopg2 to psycopg in 2.1: take the one that is here."""
    kind, separator, rest = url.partition("://")
    if not separator or kind.split("+")[0] != "postgresql":
        raise Stop("--storage: expected a PostgreSQL address, such as postgresql://user@host/database")
    if kind == "postgresql":
        kind += "+psycopg2" if importlib.util.find_spec("psycopg2") else "+psycopg"
    return f"{kind}://{rest}"


def reason(error):
    """What the database's driver said first."""
    while error.__cause__ and not hasattr(error, "orig"):
        error = error.__cause__
    return str(getattr(error, "orig", error)).strip().splitlines()[0]


def tables_complaint(error, address):
    """Optuna's own words; of older tables also the command that upgrades them, with the driver that is here (`address`, its password hidden)."""
    line = last_line(error)
    return f"{line}; here that is: optuna storage upgrade --storage {shlex.quote(address)}" if "storage upgrade" in str(error) else line


class Storage:
    """A PostgreSQL database with Optuna's tables, and a lock that all workers of a study share."""

    def __init__(self, url, study, heartbeat=None):
        try:
            import optuna
            import sqlalchemy
            url = with_driver(url)
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.logging.set_verbosity(optuna.logging.CRITICAL)
            self.optuna, self.sqlalchemy, self.name = optuna, sqlalchemy, study
            self.failures = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)
            self.engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
            storages = optuna.storages  # the callback was renamed in Optuna 4.9
            new_name = "heartbeat_stale_trial_callback" in inspect.signature(storages.RDBStorage.__init__).parameters
            # Called by hand_on() alone: Optuna's own call would be lost with a worker that dies before it, and has its own limit.
            self.retry = (storages.RetryHeartbeatStaleTrialCallback if new_name else storages.RetryFailedTrialCallback)()
            with self.lock():  # two workers that make the tables at once would disturb each other
                self.rdb = storages.RDBStorage(url, {"pool_pre_ping": True}, heartbeat_interval=heartbeat,
                                               grace_period=heartbeat and 3 * heartbeat)
        except ImportError as error:
            raise Stop(f"{last_line(error)}; {INSTALL}")
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise Stop(f"--storage: no connection to the study's database ({reason(error)}); is the server running, the address right?")
        except RuntimeError as error:  # the tables are another Optuna's
            raise Stop(f"--storage: {tables_complaint(error, sqlalchemy.engine.make_url(url).render_as_string())}")

    def failed(self, error):
        return Stop(f"the study's database failed ({reason(error)}); start again when it is back", 1)

    @contextlib.contextmanager
    def lock(self):
        """Held by one worker of the study at a time; the server takes it back from one that dies, or stands still."""
        with self.engine.begin() as connection:
            connection.execute(self.sqlalchemy.text(f"SET LOCAL idle_in_transaction_session_timeout = '{LOCK_SECONDS}s'"))
            connection.execute(self.sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"distill {self.name}"})
            yield

    def open_study(self, settings):
        """Makes the study, or joins the one of these settings."""
        with self.lock():
            study = self.optuna.create_study(
                storage=self.rdb, study_name=self.name, direction="minimize", load_if_exists=True,
                sampler=self.optuna.samplers.RandomSampler(),  # never asked: every trial comes with its graph
                pruner=Halving(self.optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2, min_early_stopping_rate=0)))
            known = study.user_attrs.get("settings")
            if known is None and not study.trials:
                study.set_user_attr("settings", settings)
            elif known != settings:
                differ = [f"{k} {known.get(k)} there, {settings[k]} here" for k in settings if known.get(k) != settings[k]] if known else []
                raise Stop(f"--study {self.name}: exists, made {'with ' + '; '.join(differ) if differ else 'by another program'}; "
                           "give its settings, or choose another name")
        return study

    def load_study(self):
        names = [s.study_name for s in self.optuna.get_all_study_summaries(self.rdb) if "settings" in s.user_attrs]
        if self.name not in names:
            raise Stop(f"--study {self.name}: no such study of this program; there are: {', '.join(names) or 'none'}")
        return self.optuna.load_study(study_name=self.name, storage=self.rdb)


class Halving:
    """Optuna's successive halving as the built-in search has it: at a rung every graph counts once. By itself Optuna also counts a dead
    worker's trial beside the one that repeats it, and Optuna 3 the asking trial twice, since its cache shows what was just written."""

    def __init__(self, pruner):
        self.pruner = pruner

    def prune(self, study, trial):
        given_back = lambda t: t.state.name == "FAIL" and "reason" not in t.user_attrs
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number and not given_back(t)]
        view = types.SimpleNamespace(get_trials=lambda deepcopy: others, direction=study.direction, _storage=study._storage)
        return self.pruner.prune(view, trial)


# ---- a worker -------------------------------------------------------------------------------------------------------------
class Worker:
    def __init__(self, args, storage, settings, graphs):
        self.args, self.storage, self.settings, self.graphs = args, storage, settings, graphs
        self.optuna, self.study = storage.optuna, storage.open_study(settings)
        with storage.lock():
            self.trainings = Trainings(settings, args)
        self.held = contextlib.ExitStack()  # the study's lock, while a trial is chosen
        self.trial = self.ending = None

    def work(self):
        said = False
        while (state := self.next_trial()) != "done":
            if state == "wait":
                if not said:
                    say("waiting: the last trials run elsewhere")
                time.sleep(min(5, self.args.heartbeat))
            said = state == "wait"

    def next_trial(self):
        """Runs a trial that was given back, or else the next graph: "ran"; "wait" while only others have any; "done"."""
        optuna, study, states = self.optuna, self.study, self.optuna.trial.TrialState
        self.trial = None
        with self.held:
            self.held.enter_context(self.storage.lock())
            optuna.storages.fail_stale_trials(study)
            trials = self.hand_on()
            if not any(t.state == states.WAITING for t in trials):
                taken = sum(self.storage.retry.retried_trial_number(t) is None for t in trials)
                if taken == self.settings["trials"]:
                    return "wait" if any(t.state == states.RUNNING for t in trials) else "done"
                graph = self.graphs[taken] if self.graphs else draw(self.settings, taken)
                kind = optuna.distributions.CategoricalDistribution
                choices = {name: kind(self.settings["models"] if name.startswith("model") else GATES) for name in graph}
                study.add_trial(optuna.create_trial(state=states.WAITING, params=graph, distributions=choices,
                                                    user_attrs={"graph": taken}))
            try:
                study.optimize(self, n_trials=1, catch=(TrainingFailed,))
            except Exception:
                # Optuna takes no word on a trial that has ended: given back, or taken from a worker that was out of reach for too long.
                # How it says so is its version's affair.
                if self.ending:
                    raise self.ending
                if self.trial is None:
                    raise
                self.study = self.storage.open_study(self.settings)  # anew: Optuna 3's cache never looks at a worker's own trials again
                if self.study.trials[self.trial].state == states.RUNNING:
                    raise
                say(f"trial {self.trial}: was taken for dead and given to another worker")
            return "ran"

    def hand_on(self):
        """Another worker gets the graph of each trial that ended without a word, whatever ended it -> all trials."""
        states, retry = self.optuna.trial.TrialState, self.storage.retry
        while True:
            trials = self.study.get_trials(deepcopy=False)
            again = {number for t in trials for number in retry.retry_history(t)}
            # Its worker took it under the lock that is ours now, and died before there was a heartbeat that could stop.
            unbegun = [t.number for t in trials if t.state == states.RUNNING and t.user_attrs.get("started") != t.number]
            lost = [t for t in trials if t.state == states.FAIL and "reason" not in t.user_attrs and t.number not in again]
            if not unbegun and not lost:
                return trials
            for number in unbegun:
                self.study.tell(number, state=states.FAIL)
            for trial in lost:
                retry(self.study, trial)

    def give_back(self, trial):
        """As hand_on(), at once, of a trial of ours whose training is sound."""
        trial.set_user_attr("given back", trial.number)  # its heir inherits what stands there
        self.study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
        self.hand_on()

    def require_living_workers(self, trial):
        """Fails a trial whose graph ended as many workers as are given to one."""
        trials = self.study.get_trials(deepcopy=False)
        deaths = sum(trials[n].user_attrs.get("given back") != n for n in self.storage.retry.retry_history(trials[trial.number]))
        if deaths > MAX_RETRIES:
            raise TrainingFailed(f"{deaths} workers died in it")

    def __call__(self, trial):
        """Optuna's objective: node 0's error in percent after the last epoch."""
        self.trial = trial.number
        before = Path(trial.user_attrs.get("folder", "none"))  # of the trial that this one repeats
        folder = self.trainings.trial_folder(trial.number)
        for name, value in (("worker", f"{socket.gethostname()}:{os.getpid()}"), ("started", trial.number)):
            trial.set_user_attr(name, value)

        def ended(how):
            say(f"trial {trial.number}, graph {trial.user_attrs['graph']}: {how}")
            (folder / "run" / "checkpoint.bin").unlink(missing_ok=True)  # nobody will go on from there

        try:
            self.held.close()
            error = self.run_graph(trial, folder, before)
        except (Stop, KeyboardInterrupt, OSError, *self.storage.failures) as ending:
            self.ending = ending
            if isinstance(ending, self.storage.failures):
                self.ending = self.storage.failed(ending)
            elif isinstance(ending, OSError):  # the program is being built anew, a folder cannot be written: it would meet the next graph, too
                self.ending = Stop(f"trial {trial.number}, given back: {ending.filename or folder}: {ending.strerror or ending}", 1)
            with contextlib.suppress(*self.storage.failures), self.storage.lock():  # else its heartbeat stops
                self.give_back(trial)
            raise
        except self.optuna.TrialPruned as pruned:
            ended(pruned)
            raise
        except TrainingFailed as failed:
            trial.set_user_attr("reason", str(failed))
            ended(f"failed: {failed}")
            raise
        except Exception as error:  # a torn file's, say; or Optuna's, where another worker has the trial, which then takes no reason
            why = f"{type(error).__name__}: {last_line(error)}"
            trial.set_user_attr("reason", why)
            self.ending = Stop(f"trial {trial.number} failed: {why}", 1)
            raise
        ended(f"complete, error {error:.2f} %")
        return error

    def run_graph(self, trial, folder, before):
        models, gates = layout(self.settings, trial.params)
        self.require_living_workers(trial)
        if is_frozen(gates[0]):
            trial.set_user_attr("rejected", "the target is frozen")
            raise self.optuna.TrialPruned("rejected: the target is frozen")
        self.require_new(trial, training_of(models, gates))
        error = None

        def at_epoch(epoch, accuracy):
            nonlocal error
            error = float(f"{100 - accuracy:.9g}")
            trial.report(error, step=epoch)
            if epoch < self.settings["epochs"] and trial.should_prune():  # who has come to the end is complete
                raise self.optuna.TrialPruned(f"stopped after epoch {epoch}, error {error:.2f} %")

        self.trainings.start(folder, before)
        trial.set_user_attr("folder", str(folder))  # not before: whoever repeats a trial that ends sooner goes on from where this one would
        weights = [str(self.trainings.weights(model)) if is_frozen(row) else "" for model, row in zip(models, gates)]
        write_graph(folder / "graph.csv", models, gates, weights)
        try:
            self.trainings.train(folder, self.settings["epochs"], self.settings["batch"], at_epoch)
        except Crashed as crash:
            crashes = trial.user_attrs.get("crashes", 0) + 1
            if crashes == MAX_CRASHES:
                raise TrainingFailed(f"crashed {crashes} times; last: {crash}")
            trial.set_user_attr("crashes", crashes)  # the trial that repeats it gets it, too
            raise Stop(f"trial {trial.number}, given back: {crash}", 1)
        return error

    def require_new(self, trial, training):
        """Prunes a trial whose training an earlier one is, or was: it would be the same again."""
        for other in trial.study.get_trials(deepcopy=False):
            trained = other.state.name in ("RUNNING", "COMPLETE") or other.state.name == "PRUNED" and other.intermediate_values
            if other.number < trial.number and trained and training_of(*layout(self.settings, other.params)) == training:
                trial.set_user_attr("repeated", other.number)
                raise self.optuna.TrialPruned(f"repeated: trial {other.number} is its training")


# ---- the command line -----------------------------------------------------------------------------------------------------
def run(args):
    settings, graphs = settle(args)
    if args.score == "test":
        say("note: trials are scored on the test set, as in the authors' code; the best one's accuracy is then no test accuracy any more")
    storage = Storage(args.storage, args.study, args.heartbeat)
    try:
        Worker(args, storage, settings, graphs).work()
    except storage.failures as failure:
        raise storage.failed(failure)
    say(f"study {args.study}: all {settings['trials']} trials are done")


def show(args):
    storage = Storage(args.storage, args.study)
    try:
        study = storage.load_study()
        settings, trials, states = study.user_attrs["settings"], study.get_trials(deepcopy=False), storage.optuna.trial.TrialState
    except storage.failures as failure:
        raise storage.failed(failure)
    for name, value in settings.items():
        say(f"  {name:16} {','.join(value) if isinstance(value, list) else value}")
    retried = {number for t in trials for number in storage.retry.retry_history(t)}
    kinds = ["retried" if t.number in retried else "rejected" if "rejected" in t.user_attrs else
             "repeated" if "repeated" in t.user_attrs else "stopped" if t.state == states.PRUNED else t.state.name.lower() for t in trials]
    say("trials: " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))))
    for trial in trials:
        if trial.state == states.FAIL and "reason" in trial.user_attrs:
            say(f"  trial {trial.number} failed: {trial.user_attrs['reason']}")
    best = sorted((t for t in trials if t.state == states.COMPLETE), key=lambda t: (t.value, t.number))
    if not best:
        raise Stop(f"--study {args.study}: no trial is complete yet", 1)
    say(" trial  error %  graph: each node's network and its gates from node 0, 1, … (in its own place: the label's)")
    for trial in best[:args.top]:
        rows = [f"{model}: {' '.join(gates)}" for model, gates in zip(*layout(settings, trial.params))]
        say(f"{trial.number:6} {trial.value:8.2f}  {' | '.join(rows)}")
    if args.graph:
        # Without weights: those of its trial have not seen the held-out part.
        write_graph(args.graph, *layout(settings, best[0].params), [""] * settings["nodes"])
        known = " ".join(f"--{name.replace('_', '-')} {settings[name]}" for name in ("dataset", "epochs", "batch", "alone_batch", "seed"))
        say(f"wrote {args.graph}; this trains it, and what it has frozen, on all training data:")
        say(f"distill ktg search --transfer {shlex.quote(str(args.graph))} {known} {settings['options']}".rstrip())


def parse(words):
    end = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="run|show")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--storage", required=True, metavar="URL", help="postgresql://USER@HOST/DB")
    common.add_argument("--study", required=True, metavar="NAME", help="the study's name in it")
    p = commands.add_parser("run", parents=[common], help="a worker; what follows -- goes to ktg train")
    here = Path(__file__).resolve().parents[1]
    p.add_argument("--distill", type=Path, default=here / "distill", metavar="FILE", help="the program [the one built here]")
    p.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="folder of the data sets [data]")
    p.add_argument("--dataset", required=True, metavar="D", help="cifar10, cifar100, or an import's name")
    p.add_argument("--nodes", type=positive, metavar="N", help="networks in a graph")
    p.add_argument("--target", metavar="NET", help="node 0's network")
    p.add_argument("--models", metavar="A,B,…", help="what the other nodes' networks are drawn from")
    p.add_argument("--trials", type=positive, metavar="T", help="graphs that the study tries, over all workers")
    p.add_argument("--samples", type=Path, metavar="PATH",
                   help="in place of these four: a folder of graph CSVs, tried in the order of their names, or a search's journal.csv")
    p.add_argument("--epochs", type=positive, default=200, metavar="E", help="of a trial that is never stopped [200]")
    p.add_argument("--batch", type=positive, default=64, help="images a step [64]")
    p.add_argument("--seed", type=whole, default=0, metavar="S", help="of the drawn graphs and of every training [0]")
    p.add_argument("--score", choices=("validation", "test"), default="validation",
                   help="error on held-out training records, or on the test set as in the authors' code [validation]")
    p.add_argument("--val", type=positive, metavar="N", help="how many training records are held out [a fifth]")
    p.add_argument("--weights", type=Path, metavar="DIR",
                   help="frozen nodes start from DIR/NET.safetensors [trained alone, once a work folder]")
    p.add_argument("--weights-epochs", type=positive, metavar="E", help="of these trainings [--epochs]")
    p.add_argument("--alone-batch", type=positive, default=128, metavar="N", help="images a step of these trainings [128]")
    p.add_argument("--work", type=Path, default=Path("runs/ktg-optuna"), metavar="DIR",
                   help="holds STUDY/trials and STUDY/weights; may be shared by machines [runs/ktg-optuna]")
    p.add_argument("--heartbeat", type=positive, default=30, metavar="SECONDS",
                   help="a worker that is silent for three of these is taken for dead [30]")
    p = commands.add_parser("show", parents=[common], help="a study's best graphs")
    p.add_argument("--top", type=positive, default=10, metavar="N", help="rows of the table [10]")
    p.add_argument("--graph", type=Path, metavar="FILE", help="write the best graph as CSV, for distill ktg search --transfer")
    args = parser.parse_args(words[:end])
    args.options = words[end + 1:]
    if args.command == "run":
        args.distill = args.distill.absolute()  # a bare name would be looked for in PATH
    return args


def whole(text, least=0):
    if not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a whole number from {least} on")
    return int(text)


def positive(text):
    return whole(text, 1)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.excepthook = lambda failed: say(f"no heartbeat any more: {reason(failed.exc_value)}")
    args = parse(sys.argv[1:])
    try:
        {"run": run, "show": show}[args.command](args)
        return 0
    except Stop as stop:
        line, code = stop, stop.code
    except OSError as error:
        line, code = f"{error.filename or 'output'}: {error.strerror}", 2
    except KeyboardInterrupt:
        line, code = "interrupted; the trial goes to the study's next worker", 3
    print(f"ktg_optuna: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
