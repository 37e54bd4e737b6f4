"""Weights as compressed-tensors itself compresses them, and a check of ours by the library.

Run: python tests/oracle/compressed_weights.py vectors tests/testdata/compressed_tensors
     python tests/oracle/compressed_weights.py check EXPORT PLAIN
(compressed-tensors 0.20, torch 2.13, transformers 5.24.) EXPORT is an export in the format
compressed_tensors, PLAIN one of the same model in the format huggingface with dtype float32.
"""

import json
import sys
from pathlib import Path

import torch
from compressed_tensors.compressors import BaseCompressor, compress_module, decompress_module
from compressed_tensors.quantization import (
    QuantizationArgs, QuantizationConfig, QuantizationScheme, QuantizationStatus,
    apply_quantization_config,
)
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

ROWS, COLUMNS = 24, 64
TOKEN = dict(num_bits=8, type="int", symmetric=True, strategy="token", dynamic=True)
STATIC = dict(num_bits=8, type="int", symmetric=True, strategy="tensor", dynamic=False)


def args(bits: int, strategy: str, symmetric: bool = True, group: int | None = None) -> dict:
    return dict(num_bits=bits, type="int", symmetric=symmetric, strategy=strategy,
                group_size=group, dynamic=False)


CASES = [
    ("pack-quantized", args(4, "group", group=32), None),
    ("pack-quantized", args(4, "group", symmetric=False, group=16), None),
    ("pack-quantized", args(4, "channel"), None),
    ("pack-quantized", args(4, "channel", symmetric=False), TOKEN),
    ("pack-quantized", args(3, "group", group=32), None),
    ("pack-quantized", args(3, "group", symmetric=False, group=32), None),
    ("pack-quantized", args(2, "group", symmetric=False, group=8), None),
    ("pack-quantized", args(8, "group", group=32), None),
    ("pack-quantized", args(8, "channel", symmetric=False), None),
    ("int-quantized", args(8, "channel"), TOKEN),
    ("int-quantized", args(8, "tensor"), STATIC),
    ("int-quantized", args(4, "group", group=32), TOKEN),
]


def scheme_of(form: str, weights: dict, inputs: dict | None) -> QuantizationScheme:
    return QuantizationScheme(targets=["Linear"], weights=weights, input_activations=inputs,
                              format=form)


