"""Opens what `ssdlite export` writes in the programs that it is for.

    .ci/onnx [--epochs N] [--times]

Detectors on both backbones with both heads, and both classifiers, are trained a little
on rendered images. Every layout of each passes `onnx.checker`, runs in ONNX Runtime and
in OpenVINO, and is compared with `ssdlite detect` on images of the input's size; average
precisions are compared on the images as they are. The PyTorch files are loaded with
`weights_only=True`, into torchvision's modules where it has such. Tables go to standard
output; the exit code is 1 if anything differs.
"""

import argparse
import ast
import importlib.metadata
import pathlib
import sys

import numpy as np
import onnx
from PIL import Image

from onnx_detections import READERS, differences, mean_average_precision, objects_of
from onnx_programs import (
    CLASSIFIER_SIDE,
    DETECTOR_SIDE,
    ENGINES,
    PAPER,
    Faults,
    OnnxRuntime,
    Program,
    export,
    export_layout,
    read_safetensors,
    trained,
)

SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE = 0.1
AP_TOLERANCE = 0.01
LEAST_SCORE = 0.1
# What an evaluation lets through.
EVALUATION_SCORE = 0.01
IMAGES = 6

# Layout, options, images at once.
FILES = [
    ("raw", [], 1),
    ("raw", ["--batch", "dynamic"], 2),
    ("raw", ["--input", "uint8"], 1),
    ("nms", [], 1),
    ("nms", ["--batch", "dynamic"], 2),
    ("nms", ["--batch", "2", "--input", "uint8"], 2),
    ("yolo", [], 1),
    ("yolo", ["--batch", "dynamic"], 2),
    ("ssd7", [], 1),
    ("ssd7", ["--input", "uint8"], 1),
    ("jetson", [], 1),
]
CLASSIFIER_FILES = [([], 1), (["--batch", "dynamic"], 2), (["--input", "uint8"], 1)]


def resized(path, side):
    """An image as the preprocessing has it, `[side, side, 3]`."""
    image = Image.open(path).convert("RGB")
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def network_input(images, layout, is_bytes):
    """`[N, 3, H, W]` as a layout's consumer gives it."""
    planes = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    if is_bytes:
        return planes
    numbers = planes.astype(np.float32) / 255
    return (numbers - 0.5) / 0.5 if layout == "jetson" else numbers


def checked(path):
    """The names of a file's classes, after the checks of the format's own tools."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    names = ast.literal_eval(metadata["names"])
    ast.literal_eval(metadata["args"])
    ast.literal_eval(metadata["imgsz"])
    int(metadata["stride"])
    return [names[number] for number in range(len(names))]


def saved_images(work, data, side):
    """Images of the input's size as files, one of them without anything to find."""
    folder = work / f"images-{side}"
    folder.mkdir(exist_ok=True)
    originals = sorted((data / "JPEGImages").glob("*.jpg"))[: IMAGES - 1]
    images = [resized(path, side) for path in originals]
    images.append(np.zeros((side, side, 3), np.uint8))
    paths = []
    for index, image in enumerate(images):
        paths.append(folder / f"{index}.png")
        Image.fromarray(image).save(paths[-1])
    return images, paths


def compare_layouts(program, work, data, detectors, faults):
    print("| network | layout | options | runtime | detections | scores differ by | boxes, px |")
    print("|---|---|---|---|---|---|---|")
    images, paths = saved_images(work, data, DETECTOR_SIDE)
    size = (DETECTOR_SIDE, DETECTOR_SIDE)
    for network, model in detectors.items():
        settings = ["--score", LEAST_SCORE, "--tiles", "off"]
        lines = program.lines("detect", model, *paths, *settings)
        out = work / f"{network}.onnx"
        for layout, options, at_once in FILES:
            export_layout(program, model, out, layout, options, LEAST_SCORE)
            names = checked(out)
            ours = [
                [(names.index(f["class"]), f["score"], f["box"]) for f in line["detections"]]
                for line in lines
            ]
            for engine in ENGINES:
                where = f"{network}, {layout} {' '.join(options)}, {engine.name}"
                run = engine(out).run
                theirs = []
                for first in range(0, len(images), at_once):
                    batch = images[first : first + at_once]
                    outputs = run(network_input(batch, layout, "uint8" in options))
                    theirs += READERS[layout](outputs, size, LEAST_SCORE)
                worst = [0.0, 0.0]
                tolerances = (SCORE_TOLERANCE, BOX_TOLERANCE)
                for image, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                    scores, boxes, alone = differences(one, other, LEAST_SCORE, tolerances)
                    worst = [max(worst[0], scores), max(worst[1], boxes)]
                    faults.expect(not alone, f"{where}, image {image}: {alone[:3]}")
                count = sum(map(len, theirs))
                faults.expect(count, f"{where}: expected detections, found none")
                row = [network, layout, " ".join(options) or "-", engine.name, str(count)]
                row += [f"{worst[0]:.1e}", f"{worst[1]:.4f}"]
                print(f"| {' | '.join(row)} |", flush=True)
    print()


