"""Writes tests/testdata/spinquant.st: SpinQuant W4A4KV4 of the embedded model, by PyTorch's autograd in float32.

Usage: spinquant.py configs/embedded CALIBRATION.u32 TEST.u32 tests/testdata/spinquant.st   (torch 2.13, safetensors)
The two files are ids as the tokenize stage keeps them (stories:calibration of 100,000 bytes, stories:test of 20,000).

From the definitions of Liu et al. 2024 (SpinQuant) and Li et al. 2020 (Cayley SGD), with the settings of
configs/spinquant.yaml but for the definition's rate of 1.5 and no clipping: norms folded; R1 of the residual stream is
multiplied into every weight, R2 of each layer's heads into values and out_proj; what down_proj takes, and queries and
keys behind their rotary positions, go through Hadamard transforms; weights are in full precision while rotations are
learned, inputs of linears are symmetric with a scale a token, keys and values have a zero point a head. Rounding lets
gradients through. Weights then as in quarot.py, by GPTQ.
Scales are rounded to float16, as the kernels have them.

Kept: gradients at the first matrices, which have no random signs, without rounding, and with a zero point a token and a
head as facebookresearch/SpinQuant has inputs; a step of Cayley SGD; of those matrices and of three seeds of
random signs, the losses of all steps, and log-likelihoods of the test text by W4A4KV4.
"""

import sys

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from quarot import Model, hadamard, rates_of, scale_of  # noqa: E402

STEPS, BATCH, CONTEXT, RATE = 30, 2, 128, 1.5
TESTED = 8


def straight_through(x, rounded):
    return x + (rounded - x).detach()


def asymmetric(x):
    """Codes 0 to 15 with a scale and a zero point of each row."""
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    scale = scale_of(high - low, 15)
    zero = (-low / scale).round().clamp(0, 15)
    return straight_through(x, ((x / scale + zero).round().clamp(0, 15) - zero) * scale)


def symmetric(x):
    """Codes -8 to 7 with a scale of each row."""
    scale = scale_of(x.abs().amax(-1, keepdim=True), 7)
    return straight_through(x, (x / scale).round().clamp(-8, 7) * scale)


plain = lambda x: x
# Inputs, what out_proj takes, whether that has a scale a head, keys and values.
RECIPE = dict(inputs=symmetric, by_head=False, cache=asymmetric)
UPSTREAM = dict(inputs=asymmetric, by_head=True, cache=asymmetric)
NOTHING = dict(inputs=plain, by_head=False, cache=plain)


