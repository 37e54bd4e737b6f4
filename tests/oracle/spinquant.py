"""Writes tests/testdata/spinquant.st: SpinQuant's learned rotations of the embedded model, by PyTorch's autograd.

Usage: spinquant.py configs/embedded CALIBRATION.u32 TEST.u32 tests/testdata/spinquant.st   (torch 2.13, safetensors)
The two files are ids as the tokenize stage keeps them (stories:calibration of 100,000 bytes, stories:test of 20,000).

From the definitions of Liu et al. 2024 (SpinQuant) and Li et al. 2020 (Cayley SGD): norms folded; R1 of the residual
stream is multiplied into every weight, R2 of each layer's heads into values and out_proj; what down_proj takes, and
queries and keys behind their rotary positions, go through Hadamard transforms; weights are in full precision while
rotations are learned, inputs of linears have 4 bits with a zero point a token (a head at out_proj), keys and values a
head. Rounding lets gradients through. Scales are rounded to float16, as the kernels have them.

Kept: gradients at the first matrices, which have no random signs; the losses of all steps from there; of three seeds of
random signs, the losses of all steps and of the test text before and behind them.
"""

import sys

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from quarot import Model, hadamard, scale_of  # noqa: E402

STEPS, BATCH, CONTEXT, RATE = 30, 2, 128, 1.5
TESTED = 8


def straight_through(x, rounded):
    return x + (rounded - x).detach()


def rounded(x):
    """Codes 0 to 15 with a scale and a zero point of each row."""
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    scale = scale_of(high - low, 15)
    zero = (-low / scale).round().clamp(0, 15)
    return straight_through(x, ((x / scale + zero).round().clamp(0, 15) - zero) * scale)


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

    def loss(self, ids, r1, r2, turn=rounded):
        x = self.weights["model.embed_tokens.weight"][ids[:, :-1]] @ r1
        for at in range(self.layers):
            x = self.trained_layer(at, x, r1, r2[at], turn)
        logits = (self.norm(x) @ r1.T) @ self.weights["lm_head.weight"].T
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())

    def trained_layer(self, at, x, r1, r2, turn):
        weight = lambda name: self.weights[f"model.layers.{at}.{name}.weight"]
        windows, tokens, _ = x.shape
        h = turn(self.norm(x))
        heads = lambda w, count: (h @ (w @ r1).T).view(windows, tokens, count, self.size).transpose(1, 2)
        mixed = torch.einsum("hio,ij->hjo", weight("self_attn.v_proj").view(self.kv_heads, self.size, -1), r2)
        q = heads(weight("self_attn.q_proj"), self.heads)
        k = heads(weight("self_attn.k_proj"), self.kv_heads)
        v = heads(mixed.reshape(self.kv_heads * self.size, -1), self.kv_heads)
        rates = self.config["rope_parameters"]["rope_theta"] ** -(torch.arange(0, self.size, 2).double() / self.size)
        angles = torch.arange(tokens).double()[:, None] * rates
        cos, sin = torch.cat([angles.cos()] * 2, 1).float(), torch.cat([angles.sin()] * 2, 1).float()
        other = lambda t: torch.cat([-t[..., self.size // 2:], t[..., : self.size // 2]], -1)
        q, k = ((t * cos + other(t) * sin) @ self.head for t in (q, k))
        k, v = (turn(t).repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        scores = (q @ k.transpose(2, 3)) / self.size**0.5
        scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), float("-inf"))
        y = turn(scores.softmax(-1) @ v).transpose(1, 2).reshape(windows, tokens, -1)
        out = torch.einsum("ohi,ij->ohj", weight("self_attn.o_proj").view(-1, self.heads, self.size), r2)
        x = x + y @ (r1.T @ out.reshape(out.shape[0], -1)).T
        h = turn(self.norm(x))
        y = torch.nn.functional.silu(h @ (weight("mlp.gate_proj") @ r1).T) * (h @ (weight("mlp.up_proj") @ r1).T)
        y = turn(y @ self.site["mlp.out"])
        return x + y @ (r1.T @ weight("mlp.down_proj") @ self.site["mlp.out"]).T


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
    losses, first = [], None
    for step in range(STEPS):
        r1, r2 = r1.detach().requires_grad_(), [r.detach().requires_grad_() for r in r2]
        loss = model.loss(ids[step * BATCH:(step + 1) * BATCH], r1, r2)
        grads = torch.autograd.grad(loss, [r1, *r2])
        first = first or [g.clone() for g in grads]
        losses.append(loss.item())
        rate = RATE * (1 + np.cos(np.pi * step / STEPS)) / 2
        with torch.no_grad():
            r1, *r2 = (cayley(r, g, rate) for r, g in zip([r1, *r2], grads))
    return losses, first, r1, r2


def signed(n, generator):
    return torch.randint(0, 2, (n, 1), generator=generator).double() * 2 - 1


def main():
    folder, calibration, test, out = sys.argv[1:]
    read = lambda path, count: torch.tensor(
        np.fromfile(path, dtype=np.uint32)[: count * CONTEXT].astype(np.int64)).view(count, CONTEXT)
    ids, held = read(calibration, STEPS * BATCH), read(test, TESTED)
    model = Trained(folder)
    hidden = model.config["hidden_size"]
    starts = lambda g: (
        ((signed(hidden, g) if g else 1) * hadamard(hidden)).float(),
        [((signed(model.size, g) if g else 1) * hadamard(model.size)).float() for _ in range(model.layers)])
    score = lambda r1, r2: model.loss(held, r1, r2).item()
    plain = model.loss(held, *starts(None), turn=lambda x: x).item()
    before = [score(*starts(None))]
    losses, grads, *behind = learn(model, ids, *starts(None))
    after = [score(*behind)]
    curves = [losses]
    for seed in (1, 2, 3):
        generator = lambda: torch.Generator().manual_seed(seed)
        before.append(score(*starts(generator())))
        losses, _, *behind = learn(model, ids, *starts(generator()))
        after.append(score(*behind))
        curves.append(losses)
    print("plain", plain, "before", before, "after", after)
    print(np.array(curves)[:, :: STEPS // 6])
    save_file({
        "calibration": ids.to(torch.uint32), "test": held.to(torch.uint32),
        "plain": torch.tensor([plain]), "before": torch.tensor(before), "after": torch.tensor(after),
        "losses": torch.tensor(curves), "gradient.residual": grads[0],
        **{f"gradient.heads.{at}": g for at, g in enumerate(grads[1:])}}, out)


if __name__ == "__main__":
    main()
