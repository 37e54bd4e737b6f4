"""Writes tests/testdata/quarot.st: QuaRot W4A4KV4 of the embedded model, by fake quantization in float32.

Usage: quarot.py configs/embedded CALIBRATION.u32 TEST.u32 tests/testdata/quarot.st   (torch 2.13, safetensors)
The two files are ids as the tokenize stage keeps them (stories:calibration and stories:test of 20,000 bytes).

From the definitions of Ashkboos et al. 2024 (QuaRot) and Frantar et al. 2023 (GPTQ), with the settings of
configs/quarot.yaml and no random signs: norms folded; the residual stream, what the heads make, what down_proj takes,
and queries and keys behind their rotary positions go through Hadamard transforms; symmetric weights by GPTQ with a
searched scale a row, layer after layer on inputs behind quantized weights; symmetric inputs, clipped to 0.9 of their
range, a scale a token; keys and values with a zero point a head, clipped to 0.95. Scales are rounded to float16.
"""

import json
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
WINDOWS, CONTEXT, SCORED = 4, 256, 2
KEPT_ROWS = 64
KEPT = ["layers.0.self_attn.q_proj", "layers.0.self_attn.o_proj", "layers.3.mlp.down_proj"]


def sylvester(n):
    h = torch.ones(1, 1, dtype=torch.float64)
    while len(h) < n:
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)])
    return h


def character(prime):
    """1 at squares of the residues, -1 elsewhere, 0 at 0."""
    squares = {i * i % prime for i in range(1, prime)}
    return lambda d: 0 if d % prime == 0 else 1 if d % prime in squares else -1


def paley_12():
    """Paley's first construction over the residues of 11: QuaRot's matrix of order 12."""
    chi = character(11)
    entry = lambda i, j: 1 if j == 0 else -1 if i == 0 else 1 if i == j else -chi(j - i)
    return torch.tensor([[entry(i, j) for j in range(12)] for i in range(12)], dtype=torch.float64)


def paley_36():
    """Paley's second construction over the residues of 17: QuaRot's matrix of order 36."""
    chi = character(17)
    entry = lambda i, j: chi(j - i) if i and j else int(i != j)
    conference = torch.tensor([[entry(i, j) for j in range(18)] for i in range(18)], dtype=torch.float64)
    unit = torch.eye(18, dtype=torch.float64)
    above, below = [conference + unit, conference - unit], [conference - unit, -conference - unit]
    return torch.cat([torch.cat(above, 1), torch.cat(below, 1)])


