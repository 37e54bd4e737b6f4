"""Writes tests/testdata/atom.st: Atom W4A4KV4 of the embedded model, by fake quantization in float32.

Usage: atom.py configs/embedded tests/testdata/quarot.st tests/testdata/atom.st   (torch 2.13, safetensors)
Calibration and test tokens are those of quarot.st, see quarot.py.

From the definitions of Zhao et al. 2024 (Atom) and Frantar et al. 2023 (GPTQ), with the settings of configs/atom.yaml:
channels of every linear's input in ascending order of their sum of squares; inputs in groups of 128, symmetric codes of
4 bits clipped to 0.9 of their range, the last group with 8; keys before their rotary positions and values with a zero
point a head, whose range need not hold zero; weights by GPTQ on such inputs, layer after layer, a scale for two rows of
a group, 0.85 of the range over 7.5, measured when the group is reached; the last group takes all errors, then it is
rounded to 8 bits, a scale a row. Scales are rounded to float16.
"""

import json
import sys

import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from quarot import rates_of, weights_of  # noqa: E402

torch.set_num_threads(1)
GROUP = 128
KEPT_ROWS = 64
KEPT = ["layers.0.self_attn.q_proj", "layers.0.self_attn.o_proj", "layers.3.mlp.down_proj"]
SITES = {"self_attn.q_proj": "attention.in", "self_attn.k_proj": "attention.in", "self_attn.v_proj": "attention.in",
         "self_attn.o_proj": "attention.out", "mlp.gate_proj": "mlp.in", "mlp.up_proj": "mlp.in",
         "mlp.down_proj": "mlp.out"}


def scale_of(span, most):
    scale = (span / most).half().float()
    return torch.where(scale == 0, torch.ones_like(scale), scale)


def round_inputs(x):
    small, large = x[..., :-GROUP].unflatten(-1, (-1, GROUP)), x[..., -GROUP:]
    scale = scale_of(0.9 * small.abs().amax(-1, keepdim=True), 7)
    wide = scale_of(large.abs().amax(-1, keepdim=True), 127)
    return torch.cat([((small / scale).round().clamp(-8, 7) * scale).flatten(-2),
                      (large / wide).round().clamp(-127, 127) * wide], -1)


def round_cache(x):
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    scale = scale_of(high - low, 15)
    zero = (-low / scale).round().clamp(0, 15)
    return ((x / scale + zero).round().clamp(0, 15) - zero) * scale