def measured(weight: torch.Tensor, weights: QuantizationArgs) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales and zero points by smallest and largest values, as the library measures them."""
    rows, columns = weight.shape
    if weights.strategy == "tensor":
        parts = weight.reshape(1, -1)
    elif weights.strategy == "channel":
        parts = weight
    else:
        parts = weight.reshape(rows, columns // weights.group_size, weights.group_size)
    scale, zero = calculate_qparams(parts.amin(-1), parts.amax(-1), weights)
    if weights.strategy == "channel":
        scale, zero = scale[:, None], zero[:, None]
    return scale, zero


def compressed(weight: torch.Tensor, scheme: QuantizationScheme) -> dict[str, torch.Tensor]:
    scale, zero = measured(weight, scheme.weights)
    compressor = BaseCompressor.get_value_from_registry(scheme.format)
    return compressor.compress(
        dict(weight=weight, weight_scale=scale, weight_zero_point=zero), scheme)


def dequantized(tensors: dict[str, torch.Tensor], scheme: QuantizationScheme) -> torch.Tensor:
    """What the tensors stand for by the library in single precision."""
    compressor = BaseCompressor.get_value_from_registry(scheme.format)
    wide = {**tensors, "weight_scale": tensors["weight_scale"].float()}
    return compressor.decompress(wide, scheme)["weight"]


def vectors(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(6)
    tensors, cases = {}, []
    for at, (form, weights, inputs) in enumerate(CASES):
        scheme = scheme_of(form, weights, inputs)
        weight = (torch.randn(ROWS, COLUMNS) * 0.1 + 0.02).half()
        parts = compressed(weight, scheme)
        values = dequantized(parts, scheme)
        cases.append(dict(format=form, weights=weights, input_activations=inputs))
        for name, part in parts.items():
            tensors[f"{at}.{name}"] = part.contiguous()
        tensors[f"{at}.values"] = values
    (out / "linears").mkdir(exist_ok=True)
    save_file(tensors, out / "linears" / "model.safetensors")
    (out / "linears" / "config.json").write_text(json.dumps(
        dict(rows=ROWS, columns=COLUMNS, cases=cases), indent=1) + "\n")
    mixed(out / "mixed")


def mixed(out: Path) -> None:
    """A model with groups of several formats, found by name, pattern and class."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    config = LlamaConfig(vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                         num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64,
                         tie_word_embeddings=False)
    model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    quantization = QuantizationConfig(
        config_groups={
            "attention": dict(targets=["re:.*self_attn\\.(q|k|v)_proj"],
                              weights=args(4, "group", symmetric=False, group=16),
                              format="pack-quantized"),
            "down": dict(targets=["model.layers.0.mlp.down_proj"], weights=args(8, "channel"),
                         input_activations=STATIC, format="int-quantized"),
            "others": dict(targets=["Linear"], weights=args(4, "group", group=16),
                           input_activations=TOKEN, format="int-quantized"),
        },
        format="mixed-precision", ignore=["lm_head", "re:.*layers\\.1\\.self_attn\\.o_proj"],
        quantization_status=QuantizationStatus.FROZEN)
    apply_quantization_config(model, quantization, show_progress=False)
    values = {}
    for name, module in model.named_modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is None:
            continue
        scale, zero = measured(module.weight.data.float(), scheme.weights)
        scale = scale.to(torch.bfloat16)
        module.weight_scale.data = scale
        if hasattr(module, "weight_zero_point"):
            module.weight_zero_point.data = zero.to(torch.int8)
        if hasattr(module, "input_scale"):
            module.input_scale.data.fill_(0.03125)
        compress_module(module)
        state = {key: part for key, part in module.state_dict().items() if key != "bias"}
        values[name] = dequantized(state, scheme).contiguous()
    # As transformers' own integration writes the config.
    said = quantization.model_dump(mode="json")
    said["quantization_status"] = "compressed"
    tensors = {key: part.contiguous() for key, part in model.state_dict().items()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    save_file(values, out / "values.st")
    described = {**config.to_dict(), "architectures": ["LlamaForCausalLM"],
                 "quantization_config": said}
    (out / "config.json").write_text(json.dumps(described, indent=1) + "\n")


def check(export: Path, plain: Path) -> None:
    """Every linear of an export, resolved and decompressed by the library, equals the plain values."""
    config = AutoConfig.from_pretrained(export)
    said = config.quantization_config
    del config.quantization_config
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    apply_quantization_config(model, QuantizationConfig.model_validate(said), show_progress=False)
    ours = {}
    for file in sorted(export.glob("*.safetensors")):
        ours.update(load_file(file))
    files = [safe_open(file, "pt") for file in sorted(plain.glob("*.safetensors"))]
    expected = {key: file for file in files for key in file.keys()}
    used, linears = set(), 0
    for name, module in model.named_modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is None:
            continue
        parts = {key.removeprefix(f"{name}."): part for key, part in ours.items()
                 if key.startswith(f"{name}.") and not key.endswith(".bias")}
        used |= {f"{name}.{part}" for part in parts}
        got = dequantized(parts, scheme)
        wanted = expected[f"{name}.weight"].get_tensor(f"{name}.weight")
        assert got.dtype == wanted.dtype == torch.float32, (name, got.dtype, wanted.dtype)
        assert torch.equal(got, wanted), (name, (got - wanted).abs().max())
        if scheme.input_activations is not None and not scheme.input_activations.dynamic:
            assert parts["input_scale"].shape == (1,) and parts["input_scale"] > 0, name
        linears += 1
    for key, part in ours.items():
        if key not in used:
            wanted = expected[key].get_tensor(key)
            assert torch.equal(part, wanted.to(part.dtype)), key
    print(f"{linears} linears and {len(ours) - len(used)} other tensors agree")


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    {"vectors": vectors, "check": check}[what](*map(Path, paths))
