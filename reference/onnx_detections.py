"""What the outputs of exported files say, in the terms of `ssdlite detect`.

A detection is (class id, score, [x1, y1, x2, y2] in pixels of the input). NumPy alone,
and none of ssdlite's code.
"""

import xml.etree.ElementTree

import numpy as np

MAX_IOU = 0.45
MOST = 300


def iou(box, others):
    least = np.maximum(box[:2], others[:, :2])
    greatest = np.minimum(box[2:], others[:, 2:])
    shared = np.clip(greatest - least, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return shared / np.maximum(areas - shared, 1e-12)


def suppressed(boxes, scores, least_score):
    """The detections that are left of `boxes [A,4]` with `scores [A,C]`."""
    found = []
    for number in range(scores.shape[1]):
        candidates = np.flatnonzero(scores[:, number] >= least_score)
        order = np.argsort(-scores[candidates, number], kind="stable")
        candidates = candidates[order]
        while len(candidates):
            best, rest = candidates[0], candidates[1:]
            found.append((number, float(scores[best, number]), boxes[best].tolist()))
            candidates = rest[iou(boxes[best], boxes[rest]) <= MAX_IOU]
    return sorted(found, key=lambda detection: -detection[1])[:MOST]


def from_raw(outputs, size, least_score):
    corners = outputs["boxes"] * np.array([*size, *size], np.float32)
    pairs = zip(corners, outputs["scores"])
    return [suppressed(boxes, scores, least_score) for boxes, scores in pairs]


def from_jetson(outputs, size, least_score):
    without_background = {**outputs, "scores": outputs["scores"][..., 1:]}
    return from_raw(without_background, size, least_score)


def from_yolo(outputs, size, least_score):
    found = []
    for columns in outputs["output0"]:
        centers, sizes, scores = columns[:2].T, columns[2:4].T, columns[4:].T
        boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)
        found.append(suppressed(boxes, scores, least_score))
    return found


def from_nms(outputs, size, least_score):
    found = []
    for rows in outputs["detections"]:
        rows = rows[rows[:, 4] > 0]
        found.append([(int(row[5]), float(row[4]), row[:4].tolist()) for row in rows])
    return found


def from_ssd7(outputs, size, least_score):
    [[rows]] = outputs["detection_out"]
    found = []
    for image, number, score, *corners in rows.tolist():
        if image < 0:
            break
        corners = [corner * side for corner, side in zip(corners, [*size, *size])]
        found.append((int(number) - 1, score, corners))
    return [found]


READERS = {
    "raw": from_raw,
    "nms": from_nms,
    "yolo": from_yolo,
    "ssd7": from_ssd7,
    "jetson": from_jetson,
}


def differences(ours, theirs, least_score, tolerances):
    """The largest differences of scores and of boxes, and what one side alone found.

    Detections at the least score may be on one side alone.
    """
    score_tolerance, box_tolerance = tolerances
    left = list(theirs)
    scores, boxes, alone = [0.0], [0.0], []
    for number, score, box in ours:
        near = []
        for place, (other_number, other_score, other_box) in enumerate(left):
            by_score = abs(score - other_score)
            by_box = max(abs(a - b) for a, b in zip(box, other_box))
            if number == other_number and by_score < score_tolerance and by_box < box_tolerance:
                near.append((by_box, by_score, place))
        if near:
            by_box, by_score, place = min(near)
            scores.append(by_score)
            boxes.append(by_box)
            left.pop(place)
        else:
            alone.append((number, score, box))
    alone = [found for found in alone + left if found[1] > least_score + score_tolerance]
    return max(scores), max(boxes), alone


def objects_of(annotation, names):
    """An annotation's objects: class id, [x1, y1, x2, y2), whether it is difficult."""
    objects = []
    for found in xml.etree.ElementTree.parse(annotation).getroot().iter("object"):
        keys = ("xmin", "ymin", "xmax", "ymax")
        x1, y1, x2, y2 = (float(found.find(f"bndbox/{key}").text) for key in keys)
        box = [x1 - 1, y1 - 1, x2, y2]
        difficult = (found.findtext("difficult") or "0").strip() == "1"
        objects.append((names.index(found.findtext("name").strip()), box, difficult))
    return objects


def mean_average_precision(objects, detections, classes):
    """VOC 2007's mean over 11 points and over the classes that have objects."""
    precisions = []
    for number in range(classes):
        count = sum(n == number and not hard for found in objects for n, _, hard in found)
        if not count:
            continue
        ranked = [
            (score, image, box)
            for image, found in enumerate(detections)
            for n, score, box in found
            if n == number
        ]
        ranked.sort(key=lambda found: -found[0])
        hits, misses, taken = [0], [0], set()
        for _, image, box in ranked:
            truths = [truth for truth in objects[image] if truth[0] == number]
            overlaps = iou(np.array(box), np.array([t[1] for t in truths]).reshape(-1, 4))
            best = int(overlaps.argmax()) if truths else None
            is_hit = best is not None and overlaps[best] >= 0.5
            if is_hit and truths[best][2]:
                continue
            is_new = is_hit and (image, best) not in taken
            if is_new:
                taken.add((image, best))
            hits.append(hits[-1] + is_new)
            misses.append(misses[-1] + (not is_new))
        hits, misses = np.array(hits[1:]), np.array(misses[1:])
        recall, precision = hits / count, hits / np.maximum(hits + misses, 1)
        best = [precision[recall >= k / 10 - 1e-6].max(initial=0) for k in range(11)]
        precisions.append(np.mean(best))
    return float(np.mean(precisions))
