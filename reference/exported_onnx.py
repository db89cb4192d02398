"""Opens what `ssdlite export --to onnx` writes in the programs that it is for.

    .ci/onnx [--epochs N] [--trained MODEL DATA] [--times]

Every layout of the detectors of `exported_models.py`, and their classifiers, passes
`onnx.checker`, runs in ONNX Runtime and in OpenVINO, and is compared with `ssdlite` on
images of the input's size; average precisions are compared on the images as they are.
Tables go to standard output; the exit code is 1 if anything differs.
"""

import ast
import importlib.metadata
import pathlib
import sys
import time

import numpy as np
import onnx
from PIL import Image

from exported_models import (
    CLASSIFIER_SIDE,
    DETECTOR_SIDE,
    PAPER,
    Faults,
    arguments,
    export,
    prepared,
)
from onnx_detections import READERS, differences, mean_average_precision, objects_of
from onnx_engines import ENGINES, OnnxRuntime

SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE = 0.1
AP_TOLERANCE = 0.002
LEAST_SCORE = 0.1
# What an evaluation lets through.
EVALUATION_SCORE = 0.01
COMPARED_IMAGES = 6
# Of the times.
ROUNDS = 5
WARM_UP_RUNS = 5

# Of each layout: options, and images at once.
FILES = {
    "raw": [([], 1), (["--batch", "dynamic"], 2), (["--input", "uint8"], 1)],
    "nms": [([], 1), (["--batch", "dynamic"], 2), (["--batch", "2", "--input", "uint8"], 2)],
    "yolo": [([], 1), (["--batch", "dynamic"], 2)],
    "ssd7": [([], 1), (["--input", "uint8"], 1)],
    "jetson": [([], 1)],
}
CLASSIFIER_FILES = [([], 1), (["--batch", "dynamic"], 2), (["--input", "uint8"], 1)]


def resized(path, side):
    """An image as the preprocessing has it, `[side, side, 3]`."""
    image = Image.open(path)
    # A JPEG is decoded no larger than needed, as ssdlite does it.
    image.draft(None, (2 * side, 2 * side))
    return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))


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
    originals = sorted((data / "JPEGImages").glob("*.jpg"))[: COMPARED_IMAGES - 1]
    images = [resized(path, side) for path in originals]
    images.append(np.zeros((side, side, 3), np.uint8))
    paths = []
    for index, image in enumerate(images):
        paths.append(folder / f"{index}.png")
        Image.fromarray(image).save(paths[-1])
    return images, paths


def export_layout(program, model, out, layout, options, least_score):
    suppression = ["--score", least_score] if layout in ("nms", "ssd7") else []
    return export(program, model, out, ["--layout", layout, *options, *suppression])


def compare_layouts(program, work, data, detectors, faults):
    print("Largest differences of scores, and of boxes in pixels of the input:\n")
    print("| network | layout | detections |", " | ".join(e.name for e in ENGINES), "|")
    print("|---|---|---|" + "---|" * len(ENGINES))
    images, paths = saved_images(work, data, DETECTOR_SIDE)
    for network, model in detectors.items():
        settings = ["--score", LEAST_SCORE, "--tiles", "off"]
        lines = program.lines("detect", model, *paths, *settings)
        for layout, files in FILES.items():
            worst, counts = {engine: [0.0, 0.0] for engine in ENGINES}, set()
            for options, at_once in files:
                out = work / f"{network}.onnx"
                export_layout(program, model, out, layout, options, LEAST_SCORE)
                names = checked(out)
                ours = [
                    [(names.index(f["class"]), f["score"], f["box"]) for f in line["detections"]]
                    for line in lines
                ]
                for engine in ENGINES:
                    where = f"{network}, {layout} {' '.join(options)}, {engine.name}"
                    theirs = found_by(engine(out), images, layout, at_once, options)
                    found = compare_images(ours, theirs, where, faults)
                    worst[engine] = np.maximum(worst[engine], found)
                    counts.add(sum(map(len, theirs)))
            row = [network, layout, " to ".join(map(str, sorted({min(counts), max(counts)})))]
            row += [f"{scores:.1e}, {boxes:.4f}" for scores, boxes in worst.values()]
            print(f"| {' | '.join(row)} |", flush=True)
    print()


def found_by(engine, images, layout, at_once, options):
    """The detections that a file gives for each image."""
    size, found = (DETECTOR_SIDE, DETECTOR_SIDE), []
    for first in range(0, len(images), at_once):
        batch = images[first : first + at_once]
        outputs = engine.run(network_input(batch, layout, "uint8" in options))
        found += READERS[layout](outputs, size, LEAST_SCORE)
    return found


