"""Golden average precisions for crates/ssdlite-eval/tests/golden.rs.

    pip install numpy==2.4.6 pycocotools==2.0.11
    python reference/average_precision.py 4 \
        > crates/ssdlite-eval/tests/golden/average_precision.json

The argument is the number of seeds. Objects and detections come from an
integer formula that the Rust test repeats. COCO's numbers are pycocotools';
VOC's follow VOCevaldet.m and VOCap.m of the devkits (2007 and 2012), with
boxes as areas instead of inclusive pixels, in NumPy and without any code of
the crate.
"""

import contextlib
import io
import json
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CLASSES = 5
WITHOUT_OBJECTS = 3
ONLY_DIFFICULT = 4
IMAGES = 23


class Numbers:
    """The linear congruential generator of Numerical Recipes."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return (self.state >> 8) % bound


def make_images(seed):
    """Objects (class, box, difficult) and detections (class, score, box)."""
    numbers = Numbers(seed)
    images = []
    for _ in range(IMAGES):
        objects, detections = [], []
        for _ in range(numbers.below(7)):
            name = numbers.below(CLASSES - 1)
            name = ONLY_DIFFICULT if name == WITHOUT_OBJECTS else name
            x, y = numbers.below(400), numbers.below(300)
            largest = [24, 80, 240][numbers.below(3)]
            box = [x, y, x + 8 + numbers.below(largest), y + 8 + numbers.below(largest)]
            difficult = numbers.below(6) == 0 or name == ONLY_DIFFICULT
            objects.append((name, box, difficult))
            for _ in range(numbers.below(4)):
                side = 1 + (box[2] - box[0]) // 4
                found = [c + (numbers.below(side * 4) - side * 2) / 4 for c in box]
                guess = numbers.below(CLASSES) if numbers.below(5) == 0 else name
                detections.append((guess, found))
        for _ in range(numbers.below(6)):
            x, y = numbers.below(400), numbers.below(300)
            box = [x, y, x + numbers.below(90), y + numbers.below(90)]
            detections.append((numbers.below(CLASSES), box))
        scored = []
        for name, box in detections:
            box = [box[0], box[1], max(box[2], box[0]), max(box[3], box[1])]
            scored.append((name, numbers.below(65) / 64, box))
        images.append((objects, scored))
    return images


def iou(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    union = sum(areas) - w * h
    return w * h / union if union > 0 else 0.0


def voc_curve(images, name, threshold):
    """Recall and precision after each detection, or None without objects."""
    count = sum(n == name and not d for objects, _ in images for n, _, d in objects)
    if count == 0:
        return None
    found = [
        (score, index, box)
        for index, (_, detections) in enumerate(images)
        for n, score, box in detections
        if n == name
    ]
    order = np.argsort([-score for score, _, _ in found], kind="stable")
    tp, fp = np.zeros(len(found)), np.zeros(len(found))
    taken = set()
    for rank, position in enumerate(order):
        _, index, box = found[position]
        best, best_iou = None, -np.inf
        for number, (n, truth, difficult) in enumerate(images[index][0]):
            if n == name and iou(truth, box) > best_iou:
                best, best_iou = (index, number, difficult), iou(truth, box)
        if best is None or best_iou < threshold:
            fp[rank] = 1
        elif not best[2]:
            (fp if best in taken else tp)[rank] = 1
            taken.add(best)
    tp, fp = np.cumsum(tp), np.cumsum(fp)
    with np.errstate(invalid="ignore"):
        precision = np.nan_to_num(tp / (tp + fp))
    return tp / count, precision


def voc07(recall, precision):
    # k / 10 may round above the recall that equals it, such as 3 of 10.
    best = [precision[recall >= k / 10 - 1e-6].max(initial=0) for k in range(11)]
    return float(np.mean(best))


def voc_area(recall, precision):
    recall = np.concatenate(([0], recall, [1]))
    precision = np.concatenate(([0], precision, [0]))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * precision[1:]))


def coco(images):
    annotations, results = [], []
    for index, (objects, detections) in enumerate(images):
        for name, b, difficult in objects:
            w, h = b[2] - b[0], b[3] - b[1]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": name + 1,
                    "bbox": [b[0], b[1], w, h],
                    "area": w * h,
                    "iscrowd": int(difficult),
                }
            )
        for name, score, b in detections:
            results.append(
                {
                    "image_id": index + 1,
                    "category_id": name + 1,
                    "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]],
                    "score": score,
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": index + 1} for index in range(len(images))],
            "categories": [{"id": name + 1, "name": str(name)} for name in range(CLASSES)],
            "annotations": annotations,
        }
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    precision = evaluator.eval["precision"][:, :, :, 0, -1]
    per_class = [precision[:, :, name].mean() for name in range(CLASSES)]
    keys = "map ap50 ap75 ap_small ap_medium ap_large "
    keys += "ar1 ar10 ar100 ar_small ar_medium ar_large"
    none = lambda value: None if value < 0 else float(value)
    numbers = {key: none(value) for key, value in zip(keys.split(), evaluator.stats)}
    return {"per_class": [none(ap) for ap in per_class], **numbers}


def main():
    cases = []
    for seed in range(1, int(sys.argv[1]) + 1):
        images = make_images(seed)
        case = {"seed": seed, "coco": coco(images)}
        for key, metric in (("voc07", voc07), ("voc", voc_area)):
            for threshold in (0.5, 0.3):
                curves = [voc_curve(images, name, threshold) for name in range(CLASSES)]
                aps = [None if curve is None else metric(*curve) for curve in curves]
                case[f"{key}@{threshold}"] = aps
        cases.append(case)
    json.dump(cases, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
