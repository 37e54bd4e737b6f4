"""Writes tests/testdata/rope.json: rotary embeddings and head sizes as transformers computes them.

Of each case: its config.json beside BASE, the tokens of a sequence, frequencies and the scale of attention,
and the last row of logits of a tiny Llama whose weights both sides make by `fill`. Where layers have
embeddings of their own, frequencies are Gemma 3's.

Run: python tests/oracle/rope.py   (torch 2.13, transformers 5.24)
"""

import json
from pathlib import Path

import torch
from transformers import Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, Phi3Config
from transformers.models.gemma3.modeling_gemma3 import Gemma3RotaryEmbedding
from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

BASE = dict(vocab_size=48, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=16, max_position_embeddings=512, rms_norm_eps=1e-6,
            hidden_act="silu", tie_word_embeddings=False)
SHORT = [1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0]
LONG = [1.0, 1.5, 2.5, 4.0, 7.0, 11.0, 16.0, 24.0]
LONGROPE = {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG}
LLAMAS = {
    "plain": ({}, 40),
    "linear": ({"rope_scaling": {"type": "linear", "factor": 4.0}}, 40),
    "dynamic, long": ({"max_position_embeddings": 24, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, 40),
    "dynamic, short": ({"max_position_embeddings": 24, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, 20),
    "dynamic, not whole": ({"max_position_embeddings": 24, "rope_theta": 5000.0, "rope_scaling": {
        "rope_type": "dynamic", "factor": 3.7}}, 37),
    "yarn": ({"rope_theta": 5000.0, "rope_scaling": {
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}}, 40),
    "yarn, all said": ({"rope_parameters": {
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 64,
        "attention_factor": 0.8, "beta_fast": 16.0, "beta_slow": 2.0, "truncate": False}}, 40),
    "yarn, mscale": ({"rope_parameters": {
        "rope_type": "yarn", "rope_theta": 100000.0, "factor": 40.0, "original_max_position_embeddings": 32,
        "mscale": 0.7, "mscale_all_dim": 1.2}}, 40),
    "longrope, short": ({"rope_scaling": {**LONGROPE, "original_max_position_embeddings": 24}}, 20),
    "longrope, long": ({"rope_scaling": {**LONGROPE, "original_max_position_embeddings": 24}}, 40),
    "longrope, factor": ({"rope_parameters": {
        **LONGROPE, "rope_theta": 1000.0, "factor": 6.0, "original_max_position_embeddings": 30}}, 40),
    "longrope, attention": ({"rope_parameters": {
        **LONGROPE, "rope_theta": 1000.0, "attention_factor": 1.25, "original_max_position_embeddings": 64}}, 40),
    "llama3": ({"rope_parameters": {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 32}}, 40),
    **{f"heads of {size}": ({"head_dim": size}, 40) for size in (4, 20, 80, 96, 100, 256)},
}
PHIS = {
    "a part turns": ({"partial_rotary_factor": 0.75, "head_dim": 16}, 40),
    "a part turns, longrope": ({
        "partial_rotary_factor": 0.5, "head_dim": 16, "original_max_position_embeddings": 24,
        "rope_scaling": {"type": "longrope", "short_factor": SHORT[:4], "long_factor": LONG[:4]}}, 40),
}
LAYERS = {
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0}},
}


def fill(seed: int, count: int) -> torch.Tensor:
    """Values from -0.5 to 0.5 that half precision holds."""
    values, state = [], seed + 1
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(((state >> 24) - 128) / 256)
    return torch.tensor(values)


def llama(config: dict, tokens: int) -> dict:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**json.loads(json.dumps({**BASE, **config})),
                                         attn_implementation="eager")).eval()
    named = dict(model.named_parameters())
    with torch.no_grad():
        for seed, name in enumerate(sorted(named)):
            values = fill(seed, named[name].numel()).reshape(named[name].shape)
            named[name].copy_(values + (1 if values.ndim == 1 else 0))
        ids = torch.tensor([[(7 * i + i * i) % BASE["vocab_size"] for i in range(tokens)]])
        logits = model(input_ids=ids).logits[0, -1]
    rope = model.model.rotary_emb
    return {"frequencies": [rope.inv_freq.tolist()], "attention": float(rope.attention_scaling),
            "logits": logits.tolist()}


def phi(config: dict, tokens: int) -> dict:
    rope = Phi3RotaryEmbedding(Phi3Config(**json.loads(json.dumps({**BASE, **config})), pad_token_id=0))
    rope(torch.zeros(1), torch.arange(tokens)[None])
    return {"frequencies": [rope.inv_freq.tolist()], "attention": float(rope.attention_scaling)}


def gemma(config: dict) -> dict:
    rope = Gemma3RotaryEmbedding(Gemma3TextConfig(**json.loads(json.dumps({**BASE, **config}))))
    tables = [getattr(rope, f"{kind}_inv_freq").tolist() for kind in config["layer_types"]]
    return {"frequencies": tables, "attention": 1.0}


def main() -> None:
    cases = [
        *({"name": name, "config": config, "tokens": tokens, **llama(config, tokens)}
          for name, (config, tokens) in LLAMAS.items()),
        *({"name": name, "config": config, "tokens": tokens, "partial": True, **phi(config, tokens)}
          for name, (config, tokens) in PHIS.items()),
        {"name": "layers by type", "config": LAYERS, "tokens": 40, **gemma(LAYERS)},
    ]
    path = Path(__file__).parent.parent / "testdata" / "rope.json"
    path.write_text(json.dumps({"base": BASE, "cases": cases}) + "\n")


main()