def gptq(w, gram):
    """Codes of w [rows, columns] and what they stand for, as float64 decides them."""
    h = gram.double() + 0.01 * gram.double().diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    left = w.double().clone()
    codes, values = torch.zeros_like(left), torch.zeros_like(left)
    rows, columns = left.shape
    for first in range(0, columns, GROUP):
        block = slice(first, first + GROUP)
        if first + GROUP == columns:
            scale = scale_of(left[:, block].float().abs().amax(1, keepdim=True), 127).double()
            codes[:, block] = (left[:, block] / scale).round().clamp(-127, 127)
            values[:, block] = codes[:, block] * scale
            break
        most = left[:, block].float().abs().amax(1).view(rows // 2, 2).amax(1)
        scale = scale_of(0.85 * most, 7.5).double().repeat_interleave(2)
        for c in range(first, first + GROUP):
            codes[:, c] = (left[:, c] / scale).round().clamp(-8, 7)
            values[:, c] = codes[:, c] * scale
            error = (left[:, c] - values[:, c]) / u[c, c]
            left[:, c:] -= error[:, None] * u[c, c:][None]
    return codes.float(), values.float()


class Model:
    def __init__(self, folder):
        self.config = json.load(open(f"{folder}/config.json"))
        self.weights = weights_of(folder)
        self.heads, self.kv_heads, self.size = (
            self.config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim"))
        self.layers = self.config["num_hidden_layers"]
        self.orders = {}
        self.codes = {}

    def norm(self, x, name):
        gain = self.weights[name]
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"]) * gain

    def layer(self, at, x, *, inputs=lambda x: x, cache=lambda x: x, seen=None):
        """A layer over windows [windows, tokens, hidden]; `seen` is told what each site's linears take."""
        tell = seen or (lambda site, x: None)
        weight = lambda name: self.weights[f"model.layers.{at}.{name}.weight"]
        windows, tokens, _ = x.shape

        def site(name, h):
            order = self.orders.get((at, name))
            h = inputs(h if order is None else h[..., order])
            tell(name, h)
            return h

        h = site("attention.in", self.norm(x, f"model.layers.{at}.input_layernorm.weight"))
        heads = lambda name, count: (h @ weight(name).T).view(windows, tokens, count, self.size).transpose(1, 2)
        q, k, v = heads("self_attn.q_proj", self.heads), heads("self_attn.k_proj", self.kv_heads), heads(
            "self_attn.v_proj", self.kv_heads)
        k, v = cache(k), cache(v)
        angles = torch.arange(tokens).double()[:, None] * rates_of(self.config)
        cos, sin = torch.cat([angles.cos()] * 2, 1).float(), torch.cat([angles.sin()] * 2, 1).float()
        turned = lambda t: torch.cat([-t[..., self.size // 2:], t[..., : self.size // 2]], -1)
        q, k = (t * cos + turned(t) * sin for t in (q, k))
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        scores = (q @ k.transpose(2, 3)) / self.size**0.5
        scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), float("-inf"))
        y = site("attention.out", (scores.softmax(-1) @ v).transpose(1, 2).reshape(windows, tokens, -1))
        x = x + y @ weight("self_attn.o_proj").T
        h = site("mlp.in", self.norm(x, f"model.layers.{at}.post_attention_layernorm.weight"))
        y = torch.nn.functional.silu(h @ weight("mlp.gate_proj").T) * (h @ weight("mlp.up_proj").T)
        return x + site("mlp.out", y) @ weight("mlp.down_proj").T

    def reorder(self, ids):
        x = self.weights["model.embed_tokens.weight"][ids]
        squares = {}
        for at in range(self.layers):
            x = self.layer(at, x, seen=lambda site, h: squares.__setitem__((at, site), h.pow(2).sum((0, 1))))
        self.orders = {key: value.argsort(stable=True) for key, value in squares.items()}
        for at in range(self.layers):
            for name, site in SITES.items():
                key = f"model.layers.{at}.{name}.weight"
                self.weights[key] = self.weights[key][:, self.orders[at, site]]

    def quantize(self, ids):
        x = self.weights["model.embed_tokens.weight"][ids]
        precision = {"inputs": round_inputs, "cache": round_cache}
        for at in range(self.layers):
            grams = {}

            def seen(site, h):
                rows = h.reshape(-1, h.shape[-1]).double()
                grams[site] = (rows.T @ rows).float()

            self.layer(at, x, seen=seen, **precision)
            for name, site in SITES.items():
                key = f"model.layers.{at}.{name}.weight"
                self.codes[f"layers.{at}.{name}"], self.weights[key] = gptq(self.weights[key], grams[site])
            x = self.layer(at, x, **precision)

    def score(self, ids, **precision):
        """Log-likelihoods of all tokens of each window but its first."""
        x = self.weights["model.embed_tokens.weight"][ids]
        for at in range(self.layers):
            x = self.layer(at, x, **precision)
        logits = self.norm(x, "model.norm.weight") @ self.weights["lm_head.weight"].T
        return logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]


def main():
    folder, tokens, out = sys.argv[1:]
    ids = load_file(tokens)
    calibration, test = (ids[name].to(torch.int64) for name in ("calibration", "test"))
    with torch.no_grad():
        model = Model(folder)
        plain = model.score(test)
        model.reorder(calibration)
        model.quantize(calibration)
        scored = model.score(test, inputs=round_inputs, cache=round_cache)
    print("perplexity", (-plain.mean()).exp().item(), "W4A4KV4", (-scored.mean()).exp().item())
    # Rows of gate_proj and up_proj stand as they were: down_proj takes its channels in another order here.
    kept = {f"codes.{name}": model.codes[name][:KEPT_ROWS].to(torch.int8) for name in KEPT}
    save_file({"calibration": calibration.to(torch.uint32), "test": test.to(torch.uint32), "plain": plain.contiguous(),
               "quantized": scored.contiguous(), **kept}, out)


if __name__ == "__main__":
    main()
