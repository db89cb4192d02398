"""Types of arguments and results."""

import os
from typing import TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

Image: TypeAlias = str | os.PathLike[str] | bytes | npt.NDArray[np.uint8]
"""An image: the path of a file, the bytes of one, or an array ``[height, width, 3]``."""


class VocReport(TypedDict):
    """What ``evaluate`` says by the metrics of VOC."""

    metric: str
    iou: float
    map: float | None
    per_class: dict[str, float | None]
    images: int
    objects: int


class CocoReport(TypedDict):
    """What ``evaluate`` says by COCO's metric."""

    metric: str
    map: float | None
    per_class: dict[str, float | None]
    images: int
    objects: int
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