def compare_classifiers(program, work, data, classifiers, faults):
    print("| classifier | options | runtime | probabilities differ by |")
    print("|---|---|---|---|")
    originals = sorted((data / "JPEGImages").glob("*.jpg"))[:IMAGES]
    for network, model in classifiers.items():
        info = program.lines("inspect", model)[0]
        shorter = info["preprocessing"]["fit"]["center_crop"]["shorter_side"]
        # Images of the scaled size are cut alone, so that both sides see equal pixels.
        scaled = [resized(path, shorter) for path in originals]
        folder = work / f"scaled-{shorter}"
        folder.mkdir(exist_ok=True)
        paths = []
        for index, image in enumerate(scaled):
            paths.append(folder / f"{index}.png")
            Image.fromarray(image).save(paths[-1])
        edge = (shorter - CLASSIFIER_SIDE) // 2
        inside = slice(edge, edge + CLASSIFIER_SIDE)
        images = [image[inside, inside] for image in scaled]
        top = ["--top", len(info["classes"])]
        lines = program.lines("classifier", "predict", model, *paths, *top)
        out = work / f"classifier-{network}.onnx"
        for options, at_once in CLASSIFIER_FILES:
            export(program, model, out, options)
            names = checked(out)
            ours = np.zeros((len(lines), len(names)))
            for row, line in zip(ours, lines):
                for top_one in line["top"]:
                    row[names.index(top_one["class"])] = top_one["score"]
            for engine in ENGINES:
                run = engine(out).run
                theirs = [
                    run(network_input(images[i : i + at_once], "raw", "uint8" in options))
                    for i in range(0, len(images), at_once)
                ]
                theirs = np.concatenate([found["probabilities"] for found in theirs])
                worst = float(np.abs(theirs - ours).max())
                where = f"classifier {network}, {' '.join(options)}, {engine.name}"
                faults.expect(worst < SCORE_TOLERANCE, f"{where}: {worst}")
                row = [network, " ".join(options) or "-", engine.name, f"{worst:.1e}"]
                print(f"| {' | '.join(row)} |", flush=True)
    print()


def compare_precision(program, work, data, detectors, faults):
    print("| network | mAP (VOC 2007), ssdlite |", " | ".join(e.name for e in ENGINES), "|")
    print("|---|---|" + "---|" * len(ENGINES))
    split = (data / "ImageSets/Main/test.txt").read_text().split()
    paths = [data / f"JPEGImages/{name}.jpg" for name in split]
    for network, model in detectors.items():
        out = work / f"{network}-evaluated.onnx"
        export_layout(program, model, out, "nms", [], EVALUATION_SCORE)
        names = checked(out)
        objects = [objects_of(data / f"Annotations/{name}.xml", names) for name in split]
        settings = ["--score", EVALUATION_SCORE, "--tiles", "off"]
        ours = [
            [(names.index(f["class"]), f["score"], f["box"]) for f in line["detections"]]
            for line in program.lines("detect", model, *paths, *settings)
        ]
        precisions = [mean_average_precision(objects, ours, len(names))]
        for engine in ENGINES:
            run, theirs = engine(out).run, []
            for path in paths:
                width, height = Image.open(path).size
                image = resized(path, DETECTOR_SIDE)
                outputs = run(network_input([image], "nms", False))
                [found] = READERS["nms"](outputs, None, EVALUATION_SCORE)
                scale = np.array([width, height, width, height]) / DETECTOR_SIDE
                theirs.append([(n, score, (box * scale).tolist()) for n, score, box in found])
            precisions.append(mean_average_precision(objects, theirs, len(names)))
            difference = abs(precisions[-1] - precisions[0])
            faults.expect(difference < AP_TOLERANCE, f"{network}, {engine.name}: {precisions}")
        print(f"| {network} |", " | ".join(f"{ap:.4f}" for ap in precisions), "|", flush=True)
    print()


