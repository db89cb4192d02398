"""Small PyTorch checkpoints for crates/ssdlite-model/tests/pth/main.rs.

    pip install numpy==2.4.6 torch==2.15.0 torchvision==0.29.2
    python reference/pth_files.py crates/ssdlite-model/tests/golden

Values come from reference/formula.py, by the tensors' names.
"""

import sys
from collections import OrderedDict
from pathlib import Path

import torch

from formula import signed

weight = signed("conv.weight", (5, 3, 1, 2), 1.0)
table = signed("table", (3, 7), 1.0)
state = OrderedDict(
    [
        ("conv.weight", weight),
        # Views of one storage: transposed, and a row with an offset.
        ("transposed", table.t()),
        ("row", table[1]),
        ("norm.num_batches_tracked", torch.tensor(1234567890123)),
        ("half", weight.half()),
    ]
)
folder = Path(sys.argv[1])
torch.save(state, folder / "zip.pth")
torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
wrapped = {"model": state, "optimizer": {"step": torch.tensor(3.0)}, "epoch": 7}
torch.save(wrapped, folder / "wrapped.pth")
