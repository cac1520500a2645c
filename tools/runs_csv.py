#!/usr/bin/env python3
"""A row for every finished run below a folder: what it takes to run it again, and what came out; and back.

    tools/runs_csv.py FOLDER… > runs.csv
    tools/runs_csv.py --unpack runs.csv FOLDER    # a folder for each run: what `distill report` and `compare` read, and a study that
                                                  # goes on on another machine; without weights and curves, which the table has not
"""
import csv
import errno
import hashlib
import io
import json
import sys
import random
import shutil
import string
from pathlib import Path

from ktg_trials import Stop, write_graph

RESULT = ("method", "teacher", "student", "seed", "last", "best", "best_epoch", "seconds", "precision", "commit")
CONFIG = ("threads", "epochs", "lr-steps", "batch", "lr", "weight-decay", "nesterov", "normalize", "per-class", "dataset")
OTHERS = "options"  # the rest of them, but for paths
FACTS = ("role", "generation", "start_key", "data_sha256", "train_images", "test_images", "teacher_sha256", "teacher0_sha256",
         "teacher1_sha256", "teacher2_sha256", "init_sha256", "machine")
SITTINGS = ("began_utc", "interrupted", "machines")
LATER = ("id", "graph", "more")  # which older tables have not; more: as JSON, what else the run says of itself
HEADER = ("run", *RESULT, *CONFIG, OTHERS, *FACTS, *SITTINGS, *LATER)
PLACES = ("info.folder", "info.run", "info.commit")  # of the machine, or of result.csv


