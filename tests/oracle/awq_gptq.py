"""Writes tests/testdata/awq_gptq.json: random codes and what the packers of AutoAWQ and GPTQModel make of them.

    pip install --no-build-isolation gptqmodel==7.7.0   (torch 2.14, a CPU is enough)
    pip download --no-deps --no-binary autoawq autoawq==0.2.9, unpacked: a source to read, not to install
    python tests/oracle/awq_gptq.py autoawq-0.2.9

Tensors are hex, little-endian. Codes are unsigned [outputs, inputs], scales and zeros [outputs, groups]; parts are
as the packer left them. `values` is the sha256 of what the package reads from its parts, float32 [outputs, inputs].
"""

import hashlib
import json
import sys
import types
from pathlib import Path

import torch
from gptqmodel.nn_modules.qlinear.gemv_fast_awq import LLMAwqLinear
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module

for package in ("awq", "awq.utils", "awq.modules", "awq.modules.linear"):
    module = types.ModuleType(package)
    module.__path__ = [str(Path(sys.argv[1], *package.split(".")))]
    sys.modules[package] = module
from awq.modules.linear.gemm import WQLinear_GEMM  # noqa: E402
from awq.utils.packing_utils import dequantize_gemm  # noqa: E402

random = torch.Generator().manual_seed(24)
CPU = torch.device("cpu")


def hexed(tensor: torch.Tensor) -> str:
    return tensor.detach().contiguous().numpy().tobytes().hex()


def draw(bits: int, rows: int, columns: int, groups: int, zeros: tuple[int, int]):
    codes = torch.randint(0, 2**bits, (rows, columns), generator=random)
    points = torch.randint(zeros[0], zeros[1] + 1, (rows, groups), generator=random)
    scales = (torch.rand((rows, groups), generator=random) * 0.02 + 0.001).half()
    return codes, points, scales


def linear_of(codes, points, scales, index):
    rows, columns = codes.shape
    linear = torch.nn.Linear(columns, rows, bias=False)
    linear.weight.data = (codes - points[:, index]).float() * scales.float()[:, index]
    return linear


def told(codes, points, scales, parts, values, **facts):
    codes, points = (hexed(tensor.to(torch.uint8)) for tensor in (codes, points))
    return {**facts, "codes": codes, "zeros": points, "scales": hexed(scales),
            "parts": {name: hexed(part) for name, part in parts.items()},
            "values": hashlib.sha256(bytes.fromhex(hexed(values.float()))).hexdigest()}


def gptq(bits: int, group: int, symmetric: bool, version: int, permuted: bool = False):
    rows, columns = 32, 32
    width = columns if group < 0 else group
    middle = 2 ** (bits - 1)
    # Less one, a zero point of 0 borrows from its neighbours: nobody agrees on that.
    zeros = (middle, middle) if symmetric else (2 - version, 2**bits - 1)
    codes, points, scales = draw(bits, rows, columns, columns // width, zeros)
    index = torch.arange(columns) // width
    if permuted:
        index = index[torch.randperm(columns, generator=random)]
    layer = TorchLinear(bits=bits, group_size=group, sym=symmetric, desc_act=permuted, in_features=columns,
                        out_features=rows, bias=False, pack_dtype=torch.int32, register_buffers=True)
    layer.pack_original(linear_of(codes, points, scales, index), scales.float(), points.float(), index.int())
    with torch.no_grad():
        layer.post_init()
        stored = layer.scales
        layer.scales = stored.float()
        values = layer.dequantize_weight().T
        layer.scales = stored
    if version == 1:
        convert_gptq_v2_to_v1_format_module(layer, layer)
    parts = {name: getattr(layer, name) for name in ("qweight", "qzeros", "scales", "g_idx")}
    return told(codes, points, scales, parts, values, bits=bits, group=group, symmetric=symmetric,
                version=version, permuted=permuted, rows=rows, columns=columns)


def auto_awq(group: int):
    rows, columns = 32, 64
    width = columns if group < 0 else group
    codes, points, scales = draw(4, rows, columns, columns // width, (0, 15))
    linear = linear_of(codes, points, scales, torch.arange(columns) // width)
    layer = WQLinear_GEMM.from_linear(linear, 4, width, scales=scales.float().T, zeros=points.float().T)
    parts = {name: getattr(layer, name) for name in ("qweight", "qzeros", "scales")}
    values = dequantize_gemm(layer.qweight, layer.qzeros, layer.scales.float(), 4, width).T
    return told(codes, points, scales, parts, values, group=group, rows=rows, columns=columns)


def tinychat(group: int):
    rows, columns = 8, 256
    codes, points, scales = draw(4, rows, columns, columns // group, (0, 15))
    index = torch.arange(columns) // group
    layer = LLMAwqLinear(bits=4, group_size=group, sym=False, desc_act=False, in_features=columns,
                         out_features=rows, bias=False)
    layer.pack(linear_of(codes, points, scales, index), scales, points.float())
    parts = {name: getattr(layer, name) for name in ("qweight", "scales", "scaled_zeros")}
    values = codes.float() * layer.scales.float().T[:, index] + layer.scaled_zeros.float().T[:, index]
    return told(codes, points, scales, parts, values, group=group, rows=rows, columns=columns)


cases = {
    "gptq": [
        *(gptq(bits, 16, symmetric, version) for bits in (2, 3, 4, 8)
          for symmetric, version in ((True, 1), (True, 2), (False, 1), (False, 2))),
        gptq(4, -1, True, 1),
        gptq(4, 16, False, 2, permuted=True),
        gptq(3, 16, True, 1, permuted=True),
    ],
    "auto_awq": [auto_awq(32), auto_awq(-1)],
    "tinychat": [tinychat(128), tinychat(64), tinychat(32)],
}
path = Path(__file__).parent.parent / "testdata" / "awq_gptq.json"
path.write_text(json.dumps(cases, indent=1) + "\n")
