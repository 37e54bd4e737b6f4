"""Measures what naive quantization costs the shipped model, and what it would cost unplanted.

Also writes golden.json: token ids and log-likelihoods of one window as PyTorch has them in float32,
which tests compare other implementations with. All quantization here is simulated, round to nearest.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama

from plant import rescale

CONTEXT = 512
GOLDEN_TOKENS = 128


def symmetric8(x: torch.Tensor) -> torch.Tensor:
    """8 bits symmetric, one scale a row."""
    scale = x.abs().amax(-1, keepdim=True).clamp(min=1e-8) / 127
    return (x / scale).round().clamp(-127, 127) * scale


def asymmetric4(x: torch.Tensor) -> torch.Tensor:
    """4 bits with a zero point, one scale a row; the range always contains zero."""
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    scale = (high - low).clamp(min=1e-8) / 15
    zero = (-low / scale).round()
    return ((x / scale + zero).round().clamp(0, 15) - zero) * scale


def quantize(model: LlamaForCausalLM, bits: str) -> None:
    """Makes the decoder's linears and KV cache naive in the ways `bits` names."""
    linears = [
        (name, module) for name, module in model.model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    for name, module in linears:
        if "W4" in bits:
            module.weight.data = asymmetric4(module.weight.data)
        if "A8" in bits:
            module.register_forward_pre_hook(lambda _m, args: (symmetric8(args[0]),))
        if "KV4" in bits and name.endswith("v_proj"):
            head = model.config.head_dim
            module.register_forward_hook(
                lambda _m, _i, y, h=head: asymmetric4(y.unflatten(-1, (-1, h))).flatten(-2)
            )


def perplexity(model: LlamaForCausalLM, ids: torch.Tensor, bits: str) -> float:
    rotate = modeling_llama.apply_rotary_pos_emb

    def rotate_and_quantize(q, k, *rest, **named):
        q, k = rotate(q, k, *rest, **named)
        return q, asymmetric4(k)

    if "KV4" in bits:
        modeling_llama.apply_rotary_pos_emb = rotate_and_quantize
    try:
        with torch.no_grad():
            losses = [model(input_ids=w, labels=w).loss.item() for w in ids.split(1)]
    finally:
        modeling_llama.apply_rotary_pos_emb = rotate
    return math.exp(sum(losses) / len(losses))


def load(folder: Path, tensors: dict) -> LlamaForCausalLM:
    model = LlamaForCausalLM(LlamaConfig.from_pretrained(folder)).float().eval()
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return model


def write_golden(folder: Path, tensors: dict, ids: list[int], text: str) -> None:
    with torch.no_grad():
        logits = load(folder, tensors)(input_ids=torch.tensor([ids])).logits[0]
    likelihoods = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    (folder / "golden.json").write_text(json.dumps({
        "text": text,
        "ids": ids,
        "logLikelihoods": [round(value, 5) for value in likelihoods.tolist()],
    }) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(2)
    config = json.loads((options.model / "config.json").read_text())
    planted = load_file(options.model / "model.safetensors")
    listed = json.loads((options.model / "planted.json").read_text())
    variants = {"planted": planted, "unplanted": rescale(planted, config, listed, -1)}

    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    all_ids = tokenizer.encode(options.test.read_text()).ids
    ids = torch.tensor(all_ids[: options.windows * CONTEXT]).view(-1, CONTEXT)
    golden = all_ids[:GOLDEN_TOKENS]
    write_golden(options.model, planted, golden, tokenizer.decode(golden))
    for bits in ("full", "A8", "KV4", "W4", "W4A8KV4"):
        row = [bits]
        for tensors in variants.values():
            model = load(options.model, tensors)
            quantize(model, bits)
            row.append(f"{perplexity(model, ids, bits):.4f}")
        print(" | ".join(row), flush=True)


if __name__ == "__main__":
    main()
