"""Whole training runs against the step alone, idle and beside other programs.

    cargo build --release -p ssdlite-cli
    python benchmarks/training_runs.py DATA --ssdlite target/release/ssdlite

DATA is a folder of labelled photos. In each round every binary takes the step alone
(`bench train`, on images in memory) and a run of some epochs from random weights, with
nothing else to do, and beside one and two programs that compute all the time, one after
the other. A run's speed is that of its steps, as its results.csv has it: evaluation
and the first epoch, which fills the cache, don't count. The table shows the medians over
the rounds in images a second. With `--before BINARY` an older ssdlite takes its turns
too.
"""

import argparse
import csv
import pathlib
import statistics
import subprocess
import tempfile

import machine
from runs import add_binaries, binaries, busy, run_json

BUSY = [0, 1, 2]

# The network, loss and optimizer of `bench train`.
PAPER = ["--head", "ssdlite", "--finest", "16", "--boxes", "paper", "--optimizer", "sgd"]


def step_alone(binary, arguments):
    """Images a second of `bench train`."""
    command = [binary, "bench", "train", "--backbone", arguments.backbone]
    command += ["--size", arguments.size, "--batch", arguments.batch]
    command += ["--classes", arguments.classes + 1, "--steps", 20, "--json"]
    return run_json(command)["images_per_second"]


def whole_run(binary, arguments):
    """Images a second of a run, the median of its epochs but the first."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        command = [binary, "train", arguments.data, "--runs", folder, "--name", "run"]
        command += ["--weights", "none", *PAPER]
        command += ["--backbone", arguments.backbone, "--size", arguments.size]
        command += ["--batch", arguments.batch, "--epochs", arguments.epochs]
        command += ["--seed", 0, "--quiet"]
        words = [str(word) for word in command]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        with open(run / "results.csv", newline="") as file:
            speeds = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return statistics.median(speeds[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder of labelled photos")
    parser.add_argument("--classes", type=int, default=3, help="its classes")
    add_binaries(parser)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    compared = binaries(arguments)
    print(machine.heading(arguments.ssdlite, []))
    speeds = {name: {row: [] for row in ["step", *BUSY]} for name in compared}
    for _ in range(arguments.rounds):
        for name, binary in compared.items():
            speeds[name]["step"].append(step_alone(binary, arguments))
        for programs in BUSY:
            for name, binary in compared.items():
                with busy(programs):
                    speeds[name][programs].append(whole_run(binary, arguments))
    print("| binary | step alone | run | of the step | beside one | of idle | beside two |")
    print("|---|---|---|---|---|---|---|")
    for name, rows in speeds.items():
        step, idle, one, two = (statistics.median(found) for found in rows.values())
        cells = [f"{step:.1f}", f"{idle:.1f}", f"{idle / step:.2f}"]
        cells += [f"{one:.1f}", f"{one / idle:.2f}", f"{two:.1f}"]
        print(f"| {name} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
