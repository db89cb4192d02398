"""Golden training steps, for crates/ssdlite-train/tests/steps/training_step.rs.

    pip install numpy==2.4.6 torch==2.15.0 torchvision==0.29.2
    python reference/training_step.py classifier \
        > crates/ssdlite-train/tests/golden/classifier_step.json
    python reference/training_step.py detector \
        > crates/ssdlite-train/tests/golden/detector_step.json

Weights and inputs come from reference/formula.py; everything after them is
computed in double precision, so that the numbers are right to more digits than
either side's single precision. One step of SGD with momentum 0.9 from rest and
weight decay 1e-4 on every parameter.
"""

import json
import sys

import torch
from torchvision.models.detection.image_list import ImageList

from formula import VERSIONS, classifier, detector, fractions, images, summary

LEARNING_RATE = 0.05
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4
MATCHED_ONE_IN = 97

CLASSIFIER_PARAMETERS = [
    "features.0.0.weight",
    "features.0.1.weight",
    "features.1.block.0.0.weight",
    "features.1.block.1.fc1.weight",
    "features.1.block.1.fc2.bias",
    "features.2.block.1.1.bias",
    "features.4.block.1.0.weight",
    "features.6.block.3.0.weight",
    "features.9.block.1.0.weight",
    "features.11.block.2.fc1.bias",
    "features.12.0.weight",
    "features.12.1.weight",
    "classifier.0.weight",
    "classifier.3.bias",
]
CLASSIFIER_NORMS = ["features.0.1", "features.3.block.1.1", "features.12.1"]

DETECTOR_PARAMETERS = [
    "backbone.features.0.0.0.weight",
    "backbone.features.0.0.1.bias",
    "backbone.features.0.4.block.1.0.weight",
    "backbone.features.0.5.block.2.fc1.weight",
    "backbone.features.0.9.0.weight",
    "backbone.features.1.0.1.0.weight",
    "backbone.features.1.0.2.fc2.bias",
    "backbone.features.1.3.1.weight",
    "backbone.extra.0.0.0.weight",
    "backbone.extra.2.1.0.weight",
    "head.classification_head.module_list.0.0.0.weight",
    "head.classification_head.module_list.1.1.weight",
    "head.classification_head.module_list.3.1.bias",
    "head.regression_head.module_list.0.1.weight",
    "head.regression_head.module_list.2.0.1.bias",
]
DETECTOR_NORMS = [
    "backbone.features.0.0.1",
    "backbone.features.1.3.1",
    "backbone.extra.2.2.1",
    "head.classification_head.module_list.0.0.1",
]


def step(model, compute_loss, parameters, norms):
    """One step; `compute_loss` gives the terms by name."""
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    terms = compute_loss()
    sum(terms.values()).backward()
    named = dict(model.named_parameters())
    gradients = {key: summary(named[key].grad, 24) for key in parameters}
    optimizer.step()
    buffers = model.state_dict()
    return {
        "learning_rate": LEARNING_RATE,
        "momentum": MOMENTUM,
        "weight_decay": WEIGHT_DECAY,
        "loss": {name: term.item() for name, term in terms.items()},
        "gradients": gradients,
        "updated": {key: summary(named[key], 24) for key in parameters},
        "running": {
            f"{key}.{name}": summary(buffers[f"{key}.{name}"], 24)
            for key in norms
            for name in ("running_mean", "running_var")
        },
    }


def classifier_step():
    shape, classes = (4, 3, 65, 97), 10
    labels = [3, 0, 9, 5]
    model = classifier("small", classes).double().train()
    model.classifier[2].p = 0.0
    inputs = images(shape).double()

    def compute_loss():
        logits = model(inputs)
        return {"cross_entropy": torch.nn.functional.cross_entropy(logits, torch.tensor(labels))}

    return {
        "variant": "small",
        "classes": classes,
        "input": list(shape),
        "labels": labels,
        **step(model, compute_loss, CLASSIFIER_PARAMETERS, CLASSIFIER_NORMS),
    }


def detector_targets(batch, boxes, classes, width, height):
    """Two boxes an image, and which default box takes which of them."""
    targets, matches = [], []
    for image in range(batch):
        corners = [
            [10.5 + 31 * image, 7.25, 90.0 + 31 * image, 101.5],
            [width / 3, 40.0 + 5 * image, width / 1.5, height - 9.0],
        ]
        labels = [1 + image % classes, 1 + (image + 2) % classes]
        chance = (fractions(f"matches {image}", boxes) * 2**24).astype(int)
        matched = [
            (index, value // MATCHED_ONE_IN % 2)
            for index, value in enumerate(chance.tolist())
            if value % MATCHED_ONE_IN == 0
        ]
        targets.append({"boxes": corners, "labels": labels})
        matches.append(matched)
    return targets, matches


def detector_step():
    shape, outputs = (4, 3, 352, 576), 6
    batch, _, height, width = shape
    model = detector("small", outputs, size=(width, height)).double().train()
    inputs = images(shape).double()
    features = [map.detach() for map in model.eval().backbone(inputs).values()]
    model.train()
    anchors = model.anchor_generator(ImageList(inputs, [(height, width)] * batch), features)
    boxes = len(anchors[0])
    targets, matches = detector_targets(batch, boxes, outputs - 1, width, height)

    tensors = [
        {
            "boxes": torch.tensor(target["boxes"], dtype=torch.float64),
            "labels": torch.tensor(target["labels"]),
        }
        for target in targets
    ]
    matched_idxs = []
    for matched in matches:
        idxs = torch.full((boxes,), -1)
        for index, target in matched:
            idxs[index] = target
        matched_idxs.append(idxs)

    def compute_loss():
        heads = model.head(list(model.backbone(inputs).values()))
        report_mining_margin(heads["cls_logits"], matched_idxs)
        return model.compute_loss(tensors, heads, anchors, matched_idxs)

    return {
        "variant": "small",
        "outputs": outputs,
        "input": list(shape),
        "boxes": boxes,
        "targets": targets,
        "matches": matches,
        **step(model, compute_loss, DETECTOR_PARAMETERS, DETECTOR_NORMS),
    }


def report_mining_margin(logits, matched_idxs):
    """The least gap between the mined and the spared negatives: if it were as
    small as a rounding error, single precision might mine others."""
    loss = -torch.log_softmax(logits.detach(), dim=2)[:, :, 0]
    for image, idxs in enumerate(matched_idxs):
        count = 3 * int((idxs >= 0).sum())
        negatives = loss[image][idxs < 0].sort(descending=True).values
        gap = ((negatives[count - 1] - negatives[count]) / negatives[count]).item()
        print(f"image {image}: {count} negatives mined, relative gap {gap:.1e}", file=sys.stderr)


golden = {"classifier": classifier_step, "detector": detector_step}[sys.argv[1]]()
json.dump({"versions": VERSIONS, **golden}, sys.stdout)
print()
