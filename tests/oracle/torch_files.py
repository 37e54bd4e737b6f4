"""Writes tests/testdata/torch: files of torch.save, among them pairs as DeepCompressor saves them.

Weights are quantized by the formulas of DeepCompressor's quantizer (.github/ALGORITHMS.md#scales), with
rounding to nearest; the codes are kept as the expected result.

    python tests/oracle/torch_files.py
"""

import json
import pathlib

import torch
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).parent.parent / "testdata" / "torch"
GROUP = 8


def half(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.float16).to(torch.float32)


def symmetric(w, bits, scale_dtype=torch.float16):
    top = 2 ** (bits - 1) - 1
    s = (w.abs().amax(1, keepdim=True) / top).to(scale_dtype).float()
    s[s == 0] = 1
    q = (w / s).round().clamp(-top, top)
    return q, {"scale.0": s.view(-1, 1, 1, 1), "scaled_zero": torch.tensor(0.0)}, q * s


def post_scale(w, low, high, group):
    v = w.view(w.shape[0], -1, group)
    vmin, vmax = v.amin(2, keepdim=True), v.amax(2, keepdim=True)
    s = half((vmax - vmin) / (high - low))
    s[s == 0] = 1
    z = half(low * s - vmin)
    q = ((v + z) / s).round().clamp(low, high)
    shape = (w.shape[0], 1, -1, 1)
    scales = {"scale.0": s.view(shape), "scaled_zero": z.view(shape)}
    return q.view(w.shape), scales, (q * s - z).view(w.shape)


def pre_scale(w, low, high, group):
    v = w.view(w.shape[0], -1, group)
    vmin, vmax = v.amin(2, keepdim=True).clamp(max=0), v.amax(2, keepdim=True).clamp(min=0)
    s = half((vmax - vmin) / (high - low))
    s[s == 0] = 1
    z = (low - vmin / s).round().clamp(low, high)
    q = (v / s + z).round().clamp(low, high)
    shape = (w.shape[0], 1, -1, 1)
    scales = {"scale.0": s.view(shape), "zero": z.view(shape)}
    return q.view(w.shape), scales, ((q - z) * s).view(w.shape)


def two_levels(w, group):
    """QoQ: int8 in the protective range of 120, then uint4 with zeros after integer scales."""
    s1 = half(w.abs().amax(1, keepdim=True) / 120)
    s1[s1 == 0] = 1
    t = (w / s1).clamp(-120, 120).view(w.shape[0], -1, group)
    vmin, vmax = t.amin(2, keepdim=True), t.amax(2, keepdim=True)
    s2 = ((vmax - vmin) / 15).round().clamp(-127, 127)
    s2[s2 == 0] = 1
    z2 = (-vmin).round().clamp(-128, 127)
    q = ((t + z2) / s2).round().clamp(0, 15)
    u = q * s2 - z2
    assert u.min() >= -128 and u.max() <= 127
    shape = (w.shape[0], 1, -1, 1)
    scales = {
        "scale.0": s1.view(-1, 1, 1, 1),
        "scale.1": s2.view(shape),
        "scaled_zero": z2.view(shape),
    }
    return q.view(w.shape), scales, u.view(w.shape) * s1


SCHEMES = {
    "post_scale_row": lambda w: post_scale(w, 0, 15, w.shape[1]),
    "post_scale_signed": lambda w: post_scale(w, -8, 7, GROUP),
    "pre_scale_row": lambda w: pre_scale(w, 0, 15, w.shape[1]),
    "pre_scale_signed": lambda w: pre_scale(w, -8, 7, GROUP),
    "two_levels": lambda w: two_levels(w, GROUP),
    "symmetric_8": lambda w: symmetric(w, 8),
}


def tiny(tied: bool) -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=8,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
    )
    return LlamaForCausalLM(config)


def write_pair(name: str) -> dict:
    tied = name == "two_levels"
    model = tiny(tied).to(torch.float16)
    scales, codes = {}, {}
    for module_name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or module_name == "lm_head":
            continue
        q, found, value = SCHEMES[name](module.weight.data.float())
        module.weight.data = value.to(torch.float16)
        codes[module_name] = [int(x) for x in q.flatten()]
        scales.update({f"{module_name}.weight.{k}": v for k, v in found.items()})
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(scales, folder / "scale.pt")
    torch.save(model.state_dict(), folder / "model.pt")
    config = json.loads(model.config.to_json_string(use_diff=False))
    config["architectures"] = ["LlamaForCausalLM"]
    kept = [
        "architectures", "model_type", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size", "rms_norm_eps",
        "max_position_embeddings", "rope_parameters", "tie_word_embeddings", "hidden_act",
        "attention_bias", "mlp_bias",
    ]
    (folder / "config.json").write_text(json.dumps({key: config[key] for key in kept}) + "\n")
    return codes


def write_tensors() -> dict:
    whole = torch.arange(24, dtype=torch.float32).view(4, 6) / 4
    tensors = {
        "f64": whole.double(),
        "f32": whole,
        "f16": whole.half(),
        "bf16": whole.bfloat16(),
        "i64": torch.arange(-3, 3),
        "i32": torch.arange(-3, 3, dtype=torch.int32),
        "i16": torch.arange(-3, 3, dtype=torch.int16),
        "i8": torch.arange(-3, 3, dtype=torch.int8),
        "u8": torch.arange(250, 256, dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "rows": whole[1:3],
        "columns": whole[:, 2:5],
        "turned": whole.t(),
        "spread": torch.tensor([[1.5], [2.5]]).expand(2, 3),
        "parameter": torch.nn.Parameter(whole[0].clone()),
    }
    beside = {"number": 0.5, "count": 3, "large": 2**40, "text": "text", "nothing": None, "flag": True}
    for protocol in (2, 4):
        torch.save({**tensors, **beside}, OUT / f"tensors_{protocol}.pt", pickle_protocol=protocol)
    torch.save(tensors, OUT / "legacy.pt", _use_new_zipfile_serialization=False)
    return {
        name: {
            "shape": list(x.shape),
            "values": [float(v) for v in x.detach().contiguous().flatten()],
        }
        for name, x in tensors.items()
    }


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    expected = {"pairs": {name: write_pair(name) for name in SCHEMES}, "tensors": write_tensors()}
    (OUT / "expected.json").write_text(json.dumps(expected) + "\n")
