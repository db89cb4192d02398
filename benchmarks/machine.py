"""What the benchmarks say of the machine and the programs that they ran."""

import datetime
import pathlib
import platform
import subprocess


def cpu_model() -> str:
    """The processor's name; its architecture where the system has no name."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def heading(ssdlite: str, versions: list[str]) -> str:
    """Date, processor, and the versions of ssdlite and of what it is compared with."""
    done = subprocess.run([ssdlite, "--version"], check=True, stdout=subprocess.PIPE, text=True)
    date = datetime.date.today().isoformat()
    return ", ".join([date, cpu_model(), done.stdout.strip(), *versions])
