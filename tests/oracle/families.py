"""Writes tiny random models of every family as transformers saves them, with the logits it computes.

Run: python tests/oracle/families.py tests/testdata/families   (torch 2.13, transformers 5.24)
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config,
    Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, SmolLM3Config, SmolLM3ForCausalLM,
)

SMALL = dict(vocab_size=96, hidden_size=64, intermediate_size=72, num_hidden_layers=2,
             max_position_embeddings=256, attn_implementation="eager")
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0,
            "short_factor": [1 + i / 4 for i in range(6)], "long_factor": [1 + i * i / 2 for i in range(6)]}
CASES = {
    "llama_llama3_gqa_tied": (LlamaForCausalLM, LlamaConfig(
        **SMALL, num_attention_heads=4, num_key_value_heads=2, rope_parameters=LLAMA3,
        tie_word_embeddings=True)),
    "llama_linear_biases": (LlamaForCausalLM, LlamaConfig(
        **SMALL, num_attention_heads=4, num_key_value_heads=4, rope_parameters=LINEAR,
        attention_bias=True, mlp_bias=True)),
    "llama_wide_heads": (LlamaForCausalLM, LlamaConfig(
        **SMALL, num_attention_heads=2, num_key_value_heads=1, head_dim=48)),
    "mistral_window": (MistralForCausalLM, MistralConfig(
        **SMALL, num_attention_heads=4, num_key_value_heads=2, head_dim=16, sliding_window=9)),
    "qwen2_tied": (Qwen2ForCausalLM, Qwen2Config(
        **SMALL, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)),
    "qwen2_untied": (Qwen2ForCausalLM, Qwen2Config(
        **SMALL, num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=False)),
    "qwen3_tied": (Qwen3ForCausalLM, Qwen3Config(
        **SMALL, num_attention_heads=4, num_key_value_heads=2, head_dim=32, tie_word_embeddings=True)),
    "qwen3_untied": (Qwen3ForCausalLM, Qwen3Config(
        **SMALL, num_attention_heads=2, num_key_value_heads=1, head_dim=48, tie_word_embeddings=False)),
    "phi3_longrope_window": (Phi3ForCausalLM, Phi3Config(
        **SMALL, num_attention_heads=4, num_key_value_heads=2, partial_rotary_factor=0.75, sliding_window=9,
        original_max_position_embeddings=64, rope_parameters=LONGROPE, pad_token_id=0, eos_token_id=0)),
    "smollm3_still_window": (SmolLM3ForCausalLM, SmolLM3Config(
        **{**SMALL, "num_hidden_layers": 4}, num_attention_heads=4, num_key_value_heads=2, use_sliding_window=True,
        sliding_window=9, pad_token_id=0, bos_token_id=0, eos_token_id=0)),
}


def as_version_4(config: dict) -> dict:
    """The same facts under the keys of transformers 4."""
    old = dict(config)
    rope = dict(old.pop("rope_parameters"))
    old["rope_theta"] = rope.pop("rope_theta")
    old["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    old["torch_dtype"] = old.pop("dtype")
    return old


def main() -> None:
    out = Path(sys.argv[1])
    for seed, (name, (kind, config)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        model = kind(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                # Large enough that attention is far from uniform and biases and gains matter.
                parameter.copy_(torch.randn_like(parameter) * (0.2 if parameter.ndim > 1 else 0.5)
                                + (1.0 if parameter.ndim == 1 else 0.0))
            ids = torch.randint(0, config.vocab_size, (1, 40))
            logits = model(input_ids=ids).logits[0]
        folder = out / name
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        if seed % 2 == 0:
            path = folder / "config.json"
            path.write_text(json.dumps(as_version_4(json.loads(path.read_text())), indent=2) + "\n")
        save_file({"ids": ids[0].int(), "logits": logits.contiguous()}, folder / "expected.st")


main()
