"""Writes tiny random models of every family as transformers saves them, with the logits it computes.

Run: python tests/oracle/families.py tests/testdata/families [case ...]   (torch 2.13, transformers 5.24)
"""

import json
import sys
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    Cohere2Config, Cohere2ForCausalLM, CohereConfig, CohereForCausalLM, GraniteConfig, GraniteForCausalLM,
    Olmo2Config, Olmo2ForCausalLM,
    StableLmConfig, StableLmForCausalLM,
)
from transformers import (
    Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig,
    LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, MixtralConfig, MixtralForCausalLM, Phi3Config,
    Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM, Qwen3Config,
    Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, SmolLM3Config, SmolLM3ForCausalLM,
)

SMALL = dict(vocab_size=96, hidden_size=64, intermediate_size=72, num_hidden_layers=2,
             max_position_embeddings=256, attn_implementation="eager")
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0,
            "short_factor": [1 + i / 4 for i in range(6)], "long_factor": [1 + i * i / 2 for i in range(6)]}
GLOBAL_LINEAR = {"sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
                 "full_attention": {"rope_type": "linear", "rope_theta": 200000.0, "factor": 8.0}}
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
    "mixtral_window": (MixtralForCausalLM, MixtralConfig(
        **{**SMALL, "intermediate_size": 40}, num_attention_heads=4, num_key_value_heads=2, num_local_experts=4,
        sliding_window=9)),
    "mixtral_three_of_six": (MixtralForCausalLM, MixtralConfig(
        **{**SMALL, "intermediate_size": 24}, num_attention_heads=4, num_key_value_heads=4, num_local_experts=6,
        num_experts_per_tok=3, tie_word_embeddings=True)),
    "qwen2_moe_shared": (Qwen2MoeForCausalLM, Qwen2MoeConfig(
        **SMALL, num_attention_heads=4, num_key_value_heads=2, num_experts=6, num_experts_per_tok=2,
        moe_intermediate_size=24, shared_expert_intermediate_size=40)),
    "qwen2_moe_sparse_steps": (Qwen2MoeForCausalLM, Qwen2MoeConfig(
        **{**SMALL, "num_hidden_layers": 4}, num_attention_heads=4, num_key_value_heads=4, num_experts=4,
        num_experts_per_tok=3, moe_intermediate_size=16, shared_expert_intermediate_size=32, norm_topk_prob=True,
        decoder_sparse_step=2, mlp_only_layers=[3], qkv_bias=False, tie_word_embeddings=True)),
    "qwen3_moe_normalized": (Qwen3MoeForCausalLM, Qwen3MoeConfig(
        **SMALL, num_attention_heads=4, num_key_value_heads=2, head_dim=32, num_experts=8, num_experts_per_tok=2,
        moe_intermediate_size=24, norm_topk_prob=True)),
    "qwen3_moe_plain_layer": (Qwen3MoeForCausalLM, Qwen3MoeConfig(
        **SMALL, num_attention_heads=2, num_key_value_heads=1, head_dim=48, num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=32, norm_topk_prob=False, mlp_only_layers=[0], attention_bias=True,
        tie_word_embeddings=True)),
}


