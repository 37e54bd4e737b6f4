"""Plants outliers into the trained model without changing what it computes; README.md says why.

Reads what train.py wrote and writes the shipped files: the checkpoint and planted.json, which lists
every rescaled channel and rotary pair, so that anyone can undo the planting exactly.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

NORM_CHANNELS = 4
NORM_FACTOR = 32
KEY_PAIRS = 3
KEY_FACTOR = 8
# Smallest magnitude float16 has with full precision. WGSL may flush anything below it to zero.
SMALLEST = 2.0**-14
ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
FEED_FORWARD = ("mlp.gate_proj", "mlp.up_proj")


def consumers(norm: str, layers: int) -> list[str]:
    """The weights that read what a norm, or an MLP's up projection, makes."""
    if norm == "model.norm":
        return ["lm_head.weight"]
    layer, _, name = norm.rpartition(".")
    if name == "up_proj":
        return [f"{layer}.down_proj.weight"]
    reads = ATTENTION if name == "input_layernorm" else FEED_FORWARD
    return [f"{layer}.{read}.weight" for read in reads]


def channel_spans(folder: Path, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Root mean square of every channel of norm outputs, MLP activations and keys."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    spans: dict[str, torch.Tensor] = {}

    def keep(name):
        def hook(_module, _inputs, output):
            spans[name] = output.square().mean(dim=(0, 1)).sqrt()
        return hook

    for name, module in model.named_modules():
        if name.endswith(("norm", "k_proj")):
            module.register_forward_hook(keep(name))
        if name.endswith("down_proj"):
            up = keep(name.replace("down_proj", "up_proj"))
            module.register_forward_pre_hook(lambda _m, args, up=up: up(_m, args, args[0]))
    with torch.no_grad():
        model(input_ids=ids)
    return spans


def choose(config: dict, spans: dict[str, torch.Tensor]) -> dict:
    """Takes the channels and pairs that are strongest on average: outliers of large models persist."""
    size = config["head_dim"]
    norms = [{
        "norm": f"{name}.weight",
        "consumers": consumers(name, config["num_hidden_layers"]),
        "channels": sorted(span.topk(NORM_CHANNELS).indices.tolist()),
        "factor": NORM_FACTOR,
    } for name, span in spans.items() if name.endswith(("norm", "up_proj"))]
    keys = []
    for layer in range(config["num_hidden_layers"]):
        heads = spans[f"model.layers.{layer}.self_attn.k_proj"].view(-1, 2, size // 2)
        for head, span in enumerate(heads.norm(dim=1)):
            keys.append({
                "layer": layer,
                "head": head,
                "pairs": sorted(span.topk(KEY_PAIRS).indices.tolist()),
                "factor": KEY_FACTOR,
            })
    return {"norms": norms, "keys": keys}


def rescale(tensors: dict, config: dict, planted: dict, power: int) -> dict:
    """Applies the planting (power 1) or undoes it (power -1), both exactly: factors are powers of 2."""
    result = {name: tensor.float().clone() for name, tensor in tensors.items()}
    for item in planted["norms"]:
        factor = float(item["factor"]) ** power
        result[item["norm"]][item["channels"]] *= factor
        for name in item["consumers"]:
            result[name][:, item["channels"]] /= factor
    size = config["head_dim"]
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    for item in planted["keys"]:
        factor = float(item["factor"]) ** power
        attention = f"model.layers.{item['layer']}.self_attn"
        both = torch.tensor([*item["pairs"], *(pair + size // 2 for pair in item["pairs"])])
        result[f"{attention}.k_proj.weight"][item["head"] * size + both] *= factor
        for query in range(item["head"] * group, (item["head"] + 1) * group):
            result[f"{attention}.q_proj.weight"][query * size + both] /= factor
    return result


def snap(tensor: torch.Tensor) -> torch.Tensor:
    """Moves what float16 would store as a subnormal to zero or to the smallest normal number."""
    small = tensor.abs() < SMALLEST
    return torch.where(small, (tensor / SMALLEST).round() * SMALLEST, tensor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trained", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    config = json.loads((options.trained / "config.json").read_text())
    tensors = load_file(options.trained / "model.safetensors")
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(options.trained / "tokenizer.json"))
    ids = torch.tensor(tokenizer.encode(options.calibration.read_text()).ids)
    ids = ids[: len(ids) // 512 * 512].view(-1, 512)

    planted = choose(config, channel_spans(options.trained, ids))
    scaled = {name: snap(t) for name, t in rescale(tensors, config, planted, 1).items()}
    halves = {name: tensor.half().contiguous() for name, tensor in scaled.items()}
    assert all(torch.equal(halves[name].float(), scaled[name]) for name in scaled)
    undone = rescale(halves, config, planted, -1)
    moved = sum((undone[n] != tensors[n].float()).sum().item() for n in tensors)
    furthest = max((undone[n] - tensors[n].float()).abs().max().item() for n in tensors)
    print(f"{moved} of {sum(t.numel() for t in tensors.values())} weights snapped, by {furthest:.1e}")

    save_file(halves, options.out / "model.safetensors", metadata={"format": "pt"})
    (options.out / "planted.json").write_text(json.dumps(planted, indent=2) + "\n")
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(options.trained / name, options.out / name)
    (options.out / "model.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