def read_whole(file, columns):
    """A table's rows; refuses one that lacks a column, or has a row that was cut off."""
    try:
        text = file.read_bytes().decode()
        table = csv.DictReader(io.StringIO(text, newline=""))
        rows, header = list(table), table.fieldnames or []
    except OSError as error:
        raise Stop(f"{file}: {error.strerror}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise Stop(f"{file}: is no table ({error})")
    missing = [name for name in columns if name not in header]
    if missing:
        raise Stop(f"{file}: found no column '{missing[0]}', expected a table that this program wrote")
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values() or (number == len(rows) and not text.endswith("\n")):
            raise Stop(f"{file}: row {number} is torn, expected {len(header)} cells and the end of a line")
    return rows


def sittings(run):
    """When it began, how often it went on, and on which machines, of sessions.csv; empty where a run has none."""
    if not (run / "sessions.csv").exists():
        return ["", "", ""]
    all_of_them = read_whole(run / "sessions.csv", ("began_utc", "machine"))
    if not all_of_them:
        return ["", "", ""]
    machines = dict.fromkeys(row["machine"] for row in all_of_them)
    return [all_of_them[0]["began_utc"], len(all_of_them) - 1, "; ".join(machines)]


def others(config):
    return ";".join(f"{name}={value}" for name, value in config.items()
                    if name not in (*CONFIG, *RESULT, "id") and not name.startswith("info.") and value and "/" not in value)


def frozen_files(run):
    """SHA-256 of a search's frozen nodes' files by node, as info.node<i>_sha256 of other runs, where the files are there."""
    if not (run / "graph.csv").exists():
        return {}
    with (run / "graph.csv").open(newline="") as file:
        files = {i: run / node["weights"] for i, node in enumerate(csv.DictReader(file)) if node.get("weights")}
    return {f"node{i}_sha256": hashlib.sha256(file.read_bytes()).hexdigest() for i, file in files.items() if file.is_file()}


def more(config, run):
    facts = {name[5:]: value for name, value in config.items()
             if name.startswith("info.") and name[5:] not in FACTS and name not in PLACES}
    facts = {**frozen_files(run), **facts}
    return json.dumps(facts) if facts else ""


def graph(run):
    """A graph as a search's journal has it, without its files of weights: resnet8 resnet20 | through linear | cutoff cutoff."""
    if not (run / "graph.csv").exists():
        return ""
    with (run / "graph.csv").open(newline="") as file:
        nodes = list(csv.DictReader(file))
    gates = [" ".join(node[f"gate_{i}"] for i in range(len(nodes))) for node in nodes]
    return " | ".join([" ".join(node["model"] for node in nodes), *gates])


def is_search(folder):
    """A search's or a transfer's folder (as src/report_folders.cpp has it); one that was stopped early says so in config.csv alone."""
    if (folder / "journal.csv").exists() or (folder / "retrained").exists():
        return True
    try:
        rows = read_whole(folder / "config.csv", ("option", "value"))
    except Stop:
        return False
    return any(row["option"] == "method" and row["value"] in ("ktg-search", "ktg-transfer") for row in rows)


def within_search(run):
    """A trial, or what a search trains for its trials: no result of its own. Nor is what one has retrained so far that has not ended: a table
    of that would look like a whole one."""
    def ended(folder):
        return (folder / "search.csv").exists() or not (folder / "config.csv").exists()  # or unpacked, of a table
    return any(step.name in ("trials", "pretrained", "teachers", "probe") and is_search(step.parent)
               or step.name == "retrained" and not ended(step.parent) for step in run.parents)


def rows(folder):
    for result in sorted(folder.rglob("result.csv")):
        if within_search(result.parent) or any(PARTIAL in name for name in result.relative_to(folder).parts):
            continue
        ends = read_whole(result, ("id", *RESULT))
        if len(ends) != 1:
            raise Stop(f"{result}: found {len(ends)} rows, expected 1; move the run away, or train it again")
        ended = ends[0]
        config = {row["option"]: row["value"] for row in read_whole(result.parent / "config.csv", ("option", "value"))}
        yield [result.parent.relative_to(folder), *(ended[name] for name in RESULT), *(config.get(name, "") for name in CONFIG),
               others(config), *(config.get("info." + name, "") for name in FACTS), *sittings(result.parent), ended["id"],
               graph(result.parent), more(config, result.parent)]


def write(file, header, rows):
    with file.open("w", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([header, *rows])


PARTIAL = ".partial-"  # as the program calls what is in the making, and reads by


def own_folder(run):
    """A new folder beside the run, named as one in the making is."""
    while True:
        drawn = "".join(random.choices(string.ascii_letters, k=6))
        folder = run.with_name(f".{run.name}{PARTIAL}{drawn}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            pass


def unpack(row, run):
    """A run's folder of which rows() makes this row again; whole or not at all, and whoever else unpacks the same table."""
    options = dict(option.partition("=")[::2] for option in row[OTHERS].split(";") if option)
    networks = () if row["method"] == "ktg" else ("teacher", "student")  # a graph's are in it
    config = [(name, row[name]) for name in ("method", *networks, "seed", "precision", *CONFIG, "id")]
    config += [*options.items(), *(("info." + name, row[name]) for name in FACTS)]
    run.parent.mkdir(parents=True, exist_ok=True)
    part = own_folder(run)
    try:
        if row["graph"]:
            models, *gates = (names.split() for names in row["graph"].split("|"))
            write_graph(part / "graph.csv", models, gates, [""] * len(models))
            if "graph" not in options:  # a file's: the run has a copy
                config.append(("graph", run / "graph.csv"))
        config = [(name, value) for name, value in config if value]
        config += [("info." + name, value) for name, value in json.loads(row["more"] or "{}").items()]
        write(part / "config.csv", ("option", "value"), config)
        if row["machines"]:
            machines = row["machines"].split("; ")
            write(part / "sessions.csv", ("began_utc", "machine"),
                  [(row["began_utc"] if i == 0 else "", machines[min(i, len(machines) - 1)]) for i in range(int(row["interrupted"]) + 1)])
        result = {**row, "device": options.get("device", "")}
        columns = ("id", "dataset", "device", *RESULT)
        write(part / "result.csv", columns, [[result[name] for name in columns]])
        part.rename(run)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another was quicker: what is there stays
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def refuse_doubles(runs, where):
    """Two runs of one name would be one folder."""
    double = next((run for i, run in enumerate(runs) if run in runs[:i]), None)
    if double:
        raise Stop(f"{where}: found two runs {double}, expected each name once")


def unpack_all(table, folder):
    runs = read_whole(table, [name for name in HEADER if name not in LATER])
    refuse_doubles([row["run"] for row in runs], table)
    for row in runs:
        run = folder / row["run"]
        try:
            if not run.exists():
                unpack({**dict.fromkeys(LATER, ""), **row}, run)
        except OSError as error:
            raise Stop(f"{run}: cannot be written ({error.strerror}); name another folder",
                       1 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else 2)


def pack(folders):
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if not folders or missing:
        raise Stop(f"{', '.join(missing) or 'no folder named'}: expected folders with run folders below, or --unpack TABLE FOLDER")
    runs = [row for folder in folders for row in rows(folder)]
    refuse_doubles([row[0] for row in runs], ", ".join(map(str, folders)))
    csv.writer(sys.stdout, lineterminator="\n").writerows([HEADER, *runs])


def main():
    try:
        if len(sys.argv) == 4 and sys.argv[1] == "--unpack" and Path(sys.argv[2]).is_file():
            unpack_all(Path(sys.argv[2]), Path(sys.argv[3]))
        else:
            pack([Path(name) for name in sys.argv[1:]])
        return 0
    except Stop as stop:
        print(f"runs_csv: {stop}", file=sys.stderr)
        return stop.code


if __name__ == "__main__":
    sys.exit(main())