def as_version_4(config: dict) -> dict:
    """The same facts under the keys of transformers 4."""
    old = dict(config)
    rope = dict(old.pop("rope_parameters"))
    if "full_attention" in rope:
        old["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope["full_attention"])
    old["rope_theta"] = rope.pop("rope_theta")
    if rope["rope_type"] == "default" and "partial_rotary_factor" in rope:
        old["partial_rotary_factor"] = rope["partial_rotary_factor"]
    old["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    old["torch_dtype"] = old.pop("dtype")
    return old


HEADS = dict(num_attention_heads=4, num_key_value_heads=2)
NO_IDS = dict(pad_token_id=0, bos_token_id=0, eos_token_id=0)
# Drawn by their names, so that cases may come and go.
NAMED = {
    "yi_as_published": (LlamaForCausalLM, LlamaConfig(
        **SMALL, **HEADS, rope_theta=5000000.0, rms_norm_eps=1e-5, pretraining_tp=1, use_cache=True, **NO_IDS)),
    "qwen15_as_published": (Qwen2ForCausalLM, Qwen2Config(
        **SMALL, num_attention_heads=4, num_key_value_heads=4, rope_theta=1000000.0, sliding_window=32,
        max_window_layers=1, use_sliding_window=False, attention_dropout=0.0)),
    "granite_scaled_tied": (GraniteForCausalLM, GraniteConfig(
        **SMALL, **HEADS, embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.15625,
        logits_scaling=8.0, tie_word_embeddings=True)),
    "granite_scaled_biases": (GraniteForCausalLM, GraniteConfig(
        **SMALL, **HEADS, embedding_multiplier=6, residual_multiplier=0.5, attention_multiplier=0.3,
        logits_scaling=3, attention_bias=True, mlp_bias=True)),
    "stablelm_biases": (StableLmForCausalLM, StableLmConfig(
        **SMALL, num_attention_heads=4, num_key_value_heads=4, use_qkv_bias=True, partial_rotary_factor=0.25)),
    "stablelm_parallel_norms": (StableLmForCausalLM, StableLmConfig(
        **SMALL, **HEADS, qk_layernorm=True, use_parallel_residual=True, partial_rotary_factor=0.5)),
    "cohere_tied": (CohereForCausalLM, CohereConfig(
        **SMALL, **HEADS, logit_scale=0.0625, tie_word_embeddings=True, **NO_IDS)),
    "cohere_norms_biases": (CohereForCausalLM, CohereConfig(
        **SMALL, **HEADS, logit_scale=0.8, use_qk_norm=True, attention_bias=True, tie_word_embeddings=False,
        **NO_IDS)),
    "olmo2_untied": (Olmo2ForCausalLM, Olmo2Config(**SMALL, **HEADS, tie_word_embeddings=False)),
    "olmo2_tied_biases": (Olmo2ForCausalLM, Olmo2Config(
        **SMALL, num_attention_heads=4, num_key_value_heads=4, attention_bias=True, tie_word_embeddings=True)),
    "cohere2_window": (Cohere2ForCausalLM, Cohere2Config(
        **{**SMALL, "num_hidden_layers": 4}, **HEADS, logit_scale=0.25, sliding_window=9, **NO_IDS)),
    "gemma2_caps_window": (Gemma2ForCausalLM, Gemma2Config(
        **SMALL, num_attention_heads=4, num_key_value_heads=2, head_dim=32, sliding_window=9,
        query_pre_attn_scalar=20, attn_logit_softcapping=3.0, final_logit_softcapping=5.0)),
    "gemma3_window_tied": (Gemma3ForCausalLM, Gemma3TextConfig(
        **{**SMALL, "num_hidden_layers": 6}, num_attention_heads=4, num_key_value_heads=1, head_dim=32,
        sliding_window=9, query_pre_attn_scalar=32)),
    "gemma3_linear_capped": (Gemma3ForCausalLM, Gemma3TextConfig(
        **SMALL, num_attention_heads=2, num_key_value_heads=2, head_dim=32, sliding_window=9,
        query_pre_attn_scalar=24, layer_types=["full_attention", "sliding_attention"],
        rope_parameters=GLOBAL_LINEAR, final_logit_softcapping=4.0, attention_bias=True,
        tie_word_embeddings=False)),
}

# What the config.json of published models has that transformers would write otherwise today.
PUBLISHED = {
    "yi_as_published": ({"head_dim", "mlp_bias", "pad_token_id"}, {
        "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "transformers_version": "4.34.0"}),
    "qwen15_as_published": ({"layer_types", "pad_token_id"}, {
        "sliding_window": 32768, "max_window_layers": 21, "torch_dtype": "bfloat16", "bos_token_id": 1,
        "eos_token_id": 2, "transformers_version": "4.37.0"}),
}


def seeds() -> dict[str, int]:
    """What the values of each case are drawn by."""
    return {name: seed for seed, name in enumerate(CASES)} | {name: zlib.crc32(name.encode()) for name in NAMED}


def main() -> None:
    out = Path(sys.argv[1])
    all_cases = CASES | NAMED
    wanted = sys.argv[2:] or all_cases
    for name, seed in ((name, seed) for name, seed in seeds().items() if name in wanted):
        kind, config = all_cases[name]
        torch.manual_seed(seed)
        model = kind(config).eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                # Large enough that attention is far from uniform and biases and gains matter.
                is_vector = parameter.ndim == 1 or "_norm" in key
                parameter.copy_(torch.randn_like(parameter) * (0.5 if is_vector else 0.2)
                                + (1.0 if is_vector else 0.0))
            ids = torch.randint(0, config.vocab_size, (1, 40))
            logits = model(input_ids=ids).logits[0]
        folder = out / name
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        path = folder / "config.json"
        if seed % 2 == 0 or name in PUBLISHED:
            path.write_text(json.dumps(as_version_4(json.loads(path.read_text())), indent=2) + "\n")
        if name in PUBLISHED:
            gone, more = PUBLISHED[name]
            config = {key: value for key, value in json.loads(path.read_text()).items() if key not in gone}
            path.write_text(json.dumps(config | more, indent=2) + "\n")
        save_file({"ids": ids[0].int(), "logits": logits.contiguous()}, folder / "expected.st")


main()
