#!/usr/bin/env python3
"""From a photo's JPEG bytes to detections: ssdlite against Python's usual ways.

    cargo build --release --workspace --examples
    python3 -m venv peers
    peers/bin/pip install numpy torch torchvision onnx onnxruntime opencv-python-headless
    peers/bin/python benchmarks/photo_vs_peers.py PHOTO.jpg

All three run one network, torchvision's ssdlite320_mobilenet_v3_large for 21
classes with random weights, in fp32: ours imported from its state dict; exported
to ONNX, between OpenCV's decoding and resizing and OpenCV's suppression of each
class; and torchvision's own `model(image)` with torchvision's decoder. The
background's bias is such that a stated number of scores of this photo are above
the threshold, and limits and IoU are the same, so that all have the same work
behind the network. (ssdlite filters when it shrinks a photo and the others don't,
so what they find differs a little.)

Nothing is installed or downloaded. In each round every way runs in a process of
its own, one after the other; shown is the median over the rounds of each round's
median.
"""

import argparse
import importlib.metadata
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import machine
from runs import median_ms, run_json

SIDE = 320
OUTPUTS = 21
CANDIDATES = 300
MAX_DETECTIONS = 300
MAX_IOU = 0.45
SCORE = 0.3


def torchvision_model():
    import torch
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    torch.manual_seed(0)
    model = ssdlite320_mobilenet_v3_large(
        weights=None,
        weights_backbone=None,
        num_classes=OUTPUTS,
        score_thresh=SCORE,
        nms_thresh=MAX_IOU,
        topk_candidates=CANDIDATES,
        detections_per_img=MAX_DETECTIONS,
    )
    return model.eval()


def spread_outputs(model, images):
    """Gives random weights outputs that differ from box to box, as trained ones
    have: each batch norm takes the statistics of what it sees."""
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for head in class_heads(model):
        torch.nn.init.normal_(head.weight, std=0.1)
    with torch.no_grad():
        raw_outputs(model).train()(images)
    model.eval()


def class_heads(model):
    """The last convolution of each map's class head."""
    return [module[1] for module in model.head.classification_head.module_list]


def favour_background(model, image, boxes):
    """Raises the background's bias until only this many scores of the image are
    above SCORE: most boxes of a trained detector are background."""
    import torch

    with torch.no_grad():
        logits, _ = raw_outputs(model).eval()(image)
        low, high = 0.0, 50.0
        for _ in range(50):
            lead = (low + high) / 2
            moved = logits.clone()
            moved[..., 0] += lead
            above = int((moved.softmax(-1)[..., 1:] > SCORE).sum())
            low, high = (lead, high) if above > boxes else (low, lead)
        for head in class_heads(model):
            head.bias[::OUTPUTS] += high


