"""Models that `ssdlite` trains a little, and files that it exports of them.

For `exported_onnx.py` and `exported_pth.py`. NumPy alone is needed.
"""

import argparse
import contextlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np

# Maps of odd sides, which a pyramid cuts when it enlarges them.
DETECTOR_SIDE = 150
CLASSIFIER_SIDE = 96
# Of the rendered detection set, and of the classification set beside it.
IMAGES = 120
IMAGES_PER_CLASS = 16
EPOCHS = 10
PAPER = ["--head", "ssdlite", "--finest", "16", "--boxes", "paper"]
PYRAMID = ["--head", "fpn", "--finest", "8"]
DETECTORS = {
    "small-ssdlite": ["--backbone", "small", *PAPER],
    "large-ssdlite": ["--backbone", "large", *PAPER],
    "small-fpn": ["--backbone", "small", *PYRAMID],
    "large-fpn": ["--backbone", "large", *PYRAMID],
}
CLASSIFIERS = {
    "small-classifier": ["--backbone", "small"],
    "large-classifier": ["--backbone", "large"],
}


class Faults:
    """What differs."""

    def __init__(self):
        self.count = 0

    def expect(self, is_so, message):
        if not is_so:
            self.count += 1
            print(f"differs: {message}", file=sys.stderr)

    def verdict(self):
        """For `sys.exit`."""
        if self.count:
            return f"expected no differences, found {self.count}"
        print("no differences")
        return 0


class Program:
    """The binary."""

    def __init__(self, path):
        self.path = path.resolve()

    def run(self, *words):
        command = [str(self.path), *map(str, words)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def lines(self, *words):
        return [json.loads(line) for line in self.run(*words, "--json").splitlines()]


def arguments(description):
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--ssdlite", type=pathlib.Path, required=True, help="the binary")
    parser.add_argument("--work", type=pathlib.Path, help="a folder that keeps models and files")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="that each model is trained")
    return parser


@contextlib.contextmanager
def prepared(options):
    """The program, a folder for files, the images, and paths of models by their names."""
    program = Program(options.ssdlite)
    with contextlib.ExitStack() as stack:
        work = options.work or stack.enter_context(tempfile.TemporaryDirectory())
        work = pathlib.Path(work).resolve()
        work.mkdir(parents=True, exist_ok=True)
        yield program, work, *trained(program, work, options.epochs)


def trained(program, work, epochs):
    """Models that are there already are kept."""
    data, runs = work / "data", work / f"runs-{epochs}"
    if not data.exists():
        images = ["--images", IMAGES, "--images-per-class", IMAGES_PER_CLASS]
        program.run("data", "sample", data, *images)
    common = ["--epochs", epochs, "--runs", runs]
    detectors, classifiers = {}, {}
    for name, options in DETECTORS.items():
        detectors[name] = runs / name / "best.safetensors"
        if not detectors[name].exists():
            size = ["--size", DETECTOR_SIDE, "--tiles", "off", "--batch", 8]
            program.run("train", data, *options, *size, *common, "--name", name)
    for name, options in CLASSIFIERS.items():
        classifiers[name] = runs / name / "best.safetensors"
        if not classifiers[name].exists():
            images, size = data / "classification", ["--size", CLASSIFIER_SIDE]
            program.run("classifier", "train", images, *options, *size, *common, "--name", name)
    return data, detectors, classifiers


def export(program, model, out, options):
    program.run("export", model, "--to", out.suffix[1:], "--out", out, *options)
    return out


def read_safetensors(path):
    """A model file's description and tensors."""
    bytes_ = path.read_bytes()
    [length] = struct.unpack("<Q", bytes_[:8])
    header = json.loads(bytes_[8 : 8 + length])
    info = json.loads(header.pop("__metadata__")["ssdlite"])
    types = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for key, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        numbers = np.frombuffer(bytes_[start:end], types[entry["dtype"]])
        tensors[key] = numbers.reshape(entry["shape"])
    return info, tensors
