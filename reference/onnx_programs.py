"""Programs that `onnx_files.py` runs: ssdlite, and engines that read what it writes."""

import json
import pathlib
import struct
import subprocess
import sys

import numpy as np
import onnxruntime
import openvino

# Maps of odd sides, which a pyramid cuts when it enlarges them.
DETECTOR_SIDE = 150
CLASSIFIER_SIDE = 96
PAPER = ["--head", "ssdlite", "--finest", "16", "--boxes", "paper"]
PYRAMID = ["--head", "fpn", "--finest", "8"]
DETECTORS = {
    "small-ssdlite": ["--backbone", "small", *PAPER],
    "large-ssdlite": ["--backbone", "large", *PAPER],
    "small-fpn": ["--backbone", "small", *PYRAMID],
    "large-fpn": ["--backbone", "large", *PYRAMID],
}
CLASSIFIERS = {name: ["--backbone", name] for name in ("small", "large")}


class Faults:
    """What differs."""

    def __init__(self):
        self.count = 0

    def expect(self, is_so, message):
        if not is_so:
            self.count += 1
            print(f"differs: {message}", file=sys.stderr)


class Program:
    """The binary."""

    def __init__(self, path):
        self.path = pathlib.Path(path).resolve()

    def run(self, *words):
        command = [str(self.path), *map(str, words)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
        return done.stdout

    def lines(self, *words):
        return [json.loads(line) for line in self.run(*words, "--json").splitlines()]


def trained(program, work, epochs):
    """Paths of the models by their names; those that are there already are kept."""
    data, runs = work / "data", work / f"runs-{epochs}"
    if not data.exists():
        program.run("data", "sample", data, "--images", 120, "--images-per-class", 16)
    common = ["--epochs", epochs, "--runs", runs]
    detectors, classifiers = {}, {}
    for name, options in DETECTORS.items():
        detectors[name] = runs / name / "best.safetensors"
        if not detectors[name].exists():
            size = ["--size", DETECTOR_SIDE, "--tiles", "off", "--batch", 8]
            program.run("train", data, *options, *size, *common, "--name", name)
    for name, options in CLASSIFIERS.items():
        run = f"classifier-{name}"
        classifiers[name] = runs / run / "best.safetensors"
        if not classifiers[name].exists():
            images = data / "classification"
            size = ["--size", CLASSIFIER_SIDE]
            program.run("classifier", "train", images, *options, *size, *common, "--name", run)
    return data, detectors, classifiers


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, path, threads=0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.input = self.session.get_inputs()[0].name
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, images):
        found = self.session.run(self.outputs, {self.input: images})
        return dict(zip(self.outputs, found))


class OpenVino:
    name = "OpenVINO"

    def __init__(self, path):
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        self.model = openvino.Core().compile_model(str(path), "CPU", settings)

    def run(self, images):
        found = self.model([images])
        outputs = [(name, output) for output in self.model.outputs for name in output.names]
        return {name: np.array(found[output]) for name, output in outputs}


ENGINES = [OnnxRuntime, OpenVino]


def export(program, model, out, options):
    program.run("export", model, "--to", out.suffix[1:], "--out", out, *options)
    return out


def suppression_options(layout, least_score):
    return ["--score", least_score] if layout in ("nms", "ssd7") else []


def export_layout(program, model, out, layout, options, least_score):
    suppression = suppression_options(layout, least_score)
    return export(program, model, out, ["--layout", layout, *options, *suppression])


def read_safetensors(path):
    """A model file's description and tensors."""
    bytes_ = pathlib.Path(path).read_bytes()
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