def raw_outputs(model):
    """The network without pre- and post-processing."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.head = model.backbone, model.head

        def forward(self, images):
            found = self.head(list(self.features(images).values()))
            return found["cls_logits"], found["bbox_regression"]

    return Network().eval()


def prepare(folder, photo, ssdlite, boxes):
    """Writes all files."""
    import cv2
    import numpy
    import torch
    from torchvision.models.detection.image_list import ImageList

    pixels = cv2.imdecode(numpy.frombuffer(photo.read_bytes(), numpy.uint8), cv2.IMREAD_COLOR)
    shown = torch.from_numpy(opencv_input(pixels))
    model = torchvision_model()
    # A batch of one has no statistics on a map of one pixel.
    spread_outputs(model, torch.cat([shown, shown.flip(-1), shown.flip(-2)]))
    favour_background(model, shown, boxes)
    torch.save(model.state_dict(), folder / "model.pth")
    names = "".join(f"class {number}\n" for number in range(1, OUTPUTS))
    (folder / "classes.txt").write_text(names)
    command = [ssdlite, "import", folder / "model.pth", "--arch", "ssdlite-large"]
    command += ["--classes", folder / "classes.txt", "--size", str(SIDE)]
    command += ["--out", folder / "model.safetensors"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    network = raw_outputs(model)
    images = torch.zeros(1, 3, SIDE, SIDE)
    torch.onnx.export(
        network, (images,), f"{folder}/model.onnx", dynamo=False, input_names=["images"]
    )
    sizes = [(SIDE, SIDE)]
    features = list(model.backbone(images).values())
    anchors = model.anchor_generator(ImageList(images, sizes), features)[0]
    numpy.save(folder / "anchors.npy", anchors.numpy())


def opencv_input(pixels):
    import cv2

    half = 127.5
    return cv2.dnn.blobFromImage(pixels, 1 / half, (SIDE, SIDE), (half,) * 3, swapRB=True)


def opencv_run(folder, photo, threads):
    import cv2
    import numpy
    import onnxruntime

    cv2.setNumThreads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=providers)
    anchors = numpy.load(folder / "anchors.npy")
    size = anchors[:, 2:] - anchors[:, :2]
    center = (anchors[:, 2:] + anchors[:, :2]) / 2
    data = numpy.frombuffer(photo.read_bytes(), numpy.uint8)

    def run():
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
        height, width = pixels.shape[:2]
        logits, regressions = session.run(None, {"images": opencv_input(pixels)})
        logits, regressions = logits[0], regressions[0]
        exponents = numpy.exp(logits - logits.max(1, keepdims=True))
        scores = exponents[:, 1:] / exponents.sum(1, keepdims=True)
        box, label = numpy.nonzero(scores > SCORE)
        found, moves = scores[box, label], regressions[box]
        middle = moves[:, :2] * 0.1 * size[box] + center[box]
        extent = numpy.exp(moves[:, 2:] * 0.2) * size[box]
        scale = numpy.array([width, height], numpy.float32) / SIDE
        bounds = (width, height)
        low = numpy.clip((middle - extent / 2) * scale, 0, bounds)
        high = numpy.clip((middle + extent / 2) * scale, 0, bounds)
        corners = numpy.concatenate([low, high - low], 1)
        kept = cv2.dnn.NMSBoxesBatched(
            corners.tolist(), found.tolist(), label.tolist(), SCORE, MAX_IOU
        )
        return kept[:MAX_DETECTIONS]

    return run


def torchvision_run(folder, photo, threads):
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    torch.set_num_threads(threads)
    model = torchvision_model()
    model.load_state_dict(torch.load(folder / "model.pth"))
    data = torch.frombuffer(bytearray(photo.read_bytes()), dtype=torch.uint8)

    @torch.inference_mode()
    def run():
        return model([decode_jpeg(data, ImageReadMode.RGB).float() / 255])[0]["scores"]

    return run


def child(way, folder, photo, threads, runs):
    """Prints the median in milliseconds of one way."""
    run = globals()[f"{way}_run"](folder, photo, threads)
    print(json.dumps({"median_ms": median_ms(run, runs), "detections": len(run())}))


def compare(folder, arguments):
    prepare(folder, arguments.photo, arguments.ssdlite, arguments.boxes)
    ways = ["opencv", "torchvision"]
    packages = ["opencv-python-headless", "onnxruntime", "torchvision"]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    print(machine.heading(arguments.ssdlite, versions))
    print()
    print("| threads | ssdlite, ms | OpenCV + ONNX Runtime, ms | torchvision, ms | ratios |")
    print("|---|---|---|---|---|")
    for threads in arguments.threads:
        ours = [arguments.example, folder / "model.safetensors", arguments.photo]
        ours += [f"threads={threads}", f"runs={arguments.runs}", f"score={SCORE}"]
        commands = {"ssdlite": ours}
        for way in ways:
            words = [way, folder, arguments.photo, threads, arguments.runs]
            commands[way] = [sys.executable, __file__, arguments.photo, "--child", *words]
        runs = {way: [] for way in commands}
        for _ in range(arguments.rounds):
            for way, command in commands.items():
                runs[way].append(run_json(command))
        times = {
            way: statistics.median(run["median_ms"] for run in found)
            for way, found in runs.items()
        }
        ratios = " and ".join(f"{times[way] / times['ssdlite']:.2f}" for way in ways)
        shown = " | ".join(f"{value:.2f}" for value in times.values())
        print(f"| {threads} | {shown} | {ratios} |", flush=True)
        print(
            "detections:",
            {way: found[0]["detections"] for way, found in runs.items()},
            "stages of ssdlite:",
            runs["ssdlite"][0],
            file=sys.stderr,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=pathlib.Path)
    parser.add_argument("--ssdlite", default="target/release/ssdlite", help="the binary")
    parser.add_argument("--example", default="target/release/examples/photo")
    parser.add_argument("--boxes", type=int, default=100, help="scores above the threshold")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=50, help="runs of each way in a round")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, folder, photo, threads, runs = arguments.child
        paths = pathlib.Path(folder), pathlib.Path(photo)
        child(way, *paths, int(threads), int(runs))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(pathlib.Path(folder), arguments)


if __name__ == "__main__":
    main()
