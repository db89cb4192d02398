"""MobileNetV3 + SSD-lite: objects in images, found on the CPU.

>>> import ssdlite
>>> detector = ssdlite.Detector.load("model.safetensors")
>>> found = detector.detect("photo.jpg")
>>> for name, score, box in zip(found.names, found.scores, found.boxes):
...     print(name, score, box)

Models are made by the command line, ``ssdlite train`` and ``ssdlite import``; detections
are to the bit those of ``ssdlite detect``.
"""

from ._ssdlite import (
    Classifier,
    Detections,
    Detector,
    GroundTruth,
    SsdliteError,
    __version__,
    evaluate,
)
from ._types import CocoReport, Image, VocReport

__all__ = [
    "Classifier",
    "CocoReport",
    "Detections",
    "Detector",
    "GroundTruth",
    "Image",
    "SsdliteError",
    "VocReport",
    "__version__",
    "evaluate",
]
