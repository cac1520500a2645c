#!/usr/bin/env python3
"""Writes halving.csv beside it: what Optuna's SuccessiveHalvingPruner decides, for distill's own successive halving to reproduce.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install optuna && /tmp/venv/bin/python tests/golden/make_halving_fixtures.py

Each study has `jobs` trials under way at a time, advanced in a random order, as asynchronous workers would. A row is one report in the
order of arrival: study,trial,epoch,value,goes_on. An empty value is NaN. Three kinds of study: smooth values, values on a coarse grid
(ties at every rung), and both with NaN reports and with trials that fail after a report (what they reported goes on counting).
Settings as in docs/papers.md §2.8: minimum resource 1, reduction factor 2, minimum early-stopping rate 0, smaller is better.
"""
import csv
import math
import pathlib
import random

import optuna

EPOCHS = 16
optuna.logging.set_verbosity(optuna.logging.ERROR)


def simulate(name, trials, jobs, digits, troubles, seed, rows):
    rng = random.Random(seed)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2, min_early_stopping_rate=0)
    study = optuna.create_study(direction="minimize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=seed))
    running, started = [], 0
    while running or started < trials:
        while len(running) < jobs and started < trials:
            running.append([study.ask(), 0, rng.random()])
            started += 1
        slot = rng.choice(running)
        trial, epoch, quality = slot[0], slot[1] + 1, slot[2]
        slot[1] = epoch
        value = round(100 * quality / math.sqrt(epoch) + rng.random(), digits)
        if troubles and rng.random() < 0.08:
            value = float("nan")
        trial.report(value, epoch)
        goes_on = not trial.should_prune()
        rows.append([name, trial.number, epoch, "" if math.isnan(value) else repr(value), int(goes_on)])
        failed = troubles and goes_on and rng.random() < 0.05
        if not goes_on:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        elif failed:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif epoch == EPOCHS:
            study.tell(trial, value, skip_if_finished=True)
        if not goes_on or failed or epoch == EPOCHS:
            running.remove(slot)


def main():
    rows = []
    simulate("one at a time", 40, 1, 6, False, 1, rows)
    simulate("four jobs", 60, 4, 6, False, 2, rows)
    simulate("ties", 60, 4, -1, False, 3, rows)
    simulate("troubles", 60, 5, 6, True, 4, rows)
    simulate("ties and troubles", 60, 3, -1, True, 5, rows)
    with open(pathlib.Path(__file__).with_name("halving.csv"), "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["study", "trial", "epoch", "value", "goes_on"])
        out.writerows(rows)
    print(f"halving.csv: {len(rows)} reports, {sum(not r[4] for r in rows)} stopped, Optuna {optuna.__version__}")


main()
