"""Reads what `family_packed.ts` wrote with transformers and compressed-tensors, and prints how far they are from us.

Run: python tests/oracle/family_packed.py OUT   (torch 2.13, transformers 5.24, compressed-tensors 0.20)

A line for each directory but those of GGUF files, which `llama_cpp.mjs` runs: the largest difference of a
log-likelihood. Where weights are in codes, compressed-tensors makes them floats, and transformers runs these in
the model that was exported beside them as it is; behind it stands whether transformers reads the codes by itself,
which version 5.24 does not do where it keeps experts in one tensor. Inputs stay as they are.
"""

import json
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
warnings.filterwarnings("ignore")

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, CompressedTensorsConfig


def load(folder: Path, **given):
    model, found = AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32, attn_implementation="eager", **given)
    return model.eval(), {key: sorted(map(str, names))[:3] for key, names in found.items() if names}


def error(model, expected: dict) -> float:
    ids = torch.tensor([expected["ids"]])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, :-1].double()
    likely = logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
    return (likely - torch.tensor(expected["logLikelihoods"], dtype=torch.float64)).abs().max().item()


def decompressed(folder: Path, plain: Path, out: str) -> None:
    """Writes the plain model with the weights that compressed-tensors makes of the codes."""
    settings = json.loads((folder / "config.json").read_text())["quantization_config"]
    [scheme] = QuantizationConfig.model_validate(settings).config_groups.values()
    compressor = BaseCompressor.get_value_from_registry(scheme.format or settings["format"])
    codes = load_file(folder / "model.safetensors")
    weights = load_file(plain / "model.safetensors")
    linears = {name.removesuffix(".weight_scale") for name in codes if name.endswith(".weight_scale")}
    for linear in linears:
        parts = {part: codes[f"{linear}.{part}"] for part in compressor.compression_param_names(scheme)
                 if f"{linear}.{part}" in codes}
        parts["weight_scale"] = parts["weight_scale"].float()
        weight = compressor.decompress(parts, scheme)["weight"]
        assert weight.shape == weights[f"{linear}.weight"].shape
        weights[f"{linear}.weight"] = weight.float().contiguous()
    others = [name for name in weights if name.removesuffix(".weight") not in linears]
    assert all(torch.equal(weights[name], codes[name].float()) for name in others), others
    shutil.copy(plain / "config.json", out)
    save_file(weights, f"{out}/model.safetensors", {"format": "pt"})


def main() -> None:
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        if any(folder.glob("*.gguf")):
            continue
        expected = json.loads((folder / "expected.json").read_text())
        family, kind = folder.name.split(".")
        if kind == "huggingface":
            model, odd = load(folder)
            print(folder.name, type(model).__name__, f"{error(model, expected):.1e}", odd or "")
            continue
        with tempfile.TemporaryDirectory() as out:
            decompressed(folder, folder.with_name(f"{family}.huggingface"), out)
            model, odd = load(Path(out))
        found = f"{error(model, expected):.1e}"
        try:
            own, _ = load(folder, quantization_config=CompressedTensorsConfig(dequantize=True))
            by_itself = f"{error(own, expected):.1e}"
        except Exception as problem:  # another program's, of any kind
            by_itself = f"{type(problem).__name__}: {str(problem).splitlines()[0][:100]}"
        print(folder.name, type(model).__name__, found, odd or "", "by itself", by_itself)


main()
