"""Writes tiny random models of InternLM 2 as its own code saves them, with the logits it computes.

transformers has no class for it; this is what modeling_internlm2.py of internlm/internlm2-chat-7b defines, without caches.

Run: python tests/oracle/internlm2.py tests/testdata/families   (torch 2.13, safetensors)
"""

import json
import sys
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

SMALL = dict(vocab_size=96, hidden_size=64, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4,
             rms_norm_eps=1e-5, hidden_act="silu", initializer_range=0.02, use_cache=True, tie_word_embeddings=False,
             bos_token_id=1, eos_token_id=2, pad_token_id=2, torch_dtype="float32")
AUTO_MAP = {"AutoConfig": "configuration_internlm2.InternLM2Config",
            "AutoModelForCausalLM": "modeling_internlm2.InternLM2ForCausalLM"}
CASES = {
    "internlm2_dynamic": dict(SMALL, num_key_value_heads=2, bias=False, max_position_embeddings=36,
                              rope_theta=1000000, rope_scaling={"type": "dynamic", "factor": 2.0}),
    "internlm2_biases": dict(SMALL, num_key_value_heads=1, bias=True, max_position_embeddings=256, rope_theta=10000,
                             rope_scaling=None),
}


class Norm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class Attention(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.size = config["hidden_size"] // self.heads
        self.wqkv = nn.Linear(config["hidden_size"], (self.heads + 2 * self.kv_heads) * self.size, bias=config["bias"])
        self.wo = nn.Linear(self.heads * self.size, config["hidden_size"], bias=config["bias"])

    def angles(self, length: int):
        base, most = self.config["rope_theta"], self.config["max_position_embeddings"]
        scaling = self.config["rope_scaling"]
        if scaling and length > most:
            factor = scaling["factor"]
            base = base * ((factor * length / most) - (factor - 1)) ** (self.size / (self.size - 2))
        frequencies = 1.0 / (base ** (torch.arange(0, self.size, 2).float() / self.size))
        angles = torch.outer(torch.arange(length).float(), frequencies)
        return torch.cat((angles, angles), dim=-1)

    def forward(self, x):
        length = x.shape[0]
        qkv = self.wqkv(x).view(length, self.kv_heads, self.heads // self.kv_heads + 2, self.size)
        q = qkv[:, :, :-2].reshape(length, self.heads, self.size).transpose(0, 1)
        k, v = qkv[:, :, -2].transpose(0, 1), qkv[:, :, -1].transpose(0, 1)
        angles = self.angles(length)

        def turned(x):
            half = self.size // 2
            return x * angles.cos() + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * angles.sin()

        groups = self.heads // self.kv_heads
        q, k, v = turned(q), turned(k).repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
        scores = q @ k.transpose(1, 2) / self.size**0.5
        scores = scores + torch.full((length, length), float("-inf")).triu(1)
        return self.wo((scores.softmax(-1) @ v).transpose(0, 1).reshape(length, -1))


class FeedForward(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self.w1, self.w3 = nn.Linear(hidden, inner, bias=False), nn.Linear(hidden, inner, bias=False)
        self.w2 = nn.Linear(inner, hidden, bias=False)

    def forward(self, x):
        return self.w2(nn.functional.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.attention, self.feed_forward = Attention(config), FeedForward(config)
        self.attention_norm = Norm(config["hidden_size"], config["rms_norm_eps"])
        self.ffn_norm = Norm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class Model(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.model = nn.Module()
        self.model.tok_embeddings = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.model.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.model.norm = Norm(config["hidden_size"], config["rms_norm_eps"])
        self.output = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)

    def forward(self, ids):
        x = self.model.tok_embeddings(ids)
        for layer in self.model.layers:
            x = layer(x)
        return self.output(self.model.norm(x))


def main() -> None:
    for name, config in CASES.items():
        torch.manual_seed(zlib.crc32(name.encode()))
        model = Model(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                vector = parameter.ndim == 1
                parameter.copy_(torch.randn_like(parameter) * (0.5 if vector else 0.2) + (1.0 if vector else 0.0))
            ids = torch.randint(0, config["vocab_size"], (40,))
            logits = model(ids)
        folder = Path(sys.argv[1]) / name
        folder.mkdir(exist_ok=True)
        head = {"architectures": ["InternLM2ForCausalLM"], "auto_map": AUTO_MAP, "model_type": "internlm2",
                "attn_implementation": "eager", "transformers_version": "4.41.0"}
        (folder / "config.json").write_text(json.dumps(head | config, indent=2) + "\n")
        save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
        save_file({"ids": ids.int(), "logits": logits.contiguous()}, folder / "expected.st")


main()
