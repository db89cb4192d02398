"""Golden pixels for crates/ssdlite-image/tests/resize.rs.

    pip install numpy==2.4.6 torch==2.15.0 torchvision==0.29.2 pillow==13.0.0
    python reference/preprocessing.py \
        > crates/ssdlite-image/tests/golden/preprocessing.json

Images come from an integer formula that the Rust test repeats. `center_crop`
is torchvision's classification preset without its normalisation (`Resize` and
`CenterCrop` of a PIL image), `stretch` is PIL's bilinear resize.
"""

import json
import sys

import numpy as np
from PIL import Image
from torchvision.transforms import CenterCrop, Resize


def noise(width, height):
    """The linear congruential generator of Numerical Recipes, its top bytes."""
    state, pixels = 1, []
    for _ in range(width * height * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        pixels.append(state >> 24)
    return Image.fromarray(np.array(pixels, np.uint8).reshape(height, width, 3))


def center_crop(width, height, shorter_side, crop_width, crop_height):
    image = CenterCrop((crop_height, crop_width))(Resize(shorter_side)(noise(width, height)))
    return {
        "from": [width, height],
        "shorter_side": shorter_side,
        "to": [crop_width, crop_height],
        "pixels": np.asarray(image).ravel().tolist(),
    }


def stretch(width, height, to_width, to_height):
    image = noise(width, height).resize((to_width, to_height), Image.Resampling.BILINEAR)
    return {
        "from": [width, height],
        "shorter_side": None,
        "to": [to_width, to_height],
        "pixels": np.asarray(image).ravel().tolist(),
    }


json.dump(
    [
        stretch(37, 29, 11, 7),
        stretch(37, 29, 13, 31),
        center_crop(97, 61, 20, 17, 13),
        center_crop(31, 47, 16, 11, 15),
        center_crop(7, 5, 8, 8, 7),
    ],
    sys.stdout,
    separators=(",", ":"),
)
print()
