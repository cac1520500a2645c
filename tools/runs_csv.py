#!/usr/bin/env python3
"""A row for every finished run below a folder: what it takes to run it again, and what came out; and back.

    tools/runs_csv.py FOLDER… > runs.csv
    tools/runs_csv.py --unpack runs.csv FOLDER    # a folder for each run: what `distill report` and `compare` read, and a study that
                                                  # goes on on another machine; without weights and curves, which the table has not
"""
import csv
import json
import sys
from pathlib import Path

from ktg_trials import write_graph

RESULT = ("method", "teacher", "student", "seed", "last", "best", "best_epoch", "seconds", "precision", "commit")
CONFIG = ("threads", "epochs", "lr-steps", "batch", "lr", "weight-decay", "nesterov", "normalize", "per-class", "dataset")
OTHERS = "options"  # the rest of them, but for paths
FACTS = ("role", "generation", "start_key", "data_sha256", "train_images", "test_images", "teacher_sha256", "teacher0_sha256",
         "teacher1_sha256", "teacher2_sha256", "init_sha256", "machine")
SITTINGS = ("began_utc", "interrupted", "machines")
LATER = ("id", "graph", "more")  # which older tables have not; more: as JSON, what else the run says of itself
HEADER = ("run", *RESULT, *CONFIG, OTHERS, *FACTS, *SITTINGS, *LATER)
PLACES = ("info.folder", "info.run", "info.commit")  # of the machine, or of result.csv


def sittings(run):
    """When it began, how often it went on, and on which machines, of sessions.csv; empty where a run has none."""
    if not (run / "sessions.csv").exists():
        return ["", "", ""]
    with (run / "sessions.csv").open(newline="") as file:
        all_of_them = list(csv.DictReader(file))
    if not all_of_them:
        return ["", "", ""]
    machines = dict.fromkeys(row["machine"] for row in all_of_them)
    return [all_of_them[0]["began_utc"], len(all_of_them) - 1, "; ".join(machines)]


def others(config):
    return ";".join(f"{name}={value}" for name, value in config.items()
                    if name not in (*CONFIG, *RESULT, "id") and not name.startswith("info.") and value and "/" not in value)


def more(config):
    facts = {name[5:]: value for name, value in config.items()
             if name.startswith("info.") and name[5:] not in FACTS and name not in PLACES}
    return json.dumps(facts) if facts else ""


def graph(run):
    """A graph as a search's journal has it, without its files of weights: resnet8 resnet20 | through linear | cutoff cutoff."""
    if not (run / "graph.csv").exists():
        return ""
    with (run / "graph.csv").open(newline="") as file:
        nodes = list(csv.DictReader(file))
    gates = [" ".join(node[f"gate_{i}"] for i in range(len(nodes))) for node in nodes]
    return " | ".join([" ".join(node["model"] for node in nodes), *gates])


def within_search(run):
    """A trial, or what a search trains for its trials: no result of its own."""
    return any(step.name in ("trials", "pretrained", "teachers") and
               ((step.parent / "journal.csv").exists() or (step.parent / "retrained").is_dir()) for step in run.parents)


def rows(folder):
    for result in sorted(folder.rglob("result.csv")):
        if within_search(result.parent):
            continue
        with result.open(newline="") as file:
            ended = next(csv.DictReader(file))
        with (result.parent / "config.csv").open(newline="") as file:
            config = {row["option"]: row["value"] for row in csv.DictReader(file)}
        yield [result.parent.relative_to(folder), *(ended[name] for name in RESULT), *(config.get(name, "") for name in CONFIG),
               others(config), *(config.get("info." + name, "") for name in FACTS), *sittings(result.parent), ended["id"],
               graph(result.parent), more(config)]


def write(file, header, rows):
    with file.open("w", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([header, *rows])


def unpack(row, run):
    """A run's folder of which rows() makes this row again."""
    options = dict(option.partition("=")[::2] for option in row[OTHERS].split(";") if option)
    networks = () if row["method"] == "ktg" else ("teacher", "student")  # a graph's are in it
    config = [(name, row[name]) for name in ("method", *networks, "seed", "precision", *CONFIG, "id")]
    config += [*options.items(), *(("info." + name, row[name]) for name in FACTS)]
    run.mkdir(parents=True)
    if row["graph"]:
        models, *gates = (part.split() for part in row["graph"].split("|"))
        write_graph(run / "graph.csv", models, gates, [""] * len(models))
        if "graph" not in options:  # a file's: the run has a copy
            config.append(("graph", run / "graph.csv"))
    config = [(name, value) for name, value in config if value]
    config += [("info." + name, value) for name, value in json.loads(row["more"] or "{}").items()]
    write(run / "config.csv", ("option", "value"), config)
    if row["machines"]:
        machines = row["machines"].split("; ")
        write(run / "sessions.csv", ("began_utc", "machine"),
              [(row["began_utc"] if i == 0 else "", machines[min(i, len(machines) - 1)]) for i in range(int(row["interrupted"]) + 1)])
    result = {**row, "device": options.get("device", "")}
    columns = ("id", "dataset", "device", *RESULT)
    write(run / "result.csv", columns, [[result[name] for name in columns]])


def unpack_all(table, folder):
    with table.open(newline="") as file:
        runs = csv.DictReader(file)
        missing = [name for name in HEADER if name not in (*(runs.fieldnames or []), *LATER)]
        if missing:
            print(f"runs_csv: {table}: found no column '{missing[0]}', expected a table that this program wrote", file=sys.stderr)
            return 2
        for row in runs:
            if not (folder / row["run"]).exists():
                unpack({**dict.fromkeys(LATER, ""), **row}, folder / row["run"])
    return 0


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--unpack" and Path(sys.argv[2]).is_file():
        return unpack_all(Path(sys.argv[2]), Path(sys.argv[3]))
    folders = [Path(name) for name in sys.argv[1:]]
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if not folders or missing:
        print(f"runs_csv: {', '.join(missing) or 'no folder named'}: expected folders with run folders below, or --unpack TABLE FOLDER",
              file=sys.stderr)
        return 2
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(HEADER)
    for folder in folders:
        table.writerows(rows(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
