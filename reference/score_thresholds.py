"""Golden score thresholds for crates/ssdlite-eval/tests/golden.rs.

    pip install numpy==2.4.6 pycocotools==2.0.11
    python reference/score_thresholds.py 4 \
        > crates/ssdlite-eval/tests/golden/score_thresholds.json

The argument is the number of seeds. Objects and detections are those of
average_precision.py. Counts at a score are taken anew over all detections, and
the threshold is searched by the rule in the documentation of
`ScoreCurve::suggestion`, without any code of the crate.
"""

import json
import math
import sys

from average_precision import CLASSES, iou, make_images


def outcomes(images, name):
    """The number of objects, and score and hit of each detection that counts."""
    count = sum(n == name and not d for objects, _ in images for n, _, d in objects)
    found = [
        (score, index, box)
        for index, (_, detections) in enumerate(images)
        for n, score, box in detections
        if n == name
    ]
    taken, result = set(), []
    for score, index, box in sorted(found, key=lambda entry: -entry[0]):
        best, best_iou = None, 0
        for number, (n, truth, difficult) in enumerate(images[index][0]):
            if n == name and iou(truth, box) > best_iou:
                best, best_iou = (index, number, difficult), iou(truth, box)
        if best is None or best_iou < 0.5:
            result.append((score, 0))
        elif not best[2]:
            result.append((score, 0 if best in taken else 1))
            taken.add(best)
    return count, result


def counts(found, threshold):
    """Detections from a score on, and the hits among them."""
    hits = [hit for score, hit in found if score >= threshold]
    return len(hits), sum(hits)


def f1(objects, detections, hits):
    return 2 * hits / max(detections + objects, 1)


def suggestion(objects, found):
    """Threshold, detections and hits there, or None."""
    scores = sorted({score for score, _ in found}, reverse=True)
    values = [f1(objects, *counts(found, score)) for score in scores]
    if not values:
        return None
    best = values.index(max(values))
    detections, hits = counts(found, scores[best])
    fewer = max(1, math.sqrt(hits * (objects - hits) / max(objects, 1)))
    least = max(f1(objects, detections - fewer, hits - fewer), values[best] / 2)
    first, after = best, best
    while first > 0 and values[first - 1] >= least:
        first -= 1
    while after < len(values) and values[after] >= least:
        after += 1
    upper = scores[first]
    lower = min(upper, scores[after] if after < len(scores) else 0)
    expected = (objects * (lower + upper) / 2 + 10 * 0.45) / (objects + 10)
    expected = min(max(expected, lower), upper)
    rounded = [math.floor(expected * 10**p + 0.5) / 10**p for p in range(2, 7)]
    threshold = next((r for r in rounded if lower < r <= upper), upper)
    threshold = min(max(threshold, 0.05), 0.9)
    detections, hits = counts(found, threshold)
    if f1(objects, detections, hits) < 0.25:
        return None
    return [threshold, detections, hits]


def main():
    cases = []
    for seed in range(1, int(sys.argv[1]) + 1):
        images = make_images(seed)
        classes = [outcomes(images, name) for name in range(CLASSES)]
        objects = sum(count for count, _ in classes)
        found = [entry for _, found in classes for entry in found]
        cases.append(
            {
                "seed": seed,
                "objects": objects,
                "tenths": [counts(found, tenth / 10) for tenth in range(1, 10)],
                "all": suggestion(objects, found),
                "per_class": [suggestion(*entry) for entry in classes],
            }
        )
    print("[\n " + ",\n ".join(json.dumps(case) for case in cases) + "\n]")


if __name__ == "__main__":
    main()
