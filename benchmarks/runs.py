"""How the benchmarks run and time things."""

import contextlib
import json
import statistics
import subprocess
import sys
import time

WARM_UP_RUNS = 5


def median_ms(run, runs):
    """The median time of a call in milliseconds, after some that don't count."""
    for _ in range(WARM_UP_RUNS):
        run()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def run_json(command):
    """The last line that a command prints, as JSON."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def add_binaries(parser):
    """The options that name ssdlite and, if wanted, an older one to compare it with."""
    parser.add_argument("--ssdlite", default="target/release/ssdlite", help="the binary")
    parser.add_argument("--before", help="a binary of an older ssdlite")


def binaries(arguments):
    """The binaries that were named, by what they are called in tables."""
    given = {"ssdlite": arguments.ssdlite, "before": arguments.before}
    return {name: binary for name, binary in given.items() if binary}


@contextlib.contextmanager
def busy(programs):
    """So many programs that compute all the time, until the end of the block."""
    command = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command) for _ in range(programs)]
    try:
        yield
    finally:
        for program in running:
            program.kill()
            program.wait()