def hadamard(n):
    """The matrix M with x M the transform of a row x."""
    if n & (n - 1) == 0:
        return sylvester(n) / n**0.5
    left = next(make for order, make in ((36, paley_36), (12, paley_12)) if n % order == 0)()
    return torch.kron(left.T.contiguous(), sylvester(n // len(left))) / n**0.5


def half(x):
    return x.half().float()


def scale_of(span, most):
    scale = half(span / most)
    return torch.where(scale == 0, torch.ones_like(scale), scale)


def round_inputs(x):
    scale = scale_of(0.9 * x.abs().amax(-1, keepdim=True), 7)
    return (x / scale).round().clamp(-8, 7) * scale


def round_cache(x):
    low = (0.95 * x.amin(-1, keepdim=True)).clamp(max=0)
    high = (0.95 * x.amax(-1, keepdim=True)).clamp(min=0)
    scale = scale_of(high - low, 15)
    zero = (-low / scale).round().clamp(0, 15)
    return ((x / scale + zero).round().clamp(0, 15) - zero) * scale


def searched_scales(w):
    most = w.abs().amax(1, keepdim=True)
    best, found = None, None
    for step in range(80):
        scale = scale_of(most * (1 - 0.79 * step / 79), 7)
        error = ((w / scale).round().clamp(-7, 7) * scale - w).pow(2).sum(1, keepdim=True)
        if best is None:
            best, found = error, scale
        better = error < best
        best, found = torch.where(better, error, best), torch.where(better, scale, found)
    return found


def gptq(w, gram):
    """Codes and scales of w [rows, columns], as float64 decides them; a row that rounding serves better is rounded."""
    scale = searched_scales(w).double()
    h = gram.double() + 0.01 * gram.double().diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    left = w.double().clone()
    codes = torch.zeros_like(left)
    for c in range(left.shape[1]):
        codes[:, c] = (left[:, c] / scale[:, 0]).round().clamp(-7, 7)
        error = (left[:, c] - codes[:, c] * scale[:, 0]) / u[c, c]
        left[:, c:] -= error[:, None] * u[c, c:][None]
    nearest = (w.double() / scale).round().clamp(-7, 7)
    cost = lambda q: (((q * scale - w) @ gram.double()) * (q * scale - w)).sum(1)
    worse = cost(nearest) < cost(codes)
    codes[worse] = nearest[worse]
    return codes.float(), scale.float()


def config_of(folder):
    return json.load(open(f"{folder}/config.json"))


def weights_of(folder):
    weights = {name: value.float() for name, value in load_file(f"{folder}/model.safetensors").items()}
    return {"lm_head.weight": weights["model.embed_tokens.weight"], **weights}


def rates_of(config):
    """Radians a position of each pair of a head's channels."""
    theta = config.get("rope_parameters", config)["rope_theta"]
    size = config["head_dim"]
    return theta ** -(torch.arange(0, size, 2).double() / size)


class Model:
    signs = 1  # of the residual stream's channels before its transform

    def __init__(self, folder):
        self.config = config_of(folder)
        self.weights = weights_of(folder)
        self.heads, self.kv_heads, self.size = (
            self.config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim"))
        self.layers = self.config["num_hidden_layers"]
        self.site = {"attention.out": hadamard(self.heads * self.size).float(),
                     "mlp.out": hadamard(self.config["intermediate_size"]).float()}
        self.head = hadamard(self.size).float()
        self.codes = {}
        self.rotate()

    def rotate(self):
        """Folds gains and rotations into the weights, which are kept in float16."""
        w, residual = self.weights, self.signs * hadamard(self.config["hidden_size"])
        keep = lambda x: x.float().half().float()
        norm = lambda name: w[name].double()
        w["model.embed_tokens.weight"] = keep(w["model.embed_tokens.weight"].double() @ residual)
        for layer in range(self.layers):
            at = f"model.layers.{layer}."
            for name, gain in (("self_attn.q_proj", "input"), ("self_attn.k_proj", "input"),
                               ("self_attn.v_proj", "input"), ("mlp.gate_proj", "post_attention"),
                               ("mlp.up_proj", "post_attention")):
                plain = w[f"{at}{name}.weight"].double() * norm(f"{at}{gain}_layernorm.weight")
                w[f"{at}{name}.weight"] = keep(plain @ residual)
            for name, site in (("self_attn.o_proj", "attention.out"), ("mlp.down_proj", "mlp.out")):
                turned = residual.T @ w[f"{at}{name}.weight"].double()
                w[f"{at}{name}.weight"] = keep(turned @ hadamard(turned.shape[1]))
        w["lm_head.weight"] = keep(w["lm_head.weight"].double() * norm("model.norm.weight") @ residual)

    def norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])

    def layer(self, at, x, *, inputs=lambda x: x, cache=lambda x: x, seen=None):
        """A layer over windows [windows, tokens, hidden]; `seen` is told what each site takes."""
        tell = seen or (lambda site, x: None)
        weight = lambda name: self.weights[f"model.layers.{at}.{name}.weight"]
        windows, tokens, _ = x.shape
        h = self.norm(x)
        tell("attention.in", h)
        h = inputs(h)
        heads = lambda name, count: (h @ weight(name).T).view(windows, tokens, count, self.size).transpose(1, 2)
        q, k, v = heads("self_attn.q_proj", self.heads), heads("self_attn.k_proj", self.kv_heads), heads(
            "self_attn.v_proj", self.kv_heads)
        angles = torch.arange(tokens).double()[:, None] * rates_of(self.config)
        cos, sin = torch.cat([angles.cos()] * 2, 1).float(), torch.cat([angles.sin()] * 2, 1).float()
        turned = lambda t: torch.cat([-t[..., self.size // 2:], t[..., : self.size // 2]], -1)
        q, k = ((t * cos + turned(t) * sin) @ self.head for t in (q, k))
        k, v = (cache(t).repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        scores = (q @ k.transpose(2, 3)) / self.size**0.5
        scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), float("-inf"))
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(windows, tokens, -1) @ self.site["attention.out"]
        tell("attention.out", y)
        x = x + inputs(y) @ weight("self_attn.o_proj").T
        h = self.norm(x)
        tell("mlp.in", h)
        h = inputs(h)
        y = torch.nn.functional.silu(h @ weight("mlp.gate_proj").T) * (h @ weight("mlp.up_proj").T)
        y = y @ self.site["mlp.out"]
        tell("mlp.out", y)
        return x + inputs(y) @ weight("mlp.down_proj").T

    def quantize(self, ids):
        x = self.weights["model.embed_tokens.weight"][ids]
        for at in range(self.layers):
            grams = {}

            def seen(site, h):
                rows = h.reshape(-1, h.shape[-1]).double()
                grams[site] = (rows.T @ rows).float()

            self.layer(at, x, seen=seen)
            for name, site in (("self_attn.q_proj", "attention.in"), ("self_attn.k_proj", "attention.in"),
                               ("self_attn.v_proj", "attention.in"), ("self_attn.o_proj", "attention.out"),
                               ("mlp.gate_proj", "mlp.in"), ("mlp.up_proj", "mlp.in"),
                               ("mlp.down_proj", "mlp.out")):
                key = f"model.layers.{at}.{name}.weight"
                codes, scale = gptq(self.weights[key], grams[site])
                self.codes[f"layers.{at}.{name}"] = codes
                self.weights[key] = codes * scale
            x = self.layer(at, x)

    def score(self, ids, **precision):
        """Log-likelihoods of all tokens of each window but its first."""
        x = self.weights["model.embed_tokens.weight"][ids]
        for at in range(self.layers):
            x = self.layer(at, x, **precision)
        logits = self.norm(x) @ self.weights["lm_head.weight"].T
        return logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]


def main():
    folder, calibration, test, out = sys.argv[1:]
    read = lambda path, count: torch.tensor(
        np.fromfile(path, dtype=np.uint32)[: count * CONTEXT].astype(np.int64)).view(count, CONTEXT)
    calibration, test = read(calibration, WINDOWS), read(test, SCORED)
    with torch.no_grad():
        model = Model(folder)
        plain = model.score(test)
        model.quantize(calibration)
        scored = model.score(test, inputs=round_inputs, cache=round_cache)
    print("perplexity", (-plain.mean()).exp().item(), "W4A4KV4", (-scored.mean()).exp().item())
    kept = {f"codes.{name}": model.codes[name][:KEPT_ROWS].to(torch.int8) for name in KEPT}
    save_file({"calibration": calibration.to(torch.uint32), "test": test.to(torch.uint32), "plain": plain.contiguous(),
               "quantized": scored.contiguous(), **kept}, out)


if __name__ == "__main__":
    main()
