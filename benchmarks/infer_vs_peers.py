"""Speed of the networks against other CPU runtimes, all in fp32.

    python -m venv peers && . peers/bin/activate
    pip install numpy torch torchvision onnx onnxruntime openvino MNN ncnn pnnx
    cargo build --release -p ssdlite-cli
    python benchmarks/infer_vs_peers.py --ssdlite target/release/ssdlite

Nothing is installed or downloaded by the script; a runtime that is missing is
left out. torchvision's networks with random weights are exported to ONNX and
converted for each runtime. In each round every runtime runs in a process of its
own, one after the other, so that what disturbs the machine disturbs all; the
table shows the median over the rounds of each round's median, and how many
times as fast as the best of the others ssdlite is.

The network alone is measured, batch 1, input and output in memory. With `--busy N`
so many other programs compute all the time beside it, each on one core; with
`--before BINARY` an older ssdlite takes its turns too.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import machine
from runs import add_binaries, binaries, busy, median_ms

# Name, task, backbone, input side, outputs. A detector's outputs count the
# background, a classifier's do not.
ROWS = [
    ("ssdlite Large 320", "detect", "large", 320, 21),
    ("ssdlite Small 320", "detect", "small", 320, 21),
    ("classifier Large 224", "classify", "large", 224, 30),
    ("classifier Small 224", "classify", "small", 224, 30),
]
PEERS = {"onnxruntime": "onnxruntime", "openvino": "openvino", "mnn": "MNN", "ncnn": "ncnn"}


def network(task, backbone, side, outputs):
    """torchvision's network in evaluation mode, without post-processing."""
    import torch
    import torchvision
    from torchvision.models.detection import ssdlite
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator

    torch.manual_seed(0)
    build = getattr(torchvision.models, f"mobilenet_v3_{backbone}")
    if task == "classify":
        return build(num_classes=outputs).eval()
    norm = lambda channels: torch.nn.BatchNorm2d(channels, eps=0.001, momentum=0.03)
    features = ssdlite._mobilenet_extractor(build(norm_layer=norm), 6, norm)
    channels = torchvision.models.detection._utils.retrieve_out_channels(features, (side, side))
    anchors = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    head = ssdlite.SSDLiteHead(channels, anchors.num_anchors_per_location(), outputs, norm)

    class Detector(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.head = features, head

        def forward(self, images):
            found = self.head(list(self.features(images).values()))
            return found["cls_logits"], found["bbox_regression"]

    return Detector().eval()


def export(folder, task, backbone, side, outputs, peers):
    """Writes the network's files; returns the stem of their names."""
    import torch

    stem = folder / f"{task}_{backbone}"
    model = network(task, backbone, side, outputs)
    images = torch.zeros(1, 3, side, side)
    torch.onnx.export(model, (images,), f"{stem}.onnx", dynamo=False, input_names=["images"])
    if "mnn" in peers:
        convert = ["mnnconvert", "-f", "ONNX", "--modelFile", f"{stem}.onnx"]
        convert += ["--MNNModel", f"{stem}.mnn", "--bizCode", "ssdlite"]
        # The converter lies beside the interpreter.
        convert[0] = str(pathlib.Path(sys.executable).parent / convert[0])
        subprocess.run(convert, check=True, stdout=subprocess.DEVNULL)
    if "ncnn" in peers:
        import pnnx

        pnnx.export(model, f"{stem}.pt", (images,), fp16=False)
    return stem


def onnxruntime_run(stem, side, threads):
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(f"{stem}.onnx", options, providers=providers)
    images = numpy.full((1, 3, side, side), 0.25, numpy.float32)
    return lambda: session.run(None, {"images": images})


def openvino_run(stem, side, threads):
    import numpy
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(f"{stem}.onnx", "CPU", settings).create_infer_request()
    images = numpy.full((1, 3, side, side), 0.25, numpy.float32)
    return lambda: request.infer({0: images})


def mnn_run(stem, side, threads):
    import MNN
    import numpy

    interpreter = MNN.Interpreter(f"{stem}.mnn")
    config = {"backend": "CPU", "numThread": threads, "precision": "high"}
    session = interpreter.createSession(config)
    images = numpy.full((1, 3, side, side), 0.25, numpy.float32)
    shape = (1, 3, side, side)
    given = MNN.Tensor(shape, MNN.Halide_Type_Float, images, MNN.Tensor_DimensionType_Caffe)
    interpreter.getSessionInput(session).copyFrom(given)
    return lambda: interpreter.runSession(session)


def ncnn_run(stem, side, threads):
    import ncnn
    import numpy

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.load_param(f"{stem}.ncnn.param")
    net.load_model(f"{stem}.ncnn.bin")
    images = ncnn.Mat(numpy.full((3, side, side), 0.25, numpy.float32))
    outputs = net.output_names()

    def run():
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], images)
        for name in outputs:
            extractor.extract(name)

    return run


