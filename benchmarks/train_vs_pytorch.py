#!/usr/bin/env python3
"""Times a training step on the CPU: ssdlite against PyTorch and torchvision.

Both sides do forward, loss, backward and an SGD step on images that are in
memory, in fp32, with the same threads: ours by `ssdlite bench train`, PyTorch's
channels-last with torchvision's networks and torchvision's loss (two objects a
image). They run alternately, each in a process of its own, so that a busy
machine slows both.

It installs nothing. What it needs:

    cargo build --release -p ssdlite-cli
    python3 -m venv venv
    venv/bin/pip install torch torchvision
    venv/bin/python benchmarks/train_vs_pytorch.py --ssdlite target/release/ssdlite
"""

import argparse
import functools
import json
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass

import machine
from runs import run_json

WARM_UP = 3
OBJECTS = 2


@dataclass(frozen=True)
class Row:
    """A network and a batch."""

    task: str
    backbone: str
    size: int
    batch: int
    classes: int

    @property
    def name(self) -> str:
        noun = "classifier" if self.task == "classify" else "detector"
        return f"{noun}-{self.backbone}-{self.size}"


ROWS = [
    Row("classify", "small", 224, 32, 1000),
    Row("classify", "large", 224, 32, 1000),
    Row("detect", "small", 300, 24, 21),
    Row("detect", "large", 320, 24, 21),
]


def torchvision_detector(row: Row):
    """torchvision's ssdlite320_mobilenet_v3_large with a choice of backbone and
    input size, and the backbone's full tail."""
    import torch
    from torchvision.models import mobilenet_v3_large, mobilenet_v3_small
    from torchvision.models.detection import _utils as utils
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD
    from torchvision.models.detection.ssdlite import SSDLiteHead, _mobilenet_extractor

    norm = functools.partial(torch.nn.BatchNorm2d, eps=0.001, momentum=0.03)
    network = mobilenet_v3_small if row.backbone == "small" else mobilenet_v3_large
    backbone = _mobilenet_extractor(network(weights=None, norm_layer=norm), 6, norm)
    size = (row.size, row.size)
    boxes = DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95)
    channels = utils.retrieve_out_channels(backbone, size)
    head = SSDLiteHead(channels, boxes.num_anchors_per_location(), row.classes, norm)
    mean = [0.5, 0.5, 0.5]
    return SSD(
        backbone, boxes, size, row.classes, head=head, image_mean=mean, image_std=mean
    )


def detector_loss(row: Row):
    """A function from images to torchvision's loss, and the network.

    The images go to the network itself: SSD's own forward would resize and
    normalise them first, which neither side is timed for.
    """
    import torch
    from torchvision.models.detection.image_list import ImageList
    from torchvision.ops import box_iou

    network = torchvision_detector(row)
    targets = []
    for _ in range(row.batch):
        corner = torch.rand(OBJECTS, 2) * row.size / 2
        extent = (torch.rand(OBJECTS, 2) * 0.375 + 0.125) * row.size
        targets.append(
            {
                "boxes": torch.cat([corner, corner + extent], dim=1),
                "labels": torch.randint(1, row.classes, (OBJECTS,)),
            }
        )

    def loss(images):
        features = list(network.backbone(images).values())
        outputs = network.head(features)
        sizes = [(row.size, row.size)] * row.batch
        anchors = network.anchor_generator(ImageList(images, sizes), features)
        matched = [
            network.proposal_matcher(box_iou(target["boxes"], boxes))
            for target, boxes in zip(targets, anchors)
        ]
        return sum(network.compute_loss(targets, outputs, anchors, matched).values())

    return loss, network


def classifier_loss(row: Row):
    """A function from images to the cross entropy, and the network."""
    import torch
    from torchvision.models import mobilenet_v3_large, mobilenet_v3_small

    make = mobilenet_v3_small if row.backbone == "small" else mobilenet_v3_large
    network = make(weights=None, num_classes=row.classes)
    labels = torch.arange(row.batch) % row.classes
    entropy = torch.nn.CrossEntropyLoss()
    return (lambda images: entropy(network(images), labels)), network


def time_pytorch(row: Row, threads: int, steps: int) -> dict:
    """Seconds of a step, and the process's peak memory."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    loss, network = (detector_loss if row.task == "detect" else classifier_loss)(row)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=1e-3, momentum=0.9, weight_decay=0.01
    )
    images = torch.rand(row.batch, 3, row.size, row.size) * 2 - 1
    images = images.to(memory_format=torch.channels_last)
    seconds = []
    for step in range(WARM_UP + steps):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss(images).backward()
        optimizer.step()
        if step >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return {
        "median_s_per_step": statistics.median(seconds),
        "min_s_per_step": min(seconds),
        # Linux counts in KiB.
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def run_ours(row: Row, arguments: argparse.Namespace) -> dict:
    options = asdict(row) | {"threads": arguments.threads, "steps": arguments.steps}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return run_json([arguments.ssdlite, "bench", "train", *words, "--json"])


def run_pytorch(row: Row, arguments: argparse.Namespace) -> dict:
    numbers = ["--threads", str(arguments.threads), "--steps", str(arguments.steps)]
    return run_json([sys.executable, __file__, "--pytorch", row.name, *numbers])


def summary(runs: list[dict]) -> dict:
    """The median over the runs of each number."""
    keys = ("median_s_per_step", "min_s_per_step", "peak_memory_bytes")
    return {key: statistics.median(run[key] for run in runs) for key in keys}


def compare(rows: list[Row], arguments: argparse.Namespace) -> None:
    """Prints a table."""
    import torch
    import torchvision

    versions = [f"PyTorch {torch.__version__}", f"torchvision {torchvision.__version__}"]
    print(machine.heading(arguments.ssdlite, versions))
    print(
        f"{arguments.threads} threads, median of "
        f"{arguments.rounds} runs of {arguments.steps} steps"
    )
    print()
    print(
        "| network | batch | ssdlite, s a step | PyTorch, s a step | ratio | best to best "
        "| ssdlite, peak MiB | PyTorch, peak MiB | share |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            ours.append(run_ours(row, arguments))
            theirs.append(run_pytorch(row, arguments))
        best = min(r["min_s_per_step"] for r in theirs) / min(
            r["min_s_per_step"] for r in ours
        )
        a, b = summary(ours), summary(theirs)
        ratio = b["median_s_per_step"] / a["median_s_per_step"]
        memory = a["peak_memory_bytes"] / b["peak_memory_bytes"]
        print(
            f"| {row.name} | {row.batch} | {a['median_s_per_step']:.3f} "
            f"| {b['median_s_per_step']:.3f} | {ratio:.2f} | {best:.2f} "
            f"| {a['peak_memory_bytes'] / 2**20:.0f} "
            f"| {b['peak_memory_bytes'] / 2**20:.0f} | {memory:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [row.name for row in ROWS]
    parser.add_argument("--ssdlite", default="target/release/ssdlite")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10, help="steps of a run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--rows", nargs="+", choices=names, default=names)
    parser.add_argument("--pytorch", choices=names, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pytorch:
        row = next(row for row in ROWS if row.name == arguments.pytorch)
        print(json.dumps(time_pytorch(row, arguments.threads, arguments.steps)))
    else:
        compare([row for row in ROWS if row.name in arguments.rows], arguments)


if __name__ == "__main__":
    main()
