"""The search over several workers (tools/ktg_optuna.py): real trainings, a real PostgreSQL server of its own in a temporary folder.

    test_ktg_optuna.py [--distill ./distill] [names of tests, as unittest takes them]

`make test-optuna` calls this. Skipped, with the reason, where Optuna, a driver, the program or PostgreSQL's server is missing.
"""
import argparse
import csv
import fcntl
import glob
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
DRIVER = HERE.parent / "tools" / "ktg_optuna.py"
sys.path.insert(0, str(DRIVER.parent))
from ktg_optuna import parse, tables_complaint, with_driver  # noqa: E402
from ktg_trials import START_KEY, draw, layout, records_left, training_of  # noqa: E402
HEARTBEAT = 2  # seconds; a worker is taken for dead after three of these
EPOCHS = 4
SETTINGS = {"nodes": 2, "target": "resnet8a"}  # of all studies here


class Server:
    """A PostgreSQL server on a Unix socket, gone with its folder."""

    def __init__(self, folder):
        places = [os.path.dirname(shutil.which("initdb") or ""), *sorted(glob.glob("/usr/lib/postgresql/*/bin"))]  # Debian's place
        self.programs = next((Path(p) for p in reversed(places) if p and (Path(p) / "initdb").exists()), None)
        if not self.programs:
            raise unittest.SkipTest("no PostgreSQL server here (initdb): apt install postgresql")
        self.folder, self.user = folder / "server", None
        self.folder.mkdir()
        if os.geteuid() == 0:  # which the server refuses to be
            self.user = next(u for u in pwd.getpwall() if u.pw_name in ("postgres", "nobody"))
            folder.chmod(0o755)
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.call("initdb", "-D", self.folder / "data", "-A", "trust", "-U", "tester", "--no-sync")
        self.call("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "-o",
                  f"-k {self.folder} -c listen_addresses='' -c fsync=off", "start")
        self.url = f"postgresql://tester@/postgres?host={self.folder}"

    def call(self, program, *words):
        who = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        # pg_ctl's server inherits the output: a file, not a pipe, whose end would be the server's.
        with open(self.folder.parent / "server.txt", "a+") as output:
            done = subprocess.run([str(self.programs / program), *map(str, words)], stdout=output, stderr=output, cwd="/", **who)
            if done.returncode:
                output.seek(0)
                raise RuntimeError(f"{program}: {output.read()}")

    def stop(self):
        self.call("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")


def setUpModule():
    try:
        import optuna
        import sqlalchemy
        sqlalchemy.create_engine(with_driver("postgresql://"))
    except ImportError as error:
        raise unittest.SkipTest(f"{error} ({sys.executable}; for another Python: make test-optuna PYTHON=…)")
    if not DISTILL.exists():
        raise unittest.SkipTest(f"{DISTILL} is not built")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="ktg-optuna-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    server = Server(folder)
    unittest.addModuleCleanup(server.stop)
    subprocess.run([str(DISTILL), "data", "synth", "--data", str(folder / "data"), "--dataset", "toy", "--classes", "4", "--size", "16",
                    "--train", "1000", "--test", "40"], check=True, stdout=subprocess.DEVNULL)
    globals().update(FOLDER=folder, SERVER=server)


class Driver:
    """ktg_optuna.py at work."""

    def __init__(self, command, study, *words):
        file, self.output = tempfile.mkstemp(dir=FOLDER)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        self.process = subprocess.Popen(
            [sys.executable, str(DRIVER), command, "--storage", SERVER.url, "--study", study, *map(str, words)],
            stdout=file, stderr=file, env=environment, cwd=FOLDER)
        os.close(file)
        unittest.addModuleCleanup(self.process.wait)
        unittest.addModuleCleanup(self.process.kill)

    def wait(self):
        """Exit code, and all that it printed."""
        return self.process.wait(120), Path(self.output).read_text()


