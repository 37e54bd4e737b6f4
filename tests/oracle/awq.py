"""AWQ W4A16 of a Llama model, by fake quantization in float32; seed_rows.py runs it.

From the definition of Lin et al. 2023 (AWQ), with the settings of configs/awq.yaml and DeepCompressor's: what each linear
takes is divided by its channels' largest magnitudes to the power a, of 0, 1/20 ... 19/20 the one of least output error
on 512 tokens, weights rounded to the nearest code; then each group of all weights but those of q, k and v takes the
share of its range, from 1 to 0.8 in 20 steps, whose partial outputs err least. Codes of 0 to 15 with a scale and a
zero behind it a group, both of float16.
"""

import torch

import atom

KEPT, GRIDS, LEAST = 512, 20, 0.8
LINEARS = {"attention.in": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
           "attention.out": ["self_attn.o_proj"], "mlp.in": ["mlp.gate_proj", "mlp.up_proj"],
           "mlp.out": ["mlp.down_proj"]}
FED_BY = {"attention.in": "input_layernorm", "attention.out": "self_attn.v_proj", "mlp.in": "post_attention_layernorm",
          "mlp.out": "mlp.up_proj"}


def rounded(groups, low, high):
    """Groups in their last dimension, as their codes stand for them."""
    scale, zero = atom.scale_of(high - low, 15), (-low).half().float()
    return ((groups + zero) / scale).round().clamp(0, 15) * scale - zero


def nearest(w, group, ratio=1.0):
    groups = w.unflatten(1, (-1, group))
    low, high = groups.amin(2, keepdim=True), groups.amax(2, keepdim=True)
    return rounded(groups, low * ratio, high * ratio).flatten(1)


def searched(w, group, grams):
    """Rounded with the share of each group's range whose partial outputs err least; grams [groups, group, group]."""
    best, found = None, None
    for step in range(GRIDS + 1):
        candidate = nearest(w, group, 1 - step / GRIDS * (1 - LEAST))
        error = (candidate - w).unflatten(1, (-1, group))
        loss = torch.einsum("rgi,gij,rgj->rg", error, grams, error)[..., None]
        if best is None:
            best, found = loss, candidate
        better = loss < best
        best = torch.where(better, loss, best)
        found = torch.where(better, candidate.unflatten(1, (-1, group)), found.unflatten(1, (-1, group))).flatten(1)
    return found


class Model(atom.Model):
    def quantize(self, ids, group):
        x = self.weights["model.embed_tokens.weight"][ids]
        for at in range(self.layers):
            seen = {}
            x = self.layer(at, x, seen=lambda site, h: seen.__setitem__(site, h.flatten(0, 1)))
            scales = {site: self.smooth(at, site, h, group) for site, h in seen.items()}
            for site, linears in LINEARS.items():
                h = seen[site] / scales[site]
                grams = torch.einsum("tgi,tgj->gij", *[h.unflatten(1, (-1, group))] * 2)
                for name in linears:
                    key = f"model.layers.{at}.{name}.weight"
                    w = self.weights[key].half().float()
                    whole = site == "attention.in"
                    self.weights[key] = nearest(w, group) if whole else searched(w, group, grams)

    def smooth(self, at, site, h, group):
        """Moves magnitudes of a site's inputs into its weights; what feeds it takes them back."""
        key = lambda name: f"model.layers.{at}.{name}.weight"
        weights = torch.cat([self.weights[key(name)] for name in LINEARS[site]])
        span = h.abs().amax(0)
        shared = site == "attention.out"
        if shared:
            # Query heads that share values share their scale.
            heads = span.view(self.kv_heads, -1, self.size)
            span = heads.amax(1, keepdim=True).expand_as(heads).flatten()
        rows = h[((torch.arange(KEPT) + 0.5) * len(h) / KEPT).long()]
        exact, best, found = rows @ weights.T, None, None
        for step in range(GRIDS):
            scale = span ** (step / GRIDS)
            scale = torch.where(scale == 0, torch.ones_like(scale), scale)
            loss = ((rows / scale) @ nearest(weights * scale, group).T - exact).double().pow(2).sum()
            if best is None or loss <= best:
                best, found = loss, scale
        for name in LINEARS[site]:
            self.weights[key(name)] = self.weights[key(name)] * found
        fed = key(FED_BY[site])
        back = found.view(self.kv_heads, -1, self.size)[:, 0].flatten() if shared else found
        norm = FED_BY[site].endswith("norm")
        self.weights[fed] = self.weights[fed] / (back if norm else back[:, None])
        if norm:
            self.weights[fed] = self.weights[fed].half().float()
        return found
