"""Sample images and small models, made by the command line.

`SSDLITE_BINARY` says where that is.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ssdlite import Classifier, Detector

# A network as narrow and a run as small as they get.
TINY = "--width 0.1 --size 64 --batch 4 --threads 2 --workers 1 --epochs 2".split()

# Lets a hardly trained network find something.
LOW = 0.02


class Cli:
    """The command line, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *args: str | Path) -> str:
        """Runs it to its end and gives its standard output."""
        command = [os.environ["SSDLITE_BINARY"], *args]
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return Cli(tmp_path_factory.mktemp("ssdlite"))


@pytest.fixture(scope="session")
def data(cli: Cli) -> Path:
    """A VOC folder of 24 images, with class folders in `classification`."""
    cli.run("data", "sample", "set", "--images", "24", "--images-per-class", "8")
    return cli.folder / "set"


@pytest.fixture(scope="session")
def photos(data: Path) -> list[Path]:
    return sorted((data / "JPEGImages").iterdir())


@pytest.fixture(scope="session")
def detector_file(cli: Cli, data: Path) -> Path:
    head = ["--head", "ssdlite", "--finest", "16"]
    cli.run("train", data, "--name", "detector", *head, *TINY)
    return cli.folder / "runs/detector/best.safetensors"


@pytest.fixture(scope="session")
def classifier_file(cli: Cli, data: Path) -> Path:
    folder = data / "classification"
    cli.run("classifier", "train", folder, "--name", "classifier", *TINY)
    return cli.folder / "runs/classifier/best.safetensors"


@pytest.fixture(scope="session")
def detector(detector_file: Path) -> Detector:
    return Detector.load(detector_file, threads=2, score=LOW)


@pytest.fixture(scope="session")
def classifier(classifier_file: Path) -> Classifier:
    return Classifier.load(classifier_file, threads=2)


@pytest.fixture(scope="session")
def pixels() -> npt.NDArray[np.uint8]:
    """An image that is not square, of which no two channels, rows or columns are equal."""
    draws = np.random.default_rng(5).integers(0, 256, (83, 131, 3))
    slopes = np.linspace(0, 100, 131)[:, None] * [1.0, 0.5, 0.2]
    return ((draws + slopes) / 2).clip(0, 255).astype(np.uint8)