def child(peer, stem, side, threads, runs):
    """Prints the times of one peer: median in milliseconds."""
    run = globals()[f"{peer}_run"](stem, side, threads)
    print(json.dumps({"median_ms": median_ms(run, runs)}))


def measure(command):
    """The median that a command prints, None if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        print(" ".join(command), done.stderr[-500:], sep="\n", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])["median_ms"]


def commands(arguments, row, stem, threads, peers):
    """The command of each runtime."""
    _, task, backbone, side, outputs = row
    runs = str(arguments.runs)
    ours = ["bench", "infer", "--task", task, "--backbone", backbone]
    ours += ["--size", str(side), "--classes", str(outputs), "--batch", "1"]
    ours += ["--threads", str(threads), "--runs", runs, "--json"]
    given = {name: [binary, *ours] for name, binary in binaries(arguments).items()}
    for peer in peers:
        child_arguments = [peer, str(stem), str(side), str(threads), runs]
        given[peer] = [sys.executable, __file__, "--child", *child_arguments]
    return given


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_binaries(parser)
    parser.add_argument("--busy", type=int, default=0, help="programs that compute beside it")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=50, help="runs of each runtime in a round")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        peer, stem, side, threads, runs = arguments.child
        child(peer, stem, int(side), int(threads), int(runs))
        return
    peers = [peer for peer, module in PEERS.items() if importlib.util.find_spec(module)]
    missing = sorted(set(PEERS) - set(peers))
    if missing:
        print("not installed and left out:", ", ".join(missing), file=sys.stderr)
    versions = [f"{peer} {importlib.metadata.version(PEERS[peer])}" for peer in peers]
    print(machine.heading(arguments.ssdlite, versions))
    print(f"batch 1, median of {arguments.rounds} rounds of {arguments.runs} runs, ms;", end=" ")
    print(f"other programs that compute all the time: {arguments.busy}")
    print()
    names = [*binaries(arguments), *peers]
    with tempfile.TemporaryDirectory() as folder:
        print("| row | threads |", " | ".join(names), "| times the best peer |")
        print("|---|---|" + "---|" * (len(names) + 1))
        for row in ROWS:
            stem = export(pathlib.Path(folder), *row[1:], peers)
            for threads in arguments.threads:
                given = commands(arguments, row, stem, threads, peers)
                times = {name: [] for name in given}
                with busy(arguments.busy):
                    for _ in range(arguments.rounds):
                        for name, command in given.items():
                            times[name].append(measure(command))
                medians = {
                    name: statistics.median(found) if None not in found else None
                    for name, found in times.items()
                }
                shown = [f"{m:.2f}" if m else "failed" for m in medians.values()]
                others = [medians[peer] for peer in peers if medians[peer]]
                ratio = "-"
                if others and medians["ssdlite"]:
                    ratio = f"{min(others) / medians['ssdlite']:.2f}"
                print(f"| {row[0]} | {threads} |", " | ".join(shown), f"| {ratio} |", flush=True)


if __name__ == "__main__":
    main()