def compare_pytorch(program, work, detectors, classifiers, faults):
    import torch
    import torchvision

    from formula import VERSIONS, detector

    print(VERSIONS)
    models = {**detectors, **{f"classifier-{name}": path for name, path in classifiers.items()}}
    for name, model in models.items():
        out = export(program, model, work / f"{name}.pth", [])
        info, expected = read_safetensors(model)
        for mapped in (False, True):
            state = torch.load(str(out), weights_only=True, mmap=mapped)
            faults.expect(set(state) == set(expected), f"{name}: other keys")
            for key, tensor in state.items():
                same = np.array_equal(tensor.numpy(), expected[key])
                faults.expect(same, f"{name}: {key} of shape {tuple(tensor.shape)}")
        variant, classes = info["backbone"]["variant"], len(info["classes"])
        if info["task"] == "classify":
            module = getattr(torchvision.models, f"mobilenet_v3_{variant}")(num_classes=classes)
        elif info["task"]["detect"]["head"] == "ssdlite":
            size = (DETECTOR_SIDE, DETECTOR_SIDE)
            module = detector(variant, classes + 1, size=size, fill_it=False)
        else:
            print(f"{name}.pth: {len(state)} tensors; torchvision has no such head")
            continue
        module.load_state_dict(state, strict=True)
        print(f"{name}.pth: {len(state)} tensors in torchvision's {type(module).__name__}")
    print()


def compare_times(program, work, data):
    """Networks of `bench infer`, of which a file needs a model: one is trained a step."""
    sys.path.append(str(pathlib.Path(__file__).parents[1] / "benchmarks"))
    from runs import median_ms

    print("| network | threads | ssdlite, ms | exported, ONNX Runtime, ms |")
    print("|---|---|---|---|")
    runs = work / "runs-times"
    for task, backbone, side in [
        ("detect", "large", 320),
        ("detect", "small", 320),
        ("classify", "large", 224),
        ("classify", "small", 224),
    ]:
        name = f"{task}-{backbone}"
        model = runs / name / "best.safetensors"
        if not model.exists():
            common = ["--backbone", backbone, "--size", side, "--epochs", 1, "--batch", 8]
            common += ["--runs", runs, "--name", name]
            if task == "detect":
                program.run("train", data, *PAPER, "--tiles", "off", *common)
            else:
                program.run("classifier", "train", data / "classification", *common)
        out = export(program, model, work / f"times-{name}.onnx", [])
        classes = len(checked(out)) + (task == "detect")
        images = np.full((1, 3, side, side), 0.25, np.float32)
        for threads in (1, 2):
            bench = ["bench", "infer", "--task", task, "--backbone", backbone, "--size", side]
            bench += ["--classes", classes, "--threads", threads]
            engine = OnnxRuntime(out, threads)
            rounds = []
            for _ in range(5):
                [ours] = program.lines(*bench)
                rounds.append((ours["median_ms"], median_ms(lambda: engine.run(images), 50)))
            ours, theirs = np.median(rounds, axis=0)
            row = [f"{task} {backbone} {side}", str(threads), f"{ours:.2f}", f"{theirs:.2f}"]
            print(f"| {' | '.join(row)} |", flush=True)
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ssdlite", default="target/release/ssdlite", help="the binary")
    parser.add_argument("--work", type=pathlib.Path, default="target/onnx", help="a folder")
    parser.add_argument("--epochs", type=int, default=40, help="that each model is trained")
    parser.add_argument("--times", action="store_true", help="time the files too")
    arguments = parser.parse_args()
    program, work = Program(arguments.ssdlite), arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    names = ("onnx", "onnxruntime", "openvino", "numpy")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    print(", ".join([program.run("--version").strip(), *versions]), end="\n\n")
    data, detectors, classifiers = trained(program, work, arguments.epochs)
    faults = Faults()
    compare_layouts(program, work, data, detectors, faults)
    compare_classifiers(program, work, data, classifiers, faults)
    compare_precision(program, work, data, detectors, faults)
    compare_pytorch(program, work, detectors, classifiers, faults)
    if arguments.times:
        compare_times(program, work, data)
    if faults.count:
        sys.exit(f"{faults.count} differences")
    print("no differences")


if __name__ == "__main__":
    main()