def compare_images(ours, theirs, where, faults):
    """The largest differences of scores and of boxes."""
    worst = [0.0, 0.0]
    tolerances = (SCORE_TOLERANCE, BOX_TOLERANCE)
    for image, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        scores, boxes, alone = differences(one, other, LEAST_SCORE, tolerances)
        worst = [max(worst[0], scores), max(worst[1], boxes)]
        faults.expect(not alone, f"{where}, image {image}: {alone[:3]}")
    faults.expect(any(theirs), f"{where}: expected detections, found none")
    return worst


def compare_classifiers(program, work, data, classifiers, faults):
    print("| classifier | options | runtime | probabilities differ by |")
    print("|---|---|---|---|")
    originals = sorted((data / "JPEGImages").glob("*.jpg"))[:COMPARED_IMAGES]
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
        out = work / f"{network}.onnx"
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
                where = f"{network}, {' '.join(options)}, {engine.name}"
                faults.expect(worst < SCORE_TOLERANCE, f"{where}: {worst}")
                row = [network, " ".join(options) or "-", engine.name, f"{worst:.1e}"]
                print(f"| {' | '.join(row)} |", flush=True)
    print()


def compare_precision(program, work, detectors, faults):
    """`detectors` are models, each with a VOC folder on whose test split it is tried."""
    print("| network | mAP (VOC 2007), ssdlite |", " | ".join(e.name for e in ENGINES), "|")
    print("|---|---|" + "---|" * len(ENGINES))
    for network, (model, data) in detectors.items():
        split = (data / "ImageSets/Main/test.txt").read_text().split()
        paths = [data / f"JPEGImages/{name}.jpg" for name in split]
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
        [info] = program.lines("inspect", model)
        side = info["preprocessing"]["size"]["width"]
        for engine in ENGINES:
            run, theirs = engine(out).run, []
            for path in paths:
                width, height = Image.open(path).size
                outputs = run(network_input([resized(path, side)], "nms", False))
                [found] = READERS["nms"](outputs, None, EVALUATION_SCORE)
                scale = np.array([width, height, width, height]) / side
                theirs.append([(n, score, (box * scale).tolist()) for n, score, box in found])
            precisions.append(mean_average_precision(objects, theirs, len(names)))
            difference = abs(precisions[-1] - precisions[0])
            faults.expect(difference < AP_TOLERANCE, f"{network}, {engine.name}: {precisions}")
        print(f"| {network} |", " | ".join(f"{ap:.4f}" for ap in precisions), "|", flush=True)
    print()


def times_ms(run, count):
    for _ in range(WARM_UP_RUNS):
        run()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def compare_times(program, work):
    """Networks of `bench infer`, of which a file needs a model: one is trained a step.

    Both are run in turn, and of the rounds' medians and least times the medians count.
    """
    print("| network | threads | ssdlite, ms: median (least) | file in ONNX Runtime |")
    print("|---|---|---|---|")
    runs, data = work / "runs-times", work / "data-times"
    if not data.exists():
        program.run("data", "sample", data, "--images", 16, "--images-per-class", 4)
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
            for _ in range(ROUNDS):
                [ours] = program.lines(*bench)
                theirs = times_ms(lambda: engine.run(images), ours["runs"])
                of_ours = (ours["median_ms"], ours["min_ms"])
                rounds.append((*of_ours, np.median(theirs), min(theirs)))
            row = [f"{task} {backbone} {side}", str(threads)]
            numbers = np.median(rounds, axis=0)
            row += [f"{median:.2f} ({least:.2f})" for median, least in numbers.reshape(2, 2)]
            print(f"| {' | '.join(row)} |", flush=True)
    print()


def main():
    parser = arguments(__doc__)
    parser.add_argument(
        "--trained",
        type=pathlib.Path,
        nargs=2,
        metavar=("MODEL", "DATA"),
        help="a square detector whose average precision on a VOC folder is compared too",
    )
    parser.add_argument("--times", action="store_true", help="time the files too")
    options = parser.parse_args()
    names = ("onnx", "onnxruntime", "openvino", "numpy")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in names), end="\n\n")
    faults = Faults()
    with prepared(options) as (program, work, data, detectors, classifiers):
        compare_layouts(program, work, data, detectors, faults)
        compare_classifiers(program, work, data, classifiers, faults)
        # The others have hardly learnt anything: the order of scores that are nearly
        # equal decides their precision.
        if options.trained:
            compare_precision(program, work, {"trained": options.trained}, faults)
        if options.times:
            compare_times(program, work)
    sys.exit(faults.verdict())


if __name__ == "__main__":
    main()