def worker(study, *words, **options):
    settings = {"distill": DISTILL, "data": FOLDER / "data", "dataset": "toy", "work": FOLDER / "work", "heartbeat": HEARTBEAT,
                "epochs": EPOCHS, "batch": 32, "alone_batch": 32, "weights_epochs": 1, "nodes": 2, "target": "resnet8a",
                "models": "resnet8a,resnet14a", "trials": 6, **options}
    flags = [word for name, value in settings.items() if value is not None for word in ("--" + name.replace("_", "-"), value)]
    return Driver("run", study, *flags, *words)


def trials(study):
    import optuna
    try:
        return optuna.load_study(study_name=study, storage=with_driver(SERVER.url)).trials
    except KeyError:
        return []


def under_way(trial, driver, after=1):
    mine = trial.user_attrs.get("worker", "").endswith(f":{driver.process.pid}")
    return mine and trial.state.name == "RUNNING" and after <= len(trial.intermediate_values) < EPOCHS


def eventually(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what.__doc__ or what}")
        time.sleep(0.1)


def hold_in_the_middle(study, workers, after=1):
    """Stops the first worker that has a trial with so many epochs behind it and one before it -> worker and trial."""
    found = []

    def one_held():
        """a worker held in the middle of a trial"""
        for w in workers:
            if not found and any(under_way(t, w, after) for t in trials(study)):
                w.process.send_signal(signal.SIGSTOP)
                found.extend((w, t) for t in trials(study) if under_way(t, w, after))
                if not found:
                    w.process.send_signal(signal.SIGCONT)
        return found

    eventually(one_held)
    return found[0]


def trainings_of(study):
    """Processes of the program that train in this study's folder."""
    found = []
    for entry in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = Path(entry).read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "ktg" in words and any(str(FOLDER / "work" / study) in word for word in words):
            found.append(entry)
    return found


class Draws(unittest.TestCase):
    def test_are_the_built_in_search_s(self):
        """SearchSpace::random (src/search_space.cpp) of these seeds and trials."""
        for seed, trial, expected in (
                (0, 0, "resnet8 resnet14 wrn-10-1 | correct linear linear | correct correct correct | through correct linear"),
                (5, 17, "resnet8 wrn-10-1 wrn-10-1 | correct through through | through through correct | through cutoff linear"),
                (2**64 - 1, 123456, "resnet8 wrn-10-1 resnet8 | correct cutoff correct | correct linear through | correct correct linear")):
            settings = {"seed": seed, "nodes": 3, "target": "resnet8", "models": ["resnet8", "resnet14", "wrn-10-1"]}
            models, gates = layout(settings, draw(settings, trial))
            self.assertEqual(" | ".join(" ".join(words) for words in [models, *gates]), expected)


class StartKey(unittest.TestCase):
    def test_is_the_program_s(self):
        philox = (HERE.parent / "include" / "core_philox.h").read_text()
        self.assertIn(f"constexpr int start_key_version = {START_KEY};", philox)


class Words(unittest.TestCase):
    def test_the_program_s_name_is_a_path_from_here(self):
        words = ["run", "--storage", "postgresql://a@b/c", "--study", "s", "--dataset", "toy"]
        for named, found in ((["--distill", "distill"], Path.cwd() / "distill"), (["--distill", "a/distill"], Path.cwd() / "a" / "distill"),
                             (["--distill", "/a/distill"], Path("/a/distill")), ([], DRIVER.parents[1] / "distill")):
            self.assertEqual(parse(words + named).distill, found, named)

    def test_older_tables_name_the_whole_command_that_upgrades_them(self):
        for said, expected in (("The runtime optuna version 5.0.0 is no longer compatible.\nTry `optuna storage upgrade`.",
                                "Try `optuna storage upgrade`.; here that is: optuna storage upgrade --storage 'postgresql+psycopg://a:***@b/c d'"),
                               ("The tables are newer.\nUse a newer Optuna.", "Use a newer Optuna.")):
            self.assertEqual(tables_complaint(RuntimeError(said), "postgresql+psycopg://a:***@b/c d"), expected)