class Trained(Model):
    def rotate(self):
        """Folds gains alone."""
        w = self.weights
        w["lm_head.weight"] = w["lm_head.weight"] * w["model.norm.weight"]
        for layer in range(self.layers):
            at = f"model.layers.{layer}."
            for name, gain in (("self_attn.q_proj", "input"), ("self_attn.k_proj", "input"),
                               ("self_attn.v_proj", "input"), ("mlp.gate_proj", "post_attention"),
                               ("mlp.up_proj", "post_attention")):
                w[f"{at}{name}.weight"] = w[f"{at}{name}.weight"] * w[f"{at}{gain}_layernorm.weight"]

    def loss(self, ids, r1, r2, schemes):
        x = self.weights["model.embed_tokens.weight"][ids[:, :-1]] @ r1
        for at in range(self.layers):
            x = self.trained_layer(at, x, r1, r2[at], **schemes)
        logits = (self.norm(x) @ r1.T) @ self.weights["lm_head.weight"].T
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())

    def trained_layer(self, at, x, r1, r2, *, inputs, by_head, cache):
        weight = lambda name: self.weights[f"model.layers.{at}.{name}.weight"]
        windows, tokens, _ = x.shape
        h = inputs(self.norm(x))
        heads = lambda w, count: (h @ (w @ r1).T).view(windows, tokens, count, self.size).transpose(1, 2)
        mixed = torch.einsum("hio,ij->hjo", weight("self_attn.v_proj").view(self.kv_heads, self.size, -1), r2)
        q = heads(weight("self_attn.q_proj"), self.heads)
        k = heads(weight("self_attn.k_proj"), self.kv_heads)
        v = heads(mixed.reshape(self.kv_heads * self.size, -1), self.kv_heads)
        angles = torch.arange(tokens).double()[:, None] * rates_of(self.config)
        cos, sin = torch.cat([angles.cos()] * 2, 1).float(), torch.cat([angles.sin()] * 2, 1).float()
        other = lambda t: torch.cat([-t[..., self.size // 2:], t[..., : self.size // 2]], -1)
        q, k = ((t * cos + other(t) * sin) @ self.head for t in (q, k))
        k, v = (cache(t).repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        scores = (q @ k.transpose(2, 3)) / self.size**0.5
        scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), float("-inf"))
        y = scores.softmax(-1) @ v
        y = (inputs(y) if by_head else y).transpose(1, 2).reshape(windows, tokens, -1)
        y = y if by_head else inputs(y)
        out = torch.einsum("ohi,ij->ohj", weight("self_attn.o_proj").view(-1, self.heads, self.size), r2)
        x = x + y @ (r1.T @ out.reshape(out.shape[0], -1)).T
        h = inputs(self.norm(x))
        y = torch.nn.functional.silu(h @ (weight("mlp.gate_proj") @ r1).T) * (h @ (weight("mlp.up_proj") @ r1).T)
        y = inputs(y @ self.site["mlp.out"])
        return x + y @ (r1.T @ weight("mlp.down_proj") @ self.site["mlp.out"]).T


class Learned(Model):
    """The model rotated by learned matrices, made orthogonal, for GPTQ and scoring as in quarot.py."""

    def __init__(self, folder, r1, r2):
        exact = lambda r: torch.linalg.qr(r.double().T)
        signed = lambda q, r: (q * r.diagonal().sign()).T
        self.r1, self.r2 = signed(*exact(r1)), [signed(*exact(r)) for r in r2]
        super().__init__(folder)
        self.site["attention.out"] = torch.eye(self.heads * self.size)

    def rotate(self):
        w, r1 = self.weights, self.r1
        keep = lambda x: x.float().half().float()
        norm = lambda name: w[name].double()
        w["model.embed_tokens.weight"] = keep(w["model.embed_tokens.weight"].double() @ r1)
        for layer in range(self.layers):
            at, r2 = f"model.layers.{layer}.", self.r2[layer]
            for name, gain in (("self_attn.q_proj", "input"), ("self_attn.k_proj", "input"),
                               ("self_attn.v_proj", "input"), ("mlp.gate_proj", "post_attention"),
                               ("mlp.up_proj", "post_attention")):
                turned = w[f"{at}{name}.weight"].double() * norm(f"{at}{gain}_layernorm.weight") @ r1
                if name.endswith("v_proj"):
                    turned = torch.block_diag(*[r2.T] * self.kv_heads) @ turned
                w[f"{at}{name}.weight"] = keep(turned)
            out = r1.T @ w[f"{at}self_attn.o_proj.weight"].double()
            w[f"{at}self_attn.o_proj.weight"] = keep(out @ torch.block_diag(*[r2] * self.heads))
            down = r1.T @ w[f"{at}mlp.down_proj.weight"].double()
            w[f"{at}mlp.down_proj.weight"] = keep(down @ hadamard(down.shape[1]))
        w["lm_head.weight"] = keep(w["lm_head.weight"].double() * norm("model.norm.weight") @ r1)


def cayley(r, gradient, rate):
    r = r / (r.norm(dim=1, keepdim=True) + 1e-8)
    v = -gradient.T
    b = v @ r
    w = b - 0.5 * r.T @ (r @ b)
    a = w - w.T
    step = min(1 / (a.abs().sum(0).max().item() + 1e-8), rate)
    y = r.T + step * v
    for _ in range(5):
        y = r.T + step * a @ (r.T + y) / 2
    return y.T.contiguous()


def learn(model, ids, r1, r2):
    losses = []
    for step in range(STEPS):
        loss, grads = gradients(model, ids[step * BATCH:(step + 1) * BATCH], r1, r2, RECIPE)
        losses.append(loss)
        rate = RATE * (1 + np.cos(np.pi * step / STEPS)) / 2
        r1, *r2 = (cayley(r, g, rate) for r, g in zip([r1, *r2], grads))
    return losses, r1, r2


def gradients(model, ids, r1, r2, schemes):
    r1, r2 = r1.clone().requires_grad_(), [r.clone().requires_grad_() for r in r2]
    loss = model.loss(ids, r1, r2, schemes)
    return loss.item(), torch.autograd.grad(loss, [r1, *r2])


def signed(n, generator):
    return torch.randint(0, 2, (n, 1), generator=generator).double() * 2 - 1


def main():
    folder, calibration, test, out = sys.argv[1:]
    read = lambda path, count: torch.tensor(
        np.fromfile(path, dtype=np.uint32)[: count * CONTEXT].astype(np.int64)).view(count, CONTEXT)
    ids, held = read(calibration, STEPS * BATCH), read(test, TESTED)
    model = Trained(folder)
    hidden = model.config["hidden_size"]
    start = lambda g=None: (
        ((signed(hidden, g) if g else 1) * hadamard(hidden)).float(),
        [((signed(model.size, g) if g else 1) * hadamard(model.size)).float() for _ in range(model.layers)])
    kept = {}
    for name, schemes in (("nothing", NOTHING), ("upstream", UPSTREAM)):
        loss, grads = gradients(model, ids[:BATCH], *start(), schemes)
        print(name, loss)
        kept[f"{name}.loss"] = torch.tensor([loss])
        kept[f"{name}.residual"] = grads[0]
        for at, g in enumerate(grads[1:] if name == "nothing" else grads[1:2]):
            kept[f"{name}.heads.{at}"] = g
    step = torch.Generator().manual_seed(7)
    matrix = torch.linalg.qr(torch.randn(24, 24, generator=step, dtype=torch.float64))[0]
    gradient = torch.randn(24, 24, generator=step, dtype=torch.float64)
    kept |= {"cayley.matrix": matrix.float(), "cayley.gradient": gradient.float()}
    for name, rate in (("small", 0.01), ("capped", 1.5)):
        kept[f"cayley.{name}"] = cayley(matrix, gradient, rate).float()
    curves, scores = [], []
    for seed in (None, 1, 2, 3):
        losses, *learned = learn(model, ids, *start(seed and torch.Generator().manual_seed(seed)))
        curves.append(losses)
        with torch.no_grad():
            found = Learned(folder, *learned)
            found.quantize(ids[:TESTED])
            scores.append(found.score(held, inputs=symmetric, cache=asymmetric))
    with torch.no_grad():
        fixed = Learned(folder, *start())
        unquantized = fixed.score(held).mean()
        fixed.quantize(ids[:TESTED])
        print("fixed", fixed.score(held, inputs=symmetric, cache=asymmetric).mean().item())
    print("plain", unquantized.item(), "quantized", [s.mean().item() for s in scores])
    print(np.array(curves)[:, :: STEPS // 6])
    save_file({"calibration": ids.to(torch.uint32), "test": held.to(torch.uint32), "plain": unquantized.view(1),
               "quantized": torch.stack([s.mean() for s in scores]), "losses": torch.tensor(curves),
               **{name: value.contiguous() for name, value in kept.items()}}, out)


if __name__ == "__main__":
    main()
