"""Golden pixels for crates/ssdlite-image/tests/images/jpeg_scales.rs.

    pip install numpy==2.4.6 pillow==13.0.0
    python reference/jpeg_scales.py > crates/ssdlite-image/tests/golden/jpeg_scales.json

JPEG files and what libjpeg-turbo makes of them at the whole of their width and height, at
a half, a quarter and an eighth: `Image.draft` asks it to decode at such a scale. Pixels
are given as the CRC-32 of packed RGB.
"""

import io
import json
import sys
import zlib

import numpy as np
from PIL import Image


def picture(width, height, channels):
    """Gradients under noise, so that blocks hold low and high frequencies."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    noise = np.random.default_rng(7).integers(-30, 31, (height, width, channels))
    waves = 60 * np.sin(x / (5 + c)) + 50 * np.cos(y / (4 + 2 * c)) + 2 * (x - y)
    pixels = np.clip(128 + waves + noise, 0, 255).astype(np.uint8)
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
    return Image.fromarray(pixels.squeeze(), mode)


def case(name, width, height, channels=3, **options):
    file = io.BytesIO()
    picture(width, height, channels).save(file, "JPEG", **options)
    scales = []
    for one_in in [1, 2, 4, 8]:
        image = Image.open(io.BytesIO(file.getvalue()))
        image.draft(None, (max(width // one_in, 1), max(height // one_in, 1)))
        scales.append({"size": image.size, "crc": zlib.crc32(image.convert("RGB").tobytes())})
    return {"name": name, "jpeg": file.getvalue().hex(), "scales": scales}


json.dump(
    [
        case("4:4:4", 45, 35, subsampling=0),
        case("4:2:2", 45, 35, subsampling=1),
        case("4:2:0", 45, 35, subsampling=2),
        case("4:2:0, whole MCUs", 48, 32, subsampling=2),
        case("4:2:0, fine", 29, 38, subsampling=2, quality=98),
        case("4:2:0, coarse", 45, 35, subsampling=2, quality=5),
        case("4:2:0, restarts", 45, 35, subsampling=2, restart_marker_blocks=2),
        case("4:2:0, 17 columns", 17, 24, subsampling=2),
        case("4:2:2, progressive", 45, 35, subsampling=1, progressive=True),
        case("4:2:0, progressive", 45, 35, subsampling=2, progressive=True),
        case("grey", 45, 35, 1),
        case("grey, progressive", 45, 35, 1, progressive=True),
        case("CMYK", 37, 35, 4),
        case("RGB", 37, 35, keep_rgb=True),
    ],
    sys.stdout,
    indent=0,
)
print()