class HeldOut(unittest.TestCase):
    def test_is_counted_from_what_per_class_leaves(self):
        data = {"records_train": "505", "train_0_few": "5", "train_1": "500", "test_1": "9"}
        for options, expected in (("", 505), ("--lr 1", 505), ("--per-class 0", 505), ("--per-class 20", 25), ("--lr 1 --per-class=20", 25),
                                  ("--per-class 20 --per-class=4", 8), ("--per-class few", 505), ("--per-class", 505)):
            self.assertEqual(records_left(data, options.split()), expected, options)


class TeachersLock(unittest.TestCase):
    def test_is_held_as_long_as_the_training_of_a_killed_worker(self):
        folder, program = FOLDER / "lock", FOLDER / "slow"
        program.write_text("#!/bin/sh\ntrap '' INT\nexec sleep 60\n")  # as one that is at its checkpoint
        program.chmod(0o755)
        code = textwrap.dedent(f'''
            import argparse, sys
            from pathlib import Path
            sys.path.insert(0, {str(DRIVER.parent)!r})
            from ktg_trials import Trainings
            settings = {{"weights_epochs": 1, "alone_batch": 32, "held_out": 1}}
            args = argparse.Namespace(work=Path({str(folder)!r}), study="s", weights=None, distill={str(program)!r}, data=Path("/"),
                                      dataset="toy", seed=0, options=[])
            Trainings(settings, args).weights("resnet8a")''')
        first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
        unittest.addModuleCleanup(first.wait)
        place = folder / "s" / "weights" / "resnet8a"

        def training():
            """the training of a killed worker"""
            words = [b"sleep", b"60"]
            return [entry for entry in glob.glob("/proc/[0-9]*/cmdline") if Path(entry).exists()
                    and Path(entry).read_bytes().split(b"\0")[:2] == words and os.readlink(f"{entry[:-7]}fd/1") == str(place / "output.txt")]

        eventually(training)
        first.kill()
        first.wait()
        with open(place / "lock") as lock:
            with self.assertRaises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.kill(int(training()[0].split("/")[2]), signal.SIGKILL)
            eventually(lambda: not training())
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Search(unittest.TestCase):
    def check_study(self, study, number):
        """Every graph was tried to its end once, and every trial's state tells what happened to it."""
        final = {}
        all_trials = trials(study)
        for t in all_trials:
            gates = [t.params[f"gate_0_{s}"] for s in range(2)]
            reported = len(t.intermediate_values)
            with self.subTest(trial=t.number, state=t.state.name):
                self.assertTrue(t.state.is_finished())
                if t.state.name == "COMPLETE":
                    self.assertEqual(sorted(t.intermediate_values), list(range(1, EPOCHS + 1)))
                    self.assertEqual(t.value, t.intermediate_values[EPOCHS])
                if t.state.name == "PRUNED":
                    self.assertEqual("rejected" in t.user_attrs, gates == ["cutoff", "cutoff"])
                    untrained = "rejected" in t.user_attrs or "repeated" in t.user_attrs
                    self.assertIn(reported, (0,) if untrained else (1, 2))
                if "repeated" in t.user_attrs:
                    first = all_trials[t.user_attrs["repeated"]]
                    self.assertLess(first.number, t.number)
                    self.assertEqual(*(training_of(*layout(SETTINGS, trial.params)) for trial in (first, t)))
                if t.state.name != "FAIL" or "reason" in t.user_attrs:
                    self.assertNotIn(t.user_attrs["graph"], final)
                    final[t.user_attrs["graph"]] = t
                else:
                    again = [u for u in all_trials if u.system_attrs.get("retry_history", [])[-1:] == [t.number]
                             and u.params == t.params and u.user_attrs["graph"] == t.user_attrs["graph"]]
                    self.assertEqual(len(again), 1)
        self.assertEqual(sorted(final), list(range(number)))
        return final

    def test_a_killed_worker_costs_one_trial_which_another_takes_up(self):
        workers = [worker("killed"), worker("killed")]
        first, victim = hold_in_the_middle("killed", workers)
        first.process.kill()
        second = workers[1 - workers.index(first)]
        code, output = second.wait()
        self.assertEqual(code, 0, output)
        self.assertIn("all 6 trials are done", output)
        final = self.check_study("killed", 6)
        self.assertEqual(trials("killed")[victim.number].state.name, "FAIL")
        heir = final[victim.user_attrs["graph"]]
        self.assertGreater(heir.number, victim.number)
        self.assertTrue(heir.user_attrs["worker"].endswith(f":{second.process.pid}"))
        for epoch, error in victim.intermediate_values.items():  # the same training, gone on with
            self.assertEqual(heir.intermediate_values[epoch], error)
        self.assertEqual(trainings_of("killed"), [])
        self.assertNotIn("starts anew", output)

        code, output = Driver("show", "killed", "--graph", FOLDER / "best.csv").wait()
        self.assertEqual(code, 0, output)
        self.assertIn("1 retried", output)
        code, output_of_none = Driver("show", "killed", "--graph", FOLDER / "no" / "best.csv").wait()
        self.assertEqual(code, 2, output_of_none)
        self.assertEqual(output_of_none.splitlines()[-1], f"ktg_optuna: {FOLDER}/no/best.csv: No such file or directory")
        best = min((t for t in final.values() if t.state.name == "COMPLETE"), key=lambda t: (t.value, t.number))
        self.assertRegex(output, rf"(?m)^ +{best.number} +{best.value:.2f}  resnet8a: ")
        with open(FOLDER / "best.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([[r["gate_0"], r["gate_1"]] for r in rows], [[best.params[f"gate_{t}_{s}"] for s in (0, 1)] for t in (0, 1)])
        self.assertEqual([r["weights"] for r in rows], ["", ""])
        advice = shlex.split(output.splitlines()[-1])
        self.assertEqual(advice[:4], ["distill", "ktg", "search", "--transfer"])
        subprocess.run([str(DISTILL), *advice[1:], "--data", str(FOLDER / "data"), "--retrain-seeds", "1", "--quiet", "--run",
                        str(FOLDER / "best")], check=True, stdout=subprocess.DEVNULL)
        self.assertTrue((FOLDER / "best" / "retrained" / "transferred" / "s0" / "result.csv").exists())

    def test_an_interrupted_worker_gives_its_trial_back_at_once(self):
        shutil.copytree(FOLDER / "data", FOLDER / "here")
        first = worker("interrupted", trials=2, data=FOLDER / "here")
        hold_in_the_middle("interrupted", [first])
        first.process.send_signal(signal.SIGINT)
        first.process.send_signal(signal.SIGCONT)
        code, output = first.wait()
        self.assertEqual(code, 3, output)
        self.assertEqual([t.state.name for t in trials("interrupted")][-1], "WAITING")
        self.assertEqual(trainings_of("interrupted"), [])
        (FOLDER / "here").rename(FOLDER / "there")  # as on another machine
        code, output = worker("interrupted", trials=2, data=FOLDER / "there").wait()
        self.assertEqual(code, 0, output)
        self.assertNotIn("starts anew", output)
        self.check_study("interrupted", 2)

    def test_a_graph_is_handed_on_whatever_ended_its_worker_but_given_up_where_several_died(self):
        import optuna
        retry = getattr(optuna.storages, "RetryHeartbeatStaleTrialCallback", optuna.storages.RetryFailedTrialCallback)()
        for study, deaths in (("handed-on", 1), ("deadly", 4)):
            first = worker(study, trials=1)
            hold_in_the_middle(study, [first])
            first.process.send_signal(signal.SIGINT)
            first.process.send_signal(signal.SIGCONT)
            self.assertEqual(first.wait()[0], 3)
            opened = optuna.load_study(study_name=study, storage=with_driver(SERVER.url))
            for death in range(deaths):  # at the last one Optuna has said so, and nobody has asked for an heir
                number = opened.ask().number
                opened.tell(number, state=optuna.trial.TrialState.FAIL)
                if death + 1 < deaths:
                    retry(opened, opened.trials[number])
            code, output = worker(study, trials=1).wait()
            self.assertEqual(code, 0, output)
            self.assertNotIn("starts anew", output)
            final = self.check_study(study, 1)[0]
            self.assertEqual(final.user_attrs.get("reason"), {1: None, 4: "4 workers died in it"}[deaths])

    def test_a_fifth_of_what_per_class_leaves_is_held_out(self):
        code, output = worker("few", "--", "--per-class", "40", trials=1).wait()
        self.assertEqual(code, 0, output)
        self.assertIn("held_out         32\n", Driver("show", "few").wait()[1])

    def test_a_worker_out_of_reach_loses_its_trial_and_goes_on(self):
        first = worker("away", trials=3)
        hold_in_the_middle("away", [first])
        time.sleep(3 * HEARTBEAT + 2)
        second = worker("away", trials=3)
        eventually(lambda: any(t.state.name == "FAIL" for t in trials("away")))
        first.process.send_signal(signal.SIGCONT)
        for code, output in (first.wait(), second.wait()):
            self.assertEqual(code, 0, output)
        self.check_study("away", 3)

    def test_a_training_that_fails_is_recorded_and_the_study_goes_on(self):
        code, output = worker("failing", "--", "--lr", "1e30", trials=3).wait()
        self.assertEqual(code, 0, output)
        for t in self.check_study("failing", 3).values():
            self.assertEqual(t.state.name, "FAIL")
            self.assertIn("try a smaller --lr", t.user_attrs["reason"])

    def test_a_network_for_frozen_nodes_that_fails_ends_the_worker_not_each_graph(self):
        code, output = worker("unteachable", "--", "--lr", "1e30", trials=4).wait()  # the fourth graph has resnet14a frozen
        self.assertEqual(code, 1, output)
        self.assertRegex(output.splitlines()[-1], "^ktg_optuna: resnet14a, trained alone for frozen nodes: .*try a smaller --lr")
        self.assertEqual([t.state.name for t in trials("unteachable")][-2:], ["FAIL", "WAITING"])
        self.assertNotIn("reason", trials("unteachable")[-2].user_attrs)

    def test_a_training_that_crashes_is_given_back_once_and_recorded_then(self):
        program = FOLDER / "crashing"
        for study, crash, why in (("killed-training", "kill -KILL $$", "ended by signal 9"),
                                  ("broken-gpu", "echo 'distill: CUDA: out of memory' >&2; exit 1", "CUDA: out of memory")):
            program.write_text(f'#!/bin/sh\n[ "$1 $2" = "ktg train" ] || exec "{DISTILL}" "$@"\n{crash}\n')
            program.chmod(0o755)
            code, output = worker(study, distill=program, trials=1).wait()
            self.assertEqual(code, 1, output)
            self.assertRegex(output.splitlines()[-1], f"^ktg_optuna: trial 0, given back: .*{why}")
            self.assertEqual([t.state.name for t in trials(study)], ["FAIL", "WAITING"])
            code, output = worker(study, distill=program, trials=1).wait()
            self.assertEqual(code, 0, output)
            self.assertRegex(self.check_study(study, 1)[0].user_attrs["reason"], f"^crashed 2 times; last: .*{why}")

    def test_a_worker_without_its_program_gives_its_trial_back_and_ends(self):
        program = FOLDER / "vanishing"
        program.write_text(f'#!/bin/sh\n[ "$1 $2" = "ktg train" ] && rm -f "$0"\nexec "{DISTILL}" "$@"\n')
        program.chmod(0o755)
        code, output = worker("vanished", distill=program, trials=4).wait()
        self.assertEqual(code, 1, output)
        self.assertRegex(output.strip().splitlines()[-1], r"trial \d+, given back: .*vanishing: No such file or directory")
        self.assertEqual([t.state.name for t in trials("vanished")][-2:], ["FAIL", "WAITING"])
        code, output = worker("vanished", trials=4).wait()
        self.assertEqual(code, 0, output)
        self.check_study("vanished", 4)

    def test_what_nobody_foresaw_is_the_trial_s_reason_and_ends_the_worker(self):
        program = FOLDER / "tearing"
        program.write_text(textwrap.dedent(f'''
            #!/bin/sh
            [ "$1 $2" = "ktg train" ] || exec "{DISTILL}" "$@"
            while [ "$1" != --run ]; do shift; done
            mkdir -p "$2" && printf 'epoch,test_acc\\n1,\\377\\n' > "$2/epochs.csv"
            ''').lstrip())
        program.chmod(0o755)
        code, output = worker("torn", distill=program, trials=4).wait()
        self.assertEqual(code, 1, output)
        self.assertRegex(output.strip().splitlines()[-1], r"^ktg_optuna: trial \d+ failed: ValueError: could not convert string to float")
        self.assertEqual([t.state.name for t in trials("torn")][-1], "FAIL")
        shutil.rmtree(FOLDER / "work" / "torn" / "weights", ignore_errors=True)
        code, output = worker("torn", trials=4).wait()
        self.assertEqual(code, 0, output)
        self.check_study("torn", 4)
        self.assertRegex(Driver("show", "torn").wait()[1], r"trial \d+ failed: ValueError: could not")

    def test_samples_are_tried_in_order(self):
        """A folder of graphs, and a built-in search's journal with the same ones."""
        folder, journal = FOLDER / "samples", FOLDER / "journal.csv"
        folder.mkdir()
        graphs = [("through cutoff", "through through"), ("cutoff cutoff", "through through"), ("linear correct", "cutoff cutoff")]
        lines = ["trial,event,epoch,error,detail", "0,study,0,,nodes=2"]
        for i, (target, other) in enumerate(graphs):
            rows = ["node,model,weights,gate_0,gate_1", f"1,resnet8a,,{other.replace(' ', ',')}", f"0,resnet8a,,{target.replace(' ', ',')}"]
            (folder / f"{i}.csv").write_text("\n".join(rows) + "\n")
            event, ending = ("rejected", " (the target is frozen)") if i == 1 else ("started", "")
            lines += [f"{i},{event},0,,resnet8a resnet8a | {target} | {other}{ending}", f"{i},running,1,50,"]
        journal.write_text("\n".join(lines) + "\n9,started")  # a kill cut the last row off
        values = {}
        for source in (folder, journal):
            study = f"from-{source.stem}"
            code, output = worker(study, samples=source, nodes=None, target=None, models=None, trials=None).wait()
            self.assertEqual(code, 0, output)
            final = self.check_study(study, 3)
            self.assertEqual([tuple(" ".join(final[g].params[f"gate_{t}_{s}"] for s in (0, 1)) for t in (0, 1)) for g in range(3)], graphs)
            self.assertIn("rejected", final[1].user_attrs)
            self.assertTrue((FOLDER / "work" / study / "weights" / "resnet8a" / "run" / "student.safetensors").exists())
            values[study] = [final[g].intermediate_values for g in range(3)]
        self.assertEqual(*values.values())

    def test_agrees_with_the_built_in_search(self):
        """One job, one worker at a time, the same seed: the same graphs, errors and decisions, though a worker was interrupted."""
        run = FOLDER / "built-in"
        words = ["--data", FOLDER / "data", "--dataset", "toy", "--nodes", 2, "--target", "resnet8a", "--models", "resnet8a,resnet14a",
                 "--trials", 8, "--epochs", EPOCHS, "--batch", 32, "--alone-batch", 32, "--jobs", 1, "--retrain-seeds", 1, "--quiet",
                 "--seed", 25]  # by which a frozen node teaches the target
        search = subprocess.Popen([str(DISTILL), "ktg", "search", "--run", str(run), *map(str, words)], stdout=subprocess.DEVNULL,
                                  env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"})
        unittest.addModuleCleanup(search.wait)
        unittest.addModuleCleanup(search.kill)
        first = worker("agreement", trials=8, weights_epochs=None, seed=25)
        hold_in_the_middle("agreement", [first], after=2)
        first.process.send_signal(signal.SIGINT)
        first.process.send_signal(signal.SIGCONT)
        self.assertEqual(first.wait()[0], 3)
        code, output = worker("agreement", trials=8, weights_epochs=None, seed=25).wait()
        self.assertEqual(code, 0, output)
        ends = {"stopped": "PRUNED", "complete": "COMPLETE", "rejected": "PRUNED", "repeated": "PRUNED", "failed": "FAIL"}

        def journal():
            with open(run / "journal.csv", newline="") as file:
                return [row for row in csv.DictReader(file) if row["event"] != "study"]

        eventually(lambda: len([row for row in journal() if row["event"] in ends]) == 8)
        final = self.check_study("agreement", 8)
        self.assertTrue(any(t.params["gate_1_0"] == t.params["gate_1_1"] == "cutoff" != t.params["gate_0_1"] for t in final.values()))
        self.assertLessEqual({"running", "stopped", "complete", "rejected"}, {row["event"] for row in journal()})
        for row in journal():
            trial = final[int(row["trial"])]
            with self.subTest(trial=trial.number, event=row["event"]):
                if row["event"] in ends:
                    self.assertEqual(trial.state.name, ends[row["event"]])
                    self.assertEqual(max(trial.intermediate_values, default=0), int(row["epoch"]))
                if row["error"]:
                    self.assertEqual(trial.intermediate_values[int(row["epoch"])], float(row["error"]))

    def test_what_is_wrong_is_said_in_one_line(self):
        first = worker("strict", trials=1)
        self.assertEqual(first.wait()[0], 0)
        server = SERVER.url
        for driver, expected in (
                (worker("strict", trials=1, epochs=5), "--study strict: exists, made with epochs 4 there, 5 here"),
                (worker("x", distill=FOLDER / "nothing"), "nothing: No such file or directory"),
                (worker("x", target="resnet9a"), "resnet9a"),
                (worker("x", dataset="none"), "none"),
                (worker("x", nodes=None), "--nodes: missing"),
                (worker("x", samples=FOLDER / "nowhere"), "nowhere: No such file"),
                (worker("x", samples=FOLDER / "work"), "work: no graphs"),
                (worker("x", weights=FOLDER), "resnet8a.safetensors: No such file"),
                (worker("y", "--", "--no-such-option"), "--no-such-option"),
                (Driver("show", "nowhere"), "no such study of this program; there are: "),
                (worker("x", work="/proc/nowhere"), "/proc/nowhere: No such file or directory"),
                (worker("x", storage=server + "/gone"), "no connection to the study's database"),
                (worker("x", storage="sqlite:///x"), "expected a PostgreSQL address")):
            code, output = driver.wait()
            with self.subTest(expected=expected):
                self.assertEqual(code, 2, output)
                self.assertEqual(len(output.strip().splitlines()), 1, output)
                self.assertIn(expected, output)
        self.assertEqual([t.state.name for t in trials("y")], ["FAIL", "WAITING"])  # given back


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--distill", type=Path, default=HERE.parent / "distill", help="the program")
    known, rest = parser.parse_known_args()
    DISTILL = known.distill.resolve()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
