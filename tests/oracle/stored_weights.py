"""Writes tests/testdata/stored_weights.safetensors: weights [32, 64] in float8 and in codes of bitsandbytes under the
names their programs save, and as `expected` the values these programs read in them.

Needs torch 2.13, transformers 5.24, safetensors and bitsandbytes 0.49; run on a CPU.
"""

import pathlib

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import dequantize_4bit, int8_vectorwise_dequant
from safetensors.torch import save_file
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

ROWS, COLUMNS = 32, 64
torch.manual_seed(30)
tensors: dict[str, torch.Tensor] = {}


def add(case: str, parts: dict[str, torch.Tensor], expected: torch.Tensor) -> None:
    for name, tensor in {**parts, "expected": expected.float()}.items():
        tensors[f"{case}/{name}"] = tensor.detach().clone().contiguous()


def codes(dtype: torch.dtype) -> torch.Tensor:
    """Each code of a float8 type, but those that are no numbers, eight times over."""
    every = torch.arange(256, dtype=torch.uint8).view(dtype)
    finite = torch.where(torch.isfinite(every.float()), every.float(), torch.zeros(256)).to(dtype)
    return finite.repeat(ROWS * COLUMNS // 256).reshape(ROWS, COLUMNS)


def blocks(case: str, part: str, scales: torch.Tensor, dtype: torch.dtype = torch.float8_e4m3fn) -> None:
    weight = codes(dtype)
    expected = Fp8Dequantize(None)._dequantize_one(weight, scales, torch.float32)
    add(case, {"weight": weight, part: scales}, expected)


blocks("block", "weight_scale_inv", torch.rand(4, 2) + 0.1)
blocks("row", "weight_scale", torch.rand(ROWS, 1) + 0.1)
blocks("e5m2", "weight_scale", torch.rand(ROWS, 1) + 0.1, torch.float8_e5m2)
weight, scale = codes(torch.float8_e4m3fn), torch.tensor(0.3)
add("tensor", {"weight": weight, "weight_scale": scale, "input_scale": torch.tensor(2.0)}, weight.float() * scale)
# Blocks of [24, 40], the last ones smaller, as DeepSeek's `weight_dequant` reads them.
scales = torch.rand(2, 2) + 0.1
grown = scales.repeat_interleave(24, 0)[:ROWS].repeat_interleave(40, 1)[:, :COLUMNS]
add("ragged", {"weight": weight, "weight_scale_inv": scales}, weight.float() * grown)

for case, kind, nested in [("nf4", "nf4", True), ("fp4", "fp4", False)]:
    linear = bnb.nn.Linear4bit(
        COLUMNS, ROWS, bias=False, quant_type=kind, compress_statistics=nested, compute_dtype=torch.float32)
    linear.weight = bnb.nn.Params4bit(
        torch.randn(ROWS, COLUMNS), requires_grad=False, quant_type=kind, compress_statistics=nested, blocksize=64)
    linear = linear.to("cpu")
    expected = dequantize_4bit(linear.weight.data, linear.weight.quant_state)
    add(case, dict(linear.state_dict()), expected)

weight = torch.randint(-127, 128, (ROWS, COLUMNS), dtype=torch.int8)
scales = torch.rand(ROWS) + 0.1
add("int8", {"weight": weight, "SCB": scales, "weight_format": torch.tensor(0, dtype=torch.uint8)},
    int8_vectorwise_dequant(weight, scales))

path = pathlib.Path(__file__).parent.parent / "testdata" / "stored_weights.safetensors"
save_file(tensors, path)
for name, tensor in tensors.items():
    print(name, tensor.dtype, tuple(tensor.shape))
