"""The integer formula that fills tensors for the golden numbers.

`crates/ssdlite-testing/src/formula.rs` is the same in Rust: both sides compute the
same network and the same inputs, so that no weights need to be committed.

Each element is a number `u` in [0, 1) made of the tensor's name and the
element's index, then scaled by what the tensor is for:

    weight of a convolution or linear layer   (2u - 1) * sqrt(5 / fan_in)
    its bias                                  (2u - 1) / 8
    batch norm: weight                        3/4 + u / 2
    batch norm: bias, running mean            (2u - 1) / 4
    batch norm: running variance              1/2 + u
    batch norm: batches tracked               7
"""

import math

import numpy as np
import torch
import torchvision
from torchvision.models.detection import ssdlite
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD

VERSIONS = f"torch {torch.__version__}, torchvision {torchvision.__version__}"


def fractions(name, count):
    """`count` numbers in [0, 1), multiples of 2**-24: FNV-1a of the name, then
    a finaliser over name and index."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = (seed ^ byte) * 0x01000193 & 0xFFFFFFFF
    bits = np.arange(count, dtype=np.uint64) * 0x9E3779B9 + seed & 0xFFFFFFFF
    bits ^= bits >> 16
    bits = bits * 0x7FEB352D & 0xFFFFFFFF
    bits ^= bits >> 15
    bits = bits * 0x846CA68B & 0xFFFFFFFF
    bits ^= bits >> 16
    return (bits >> 8).astype(np.float64) / 2.0**24


def signed(name, shape, bound):
    """Numbers from -bound to bound, as f32."""
    values = (2.0 * fractions(name, math.prod(shape)) - 1.0) * bound
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def positive(name, shape, low, width):
    """Numbers from low to low + width, as f32."""
    values = low + fractions(name, math.prod(shape)) * width
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def images(shape):
    """Network input from -2 to 2, `[N, 3, H, W]`."""
    return signed("images", shape, 2.0)


def image(height, width):
    """An image of bytes, `[H, W, 3]`: waves of a different length a channel
    and a few rectangles."""
    y, x = np.mgrid[0:height, 0:width]
    channels = []
    for channel in range(3):
        wave = (x * (3 + channel) + y * (7 - 2 * channel)) % 256
        blocks = ((x // 37 + y // 53 + channel) % 3) * 60
        channels.append((wave // 2 + blocks) % 256)
    return np.stack(channels, axis=2).astype(np.uint8)


def fill(model):
    """Fills all tensors of a model by the formula."""
    state = model.state_dict()
    norms = {key.removesuffix("running_mean") for key in state if key.endswith("running_mean")}
    for key, tensor in state.items():
        shape = tuple(tensor.shape)
        prefix, _, name = key.rpartition(".")
        if name == "num_batches_tracked":
            value = torch.tensor(7)
        elif name == "running_var":
            value = positive(key, shape, 0.5, 1.0)
        elif name == "running_mean" or (f"{prefix}." in norms and name == "bias"):
            value = signed(key, shape, 0.25)
        elif f"{prefix}." in norms:
            value = positive(key, shape, 0.75, 0.5)
        elif name == "bias":
            value = signed(key, shape, 0.125)
        else:
            value = signed(key, shape, math.sqrt(5.0 / math.prod(shape[1:])))
        state[key] = value
    model.load_state_dict(state, strict=True)
    return model


def classifier(variant, classes):
    """torchvision's MobileNetV3, filled, in evaluation mode."""
    return fill(getattr(torchvision.models, f"mobilenet_v3_{variant}")(num_classes=classes)).eval()


def detector(variant, outputs, reduced_tail=False, size=(320, 320), fill_it=True):
    """SSD-lite as `ssdlite320_mobilenet_v3_large` builds it, on either
    MobileNetV3. `outputs` counts the background; `size` is (width, height)."""
    norm = lambda channels: torch.nn.BatchNorm2d(channels, eps=0.001, momentum=0.03)
    backbone = getattr(torchvision.models, f"mobilenet_v3_{variant}")(
        norm_layer=norm, reduced_tail=reduced_tail
    )
    backbone = ssdlite._mobilenet_extractor(backbone, 6, norm)
    channels = torchvision.models.detection._utils.retrieve_out_channels(backbone, size)
    anchors = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    head = ssdlite.SSDLiteHead(channels, anchors.num_anchors_per_location(), outputs, norm)
    model = SSD(
        backbone,
        anchors,
        size,
        outputs,
        head=head,
        score_thresh=0.001,
        nms_thresh=0.55,
        detections_per_img=300,
        topk_candidates=300,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return fill(model).eval() if fill_it else model.eval()


def summary(tensor, samples=16):
    """Sums and evenly spaced elements of a tensor, for comparison in Rust."""
    flat = tensor.detach().double().flatten()
    count = flat.numel()
    indices = sorted({index * (count - 1) // max(samples - 1, 1) for index in range(samples)})
    return {
        "shape": list(tensor.shape),
        "sum": flat.sum().item(),
        "sum_of_squares": (flat * flat).sum().item(),
        "samples": [[index, flat[index].item()] for index in indices],
    }
