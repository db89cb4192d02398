"""Processor time and wall time of `ssdlite detect MODEL PHOTO --json`.

    python benchmarks/large_photo.py MODEL PHOTO... --ssdlite target/release/ssdlite

The whole command counts, from the start of the process to its end, user and system time
of all its threads; milliseconds, medians over the rounds. With `--before BINARY` an older
ssdlite takes turns with it.
"""

import argparse
import os
import resource
import statistics
import subprocess
import time

import machine
from runs import add_binaries, binaries


def command_times(command):
    """Processor and wall time of a command in milliseconds."""
    children = lambda: resource.getrusage(resource.RUSAGE_CHILDREN)
    start, before = time.perf_counter(), children()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    end, after = time.perf_counter(), children()
    user = after.ru_utime - before.ru_utime
    system = after.ru_stime - before.ru_stime
    return 1e3 * (user + system), 1e3 * (end - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("photos", nargs="+")
    add_binaries(parser)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    programs = binaries(arguments)
    print(machine.heading(arguments.ssdlite, []))
    print("| photo | binary | processor, ms | wall, ms |")
    print("|---|---|---|---|")
    for photo in arguments.photos:
        times = {name: [] for name in programs}
        for _ in range(arguments.rounds):
            for name, binary in programs.items():
                command = [binary, "detect", arguments.model, photo, "--json"]
                times[name].append(command_times(command))
        for name, found in times.items():
            cells = [f"{statistics.median(column):.1f}" for column in zip(*found)]
            print(f"| {os.path.basename(photo)} | {name} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
