#!/usr/bin/env python3
"""Compares what `ssdlite detect --json` printed twice, such as on two kinds of processor.

    python3 reference/same_detections.py x86.jsonl arm.jsonl

Each detection of one file needs a partner in the other: the same class, and a score and
a box within 1e-4, the box in fractions of the image's longer side. One whose score is
that near to the lowest told may lack it.
"""

import json
import sys

TOLERANCE = 1e-4


def images(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def difference(one, other, side):
    """The larger of the difference of the scores and that of the boxes."""
    corners = zip(one["box"], other["box"], strict=True)
    box = max(abs(a - b) for a, b in corners) / side
    return max(box, abs(one["score"] - other["score"]))


def compare(image, other):
    """The number of pairs, the largest difference, and the detections without a partner."""
    side = max(image["width"], image["height"])
    left = list(other["detections"])
    lowest = min((found["score"] for found in image["detections"] + left), default=0)
    pairs, largest, alone = 0, 0.0, []
    for found in image["detections"]:
        same = [o for o in left if o["class"] == found["class"]]
        partner = min(same, key=lambda o: difference(found, o, side), default=None)
        if partner is None or difference(found, partner, side) > TOLERANCE:
            alone.append(found)
            continue
        left.remove(partner)
        pairs += 1
        largest = max(largest, difference(found, partner, side))
    alone += left
    return pairs, largest, [f for f in alone if f["score"] > lowest + TOLERANCE]


def main():
    one, other = (images(path) for path in sys.argv[1:])
    names = [[image["image"] for image in each] for each in (one, other)]
    if names[0] != names[1]:
        sys.exit(f"expected the same images, found {names[0]} and {names[1]}")
    pairs, largest = 0, 0.0
    for image, partner in zip(one, other, strict=True):
        size = [(i["width"], i["height"]) for i in (image, partner)]
        if size[0] != size[1]:
            sys.exit(f"{image['image']}: expected the same size, found {size}")
        count, difference_here, alone = compare(image, partner)
        if alone:
            sys.exit(f"{image['image']}: without a partner within {TOLERANCE}: {alone}")
        pairs += count
        largest = max(largest, difference_here)
    if pairs == 0:
        sys.exit("expected detections, found none")
    print(f"{pairs} detections in {len(one)} images differ by at most {largest:.1e}")


if __name__ == "__main__":
    main()
