"""Loads model files of ssdlite into torchvision's modules, with strict=True.

    pip install numpy==2.4.6 safetensors==0.8.0 torch==2.15.0 torchvision==0.29.2
    python reference/load_model.py runs/mine/best.safetensors ...

For each file it prints the module, the tensors and the numbers in them, and what
a grey image comes to.
"""

import json
import sys

import torch
import torchvision
from safetensors import safe_open

from formula import VERSIONS, detector


def read(path):
    """A model file's description and tensors."""
    with safe_open(path, framework="pt") as file:
        info = json.loads(file.metadata()["ssdlite"])
        return info, {key: file.get_tensor(key) for key in file.keys()}


def module(info):
    """torchvision's module for a model, with random weights."""
    backbone = info["backbone"]
    variant, width = backbone["variant"], backbone.get("width_multiplier", 1.0)
    reduced_tail = backbone.get("reduced_tail", False)
    if backbone.get("minimalistic"):
        sys.exit("torchvision has no minimalistic MobileNetV3")
    classes = len(info["classes"])
    if info["task"] == "classify":
        build = getattr(torchvision.models, f"mobilenet_v3_{variant}")
        return build(num_classes=classes, width_mult=width, reduced_tail=reduced_tail).eval()
    if width != 1.0:
        sys.exit("torchvision builds SSD-lite of width 1 alone")
    size = info["preprocessing"]["size"]
    size = (size["width"], size["height"])
    has_background = info["task"]["detect"].get("scores", "softmax") == "softmax"
    return detector(variant, classes + has_background, reduced_tail, size, fill_it=False)


def main():
    print(VERSIONS)
    for path in sys.argv[1:]:
        info, state = read(path)
        model = module(info)
        model.load_state_dict(state, strict=True)
        numbers = sum(tensor.numel() for tensor in state.values())
        parameters = sum(parameter.numel() for parameter in model.parameters())
        print(f"{path}: {type(model).__name__} with the classes {', '.join(info['classes'])}")
        print(f"  {len(state)} tensors of {numbers} numbers, {parameters} of them parameters")
        size = info["preprocessing"]["size"]
        grey = torch.full((3, size["height"], size["width"]), 0.5)
        with torch.no_grad():
            if info["task"] == "classify":
                print(f"  logits of mid-grey: {model(grey[None]).flatten()[:5].tolist()}")
            else:
                [found] = model([grey])
                print(f"  detections in mid-grey: {len(found['scores'])}")


main()
