"""Golden losses and assignments of detectors, for
crates/ssdlite-train/tests/steps/losses.rs.

    pip install numpy==2.4.6 torch==2.15.0 torchvision==0.29.2
    python reference/detector_losses.py \
        > crates/ssdlite-train/tests/golden/detector_losses.json

GIoU is torchvision's. Quality focal loss (arXiv 2006.04388, equation 4) and ATSS (arXiv
1912.02424, algorithm 1) are written out here; so is the rule that then gives every object
its best default box. Everything is computed in double precision from numbers of
reference/formula.py.
"""

import json
import math

import torch
from torchvision.ops import box_convert, box_iou, generalized_box_iou_loss

from formula import VERSIONS, fractions, signed

IMAGES, BOXES, CLASSES = 2, 11, 3
CENTER_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
MAX_LOG_GROWTH = math.log(1000 / 16)
BETA = 2.0
GIOU_WEIGHT = 2.0
# Small against the areas, which are fractions of the image.
EPSILON = 1e-15

# (height, width) of the maps, and sides of the boxes at each of their cells.
MAPS = [
    ((7, 9), [(0.1, 0.13), (0.17, 0.09)]),
    ((4, 5), [(0.25, 0.25), (0.4, 0.2), (0.2, 0.45)]),
    ((2, 2), [(0.6, 0.5)]),
]
ATSS_CELLS = 9


def uniform(name, shape, low, high):
    values = low + (high - low) * fractions(name, math.prod(shape))
    return torch.from_numpy(values.astype("float32")).double().reshape(shape)


def decode(numbers, default_boxes):
    """Corners; torchvision's BoxCoder.decode with weights 1 / variance."""
    center = default_boxes[..., :2] + numbers[..., :2] * CENTER_VARIANCE * default_boxes[..., 2:]
    growth = (numbers[..., 2:] * SIZE_VARIANCE).clamp(max=MAX_LOG_GROWTH)
    size = default_boxes[..., 2:] * growth.exp()
    return torch.cat([center - size / 2, center + size / 2], dim=-1)


def quality_focal_loss(logits, quality):
    sigmoid = logits.sigmoid()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, quality, reduction="none"
    )
    return ((quality - sigmoid).abs() ** BETA * entropy).sum()


def losses():
    logits = signed("logits", (IMAGES, BOXES, CLASSES), 4.0).double().requires_grad_()
    # Far enough for boxes that don't meet.
    scale = torch.tensor([12.0, 12.0, 4.0, 4.0])
    regressions = (signed("regressions", (IMAGES, BOXES, 4), 1.0) * scale).double().requires_grad_()
    targets = (signed("targets", (IMAGES, BOXES, 4), 1.0) * scale).double()
    default_boxes = torch.cat(
        [uniform("centers", (BOXES, 2), 0.2, 0.8), uniform("sides", (BOXES, 2), 0.1, 0.5)], dim=-1
    )
    labels = torch.arange(IMAGES * BOXES).reshape(IMAGES, BOXES) * 5 % 7 % (CLASSES + 1)
    matched = labels > 0
    # One box is its target.
    with torch.no_grad():
        first = matched.nonzero()[0]
        regressions[tuple(first)] = targets[tuple(first)]
    found = decode(regressions, default_boxes.expand(IMAGES, -1, -1))[matched]
    wanted = decode(targets, default_boxes.expand(IMAGES, -1, -1))[matched]
    classes = torch.nn.functional.one_hot(labels, CLASSES + 1)[..., 1:].double()
    quality = torch.zeros_like(classes[matched])
    ious = torch.diagonal(box_iou(found, wanted)).detach()
    quality[classes[matched] > 0] = ious
    soft = classes.clone()
    soft[matched] = quality
    count = matched.sum()
    found_losses = {
        "quality-focal": quality_focal_loss(logits, soft),
        "giou": GIOU_WEIGHT
        * generalized_box_iou_loss(found, wanted, reduction="sum", eps=EPSILON),
    }
    results = {}
    for name, loss in found_losses.items():
        source = regressions if name == "giou" else logits
        (gradient,) = torch.autograd.grad(loss / count, source, retain_graph=True)
        results[name] = {
            "loss": (loss / count).item(),
            "gradient": gradient.flatten().tolist(),
        }
    return {
        "images": IMAGES,
        "logits": logits.flatten().tolist(),
        "regressions": regressions.flatten().tolist(),
        "targets": targets.flatten().tolist(),
        "labels": labels.flatten().tolist(),
        "default_boxes": default_boxes.tolist(),
        "results": results,
    }


def boxes_of_maps():
    """Centres and sides of all default boxes, and the first and last of each map."""
    boxes, ranges = [], []
    for (height, width), sides in MAPS:
        first = len(boxes)
        for row in range(height):
            for column in range(width):
                for side in sides:
                    boxes.append([(column + 0.5) / width, (row + 0.5) / height, *side])
        ranges.append((first, len(boxes), len(sides)))
    return torch.tensor(boxes, dtype=torch.float64), ranges


def assign(objects):
    """The object of each default box, or -1."""
    boxes, ranges = boxes_of_maps()
    ious = box_iou(box_convert(boxes, "cxcywh", "xyxy"), objects)
    centers = (objects[:, :2] + objects[:, 2:]) / 2
    distances = torch.cdist(boxes[:, :2], centers)
    candidates = []
    for first, last, boxes_a_cell in ranges:
        wanted = min(ATSS_CELLS * boxes_a_cell, last - first)
        nearest = distances[first:last].topk(wanted, dim=0, largest=False).indices
        candidates.append(nearest + first)
    candidates = torch.cat(candidates)
    near = ious.gather(0, candidates)
    least = near.mean(0) + near.std(0)
    center = boxes[candidates][..., :2]
    is_inside = ((center > objects[:, :2]) & (center < objects[:, 2:])).all(-1)
    is_positive = torch.zeros_like(ious, dtype=torch.bool)
    is_positive.scatter_(0, candidates, (near >= least) & is_inside)
    found, matches = torch.where(is_positive, ious, -1.0).max(1)
    matches[found < 0] = -1
    pairs = ious.clone()
    for _ in range(len(objects)):
        slot, best = divmod(int(pairs.argmax()), len(objects))
        if pairs[slot, best] <= 0:
            break
        matches[slot] = best
        pairs[slot] = 0
        pairs[:, best] = 0
    return matches


def atss():
    centers = uniform("object centers", (8, 2), 0.05, 0.95)
    sides = uniform("object sides", (8, 2), 0.03, 0.6)
    objects = torch.cat([centers - sides / 2, centers + sides / 2], dim=-1).float().double()
    return {
        "maps": [
            {"height": height, "width": width, "boxes": sides} for (height, width), sides in MAPS
        ],
        "objects": objects.tolist(),
        "matches": assign(objects).tolist(),
    }


if __name__ == "__main__":
    golden = {"versions": VERSIONS, "losses": losses(), "atss": atss()}
    print(json.dumps(golden))
