"""Writes tests/testdata/gguf_blocks.json: random ggml blocks and the values the gguf package reads in them,
and tests/testdata/gguf_rounded.json: values and the blocks the gguf package rounds them to.

Needs `pip install gguf==0.19.0 numpy`. Scales are random half-precision numbers, codes random bytes, so every bit of a
block counts. Values are hex too: float32, little-endian.
"""

import json
import pathlib

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

BLOCKS = {
    "F32": 8, "F16": 8, "BF16": 8, "Q8_0": 2, "Q4_0": 2, "Q4_1": 2, "Q4_K": 2, "Q6_K": 2,
    "Q5_0": 3, "Q5_1": 3, "Q2_K": 2, "Q3_K": 2, "Q5_K": 2, "IQ4_NL": 3, "IQ4_XS": 2, "MXFP4": 4,
}
HALVES = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q4_K": [0, 2], "Q6_K": [208],
    "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q5_K": [0, 2], "IQ4_NL": [0], "IQ4_XS": [0],
    "MXFP4": [],
}

random = np.random.default_rng(20)
cases = []
for name, count in BLOCKS.items():
    type = GGMLQuantizationType[name]
    size = GGML_QUANT_SIZES[type][1]
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    if name in HALVES:
        for at in HALVES[name]:
            halves = (random.normal(size=count) * 0.02).astype("<f2")
            blocks[:, at : at + 2] = halves.view(np.uint8).reshape(count, 2)
    else:
        values = random.normal(size=count).astype("<f4")
        if name == "F32":
            blocks = values.view(np.uint8)
        elif name == "F16":
            blocks = values.astype("<f2").view(np.uint8)
        else:
            blocks = (values.view("<u4") >> 16).astype("<u2").view(np.uint8)
    data = blocks.reshape(1, -1)
    if name in ("F32", "F16"):
        data = data.view("<f4" if name == "F32" else "<f2")
    values = dequantize(data, type).astype("<f4")
    cases.append({"type": name, "blocks": blocks.tobytes().hex(), "values": values.tobytes().hex()})

path = pathlib.Path(__file__).parent.parent / "testdata" / "gguf_blocks.json"
path.write_text(json.dumps(cases, indent=1) + "\n")

random = np.random.default_rng(21)
rows = [random.normal(size=32) * 10.0 ** random.uniform(-6, 3) for _ in range(24)]
rows += [np.zeros(32), np.full(32, 0.75), np.arange(32) / 8, -np.arange(32.0), np.arange(-16, 16) * 1e-7]
rows += [np.where(np.arange(32) % 2, 4.0, -4.0), np.arange(32) % 16 - 8 + 0.5, np.linspace(-127, 127, 32) * 4 + 0.5]
values = np.stack(rows).astype("<f4")
rounded = [
    {"type": name, "values": values.tobytes().hex(), "blocks": quantize(values, GGMLQuantizationType[name]).tobytes().hex()}
    for name in ("Q8_0", "Q4_0", "Q4_1")
]
(path.parent / "gguf_rounded.json").write_text(json.dumps(rounded, indent=1) + "\n")
