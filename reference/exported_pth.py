"""Loads what `ssdlite export --to pth` writes into PyTorch.

    .ci/pytorch [--epochs N]

The detectors and classifiers of `exported_models.py` are trained, exported, and loaded
with `weights_only=True`. The state dicts must hold the model files' tensors, and load
with `strict=True` into torchvision's modules where it has such. A table goes to standard
output; the exit code is 1 if anything differs.
"""

import inspect
import sys

import numpy as np
import torch
import torchvision

from exported_models import DETECTOR_SIDE, Faults, arguments, export, read_safetensors
from exported_models import prepared
from formula import VERSIONS, detector


def module(info):
    """torchvision's module for a model, or none."""
    variant, classes = info["backbone"]["variant"], len(info["classes"])
    if info["task"] == "classify":
        return getattr(torchvision.models, f"mobilenet_v3_{variant}")(num_classes=classes)
    if info["task"]["detect"]["head"] != "ssdlite":
        return None
    has_background = info["task"]["detect"].get("scores", "softmax") == "softmax"
    size = (DETECTOR_SIDE, DETECTOR_SIDE)
    return detector(variant, classes + has_background, size=size, fill_it=False)


def main():
    print(VERSIONS, end="\n\n")
    # Since PyTorch 2.1.
    can_map = "mmap" in inspect.signature(torch.load).parameters
    ways = [{}, {"mmap": True}] if can_map else [{}]
    faults = Faults()
    print("| file | tensors | loaded with strict=True into |")
    print("|---|---|---|")
    with prepared(arguments(__doc__).parse_args()) as (program, work, _, detectors, classifiers):
        for name, model in {**detectors, **classifiers}.items():
            out = export(program, model, work / f"{name}.pth", [])
            info, expected = read_safetensors(model)
            for way in ways:
                state = torch.load(str(out), weights_only=True, **way)
                faults.expect(set(state) == set(expected), f"{name}: other keys")
                for key, tensor in state.items():
                    same = np.array_equal(tensor.numpy(), expected[key])
                    faults.expect(same, f"{name}: {key} of shape {tuple(tensor.shape)}")
            into = module(info)
            if into is not None:
                into.load_state_dict(state, strict=True)
            told = "none: the head is not torchvision's" if into is None else type(into).__name__
            print(f"| {out.name} | {len(state)} | {told} |", flush=True)
    print()
    sys.exit(faults.verdict())


if __name__ == "__main__":
    main()
