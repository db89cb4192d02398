"""Golden outputs of the networks for crates/ssdlite-train/tests/steps/forward.rs.

    pip install numpy==2.4.6 torch==2.15.0 torchvision==0.29.2
    python reference/forward.py > crates/ssdlite-train/tests/golden/forward.json

Weights and inputs come from reference/formula.py.
"""

import json
import sys

import torch

from formula import VERSIONS, classifier, detector, images, image, summary

# Not square, and odd in one direction.
CLASSIFIER_SHAPES = [(1, 3, 224, 224), (2, 3, 97, 131)]
CLASSES = 17
COCO_OUTPUTS = 91


def classifiers():
    for variant in ("small", "large"):
        model = classifier(variant, CLASSES)
        for shape in CLASSIFIER_SHAPES:
            logits = model(images(shape))
            yield {"variant": variant, "input": list(shape), "logits": logits.flatten().tolist()}


def detectors():
    for variant, outputs, reduced_tail, shape in (
        ("large", COCO_OUTPUTS, True, (1, 3, 320, 320)),
        ("small", 8, False, (1, 3, 203, 300)),
    ):
        model = detector(variant, outputs, reduced_tail, size=(shape[3], shape[2]))
        heads = model.head(list(model.backbone(images(shape)).values()))
        yield {
            "variant": variant,
            "outputs": outputs,
            "reduced_tail": reduced_tail,
            "input": list(shape),
            "logits": summary(heads["cls_logits"], 64),
            "regressions": summary(heads["bbox_regression"], 64),
        }


def detections():
    """torchvision's whole pipeline on an image that needs no resizing."""
    model = detector("large", COCO_OUTPUTS, True)
    pixels = torch.from_numpy(image(320, 320)).permute(2, 0, 1).float() / 255.0
    found = model([pixels])[0]
    return {
        "count": len(found["scores"]),
        "first": [
            {"label": label, "score": score, "box": box}
            for label, score, box in zip(
                found["labels"].tolist()[:40],
                found["scores"].tolist()[:40],
                found["boxes"].tolist()[:40],
            )
        ],
    }


with torch.no_grad():
    golden = {
        "versions": VERSIONS,
        "classifiers": list(classifiers()),
        "detectors": list(detectors()),
        "detections": detections(),
    }
json.dump(golden, sys.stdout)
print()
