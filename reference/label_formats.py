"""Sets written by other tools read as the same set in VOC, and ours open in them.

    pip install pycocotools==2.0.11 supervision==0.31.2 opencv-python-headless==5.0.0.93
    python reference/label_formats.py target/release/ssdlite

The argument is the command line of this project. `.ci/formats` runs it. The set is the
rendered sample; boxes are compared to the pixel, as VOC's annotations have them, which
are parsed here without any code of the project.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import supervision as sv
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SPLITS = ["train", "val", "test"]


def run(*arguments):
    """Standard output of the command line, which has to end well."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"ssdlite {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
    return done.stdout


def objects_of_voc(annotation):
    """Class and box [x1, y1, x2, y2), from 0, of each object of an annotation."""
    objects = []
    for element in ElementTree.parse(annotation).getroot().iter("object"):
        corners = [int(element.find(f"bndbox/{edge}").text) for edge in EDGES]
        box = (corners[0] - 1, corners[1] - 1, corners[2], corners[3])
        objects.append((element.find("name").text, box))
    return objects


EDGES = ["xmin", "ymin", "xmax", "ymax"]


def set_of_voc(folder):
    """The objects of each image by split and name, those sorted."""
    found = {}
    for split in SPLITS:
        ids = (folder / "ImageSets/Main" / f"{split}.txt").read_text().split()
        annotations = {id: folder / "Annotations" / f"{id}.xml" for id in ids}
        found[split] = {id: sorted(objects_of_voc(path)) for id, path in annotations.items()}
    return found


def expect_equal(found, expected, what):
    if found == expected:
        return
    for split in expected:
        for name, objects in expected[split].items():
            other = found.get(split, {}).get(name)
            if other != objects:
                sys.exit(f"{what}: {split}/{name}: expected {objects}, found {other}")
    sys.exit(f"{what}: expected the same images, found others")


def as_supervision(voc, names):
    """The set as supervision's data sets, one a split."""
    sets = {}
    for split, images in set_of_voc(voc).items():
        annotations = {}
        for name, objects in images.items():
            boxes = np.array([box for _, box in objects], dtype=np.float32)
            classes = np.array([names.index(label) for label, _ in objects], dtype=int)
            annotations[str(voc / "JPEGImages" / f"{name}.jpg")] = sv.Detections(
                xyxy=boxes.reshape(-1, 4), class_id=classes
            )
        sets[split] = sv.DetectionDataset(names, list(annotations), annotations)
    return sets


def objects_of_supervision(dataset):
    """The objects of each image by name, sorted, boxes to the pixel."""
    found = {}
    for path, detections in dataset.annotations.items():
        objects = zip(detections.class_id, detections.xyxy)
        found[Path(path).stem] = sorted(
            (dataset.classes[label], tuple(round(float(edge)) for edge in box))
            for label, box in objects
        )
    return found


def write_with_supervision(sets, folder):
    """The set as supervision writes YOLO and COCO, a folder each."""
    for split, dataset in sets.items():
        yolo = folder / "yolo" / split
        dataset.as_yolo(str(yolo / "images"), str(yolo / "labels"), str(folder / "yolo/data.yaml"))
        coco = folder / "coco" / split
        dataset.as_coco(str(coco), str(coco / "_annotations.coco.json"))
    return [folder / "yolo", folder / "coco"]


def check_ours_in_supervision(yolo, coco, expected):
    for split in SPLITS:
        dataset = sv.DetectionDataset.from_yolo(
            str(yolo / "images" / split), str(yolo / "labels" / split), str(yolo / "data.yaml")
        )
        expect_equal({split: objects_of_supervision(dataset)}, {split: expected[split]}, "yolo")
        dataset = sv.DetectionDataset.from_coco(
            str(coco / "images"), str(coco / "annotations" / f"{split}.json")
        )
        expect_equal({split: objects_of_supervision(dataset)}, {split: expected[split]}, "coco")


def check_ours_in_pycocotools(coco, expected):
    for split in SPLITS:
        path = coco / "annotations" / f"{split}.json"
        truth = COCO(str(path))
        objects = truth.loadAnns(truth.getAnnIds())
        assert len(truth.getImgIds()) == len(expected[split])
        assert len(objects) == sum(map(len, expected[split].values()))
        assert all((coco / "images" / image["file_name"]).is_file() for image in truth.imgs.values())
        # What is found exactly where it is scores 1 in every class that counts.
        detections = [
            {key: label[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
            for label in objects
            if not label["iscrowd"]
        ]
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert abs(evaluation.stats[0] - 1.0) < 1e-6, evaluation.stats


def main(folder):
    voc = folder / "voc"
    run("data", "sample", voc, "--images", 40, "--images-per-class", 1)
    expected = set_of_voc(voc)
    labels = (label for images in expected.values() for objects in images.values() for label, _ in objects)
    names = sorted(set(labels))

    for theirs in write_with_supervision(as_supervision(voc, names), folder / "theirs"):
        back = folder / "back" / theirs.name
        run("data", "convert", theirs, back, "--to", "voc")
        expect_equal(set_of_voc(back), expected, f"supervision's {theirs.name}")
        checked = json.loads(run("data", "check", theirs, "--json").splitlines()[-1])
        assert checked["errors"] == 0, checked

    ours = {to: folder / "ours" / to for to in ("yolo", "coco")}
    for to, out in ours.items():
        run("data", "convert", voc, out, "--to", to)
    check_ours_in_supervision(ours["yolo"], ours["coco"], expected)
    check_ours_in_pycocotools(ours["coco"], expected)
    print("sets of supervision read as VOC's, ours open in supervision and pycocotools")


if __name__ == "__main__":
    PROGRAM = sys.argv[1]
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
