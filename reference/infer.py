"""Golden outputs of whole models on 8-bit images for crates/ssdlite-infer.

    pip install numpy==2.4.6 torch==2.15.0 torchvision==0.29.2
    python reference/infer.py > crates/ssdlite-infer/tests/golden/outputs.json

Weights and images come from reference/formula.py. The images have the
networks' input sizes, so nothing is resized.
"""

import json
import sys

import torch

from formula import VERSIONS, classifier, detector, image, summary

# (height, width): not square, odd in one direction or both.
CLASSIFIER_SIZES = [(224, 224), (97, 131)]
DETECTOR_SIZES = [(320, 320), (203, 300)]
CLASSES = 17
IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]


def network_input(height, width, mean, std):
    pixels = torch.from_numpy(image(height, width)).permute(2, 0, 1).double() / 255.0
    mean, std = (torch.tensor(numbers).double().reshape(3, 1, 1) for numbers in (mean, std))
    return ((pixels - mean) / std).float()[None]


def classifiers():
    for variant in ("small", "large"):
        model = classifier(variant, CLASSES)
        for height, width in CLASSIFIER_SIZES:
            logits = model(network_input(height, width, IMAGENET_MEAN, IMAGENET_STD))
            yield {
                "variant": variant,
                "height": height,
                "width": width,
                "logits": logits.flatten().tolist(),
            }


def detectors():
    for variant, outputs, reduced_tail in (
        ("large", 21, False),
        ("large", 8, True),
        ("small", 21, False),
        ("small", 8, True),
    ):
        for height, width in DETECTOR_SIZES:
            model = detector(variant, outputs, reduced_tail, size=(width, height))
            features = model.backbone(network_input(height, width, [0.5] * 3, [0.5] * 3))
            heads = model.head(list(features.values()))
            yield {
                "variant": variant,
                "reduced_tail": reduced_tail,
                "outputs": outputs,
                "height": height,
                "width": width,
                "logits": summary(heads["cls_logits"], 32),
                "regressions": summary(heads["bbox_regression"], 32),
            }


with torch.no_grad():
    golden = {
        "versions": VERSIONS,
        "classifiers": list(classifiers()),
        "detectors": list(detectors()),
    }
json.dump(golden, sys.stdout)
print()
