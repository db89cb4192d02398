"""Goldens of `ssdlite-data`'s `augment::photometric`: torchvision's steps on three pixels.

    python reference/photometric_distort.py

Made with torchvision 0.29.2. Prints, for each distortion, red, green and blue
of the three pixels.
"""

import torch
from torchvision.transforms.v2 import functional as F

PIXELS = torch.tensor([[51, 102, 153], [204, 26, 77], [10, 250, 128]]).T.reshape(3, 1, 3) / 255


def distort(brightness, contrast, saturation, hue):
    pixels = F.adjust_brightness(PIXELS, brightness)
    pixels = F.adjust_contrast(pixels, contrast)
    pixels = F.adjust_saturation(pixels, saturation)
    pixels = F.adjust_hue(pixels, hue)
    return [round(value, 6) for value in pixels.permute(1, 2, 0).flatten().tolist()]


print(distort(1.1, 1.0, 1.4, 0.05))
print(distort(0.9, 0.6, 0.7, -0.04))
