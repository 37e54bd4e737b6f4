"""Writes tests/testdata/backward.st: gradients of PyTorch's autograd for the kernels of a backward pass.

Usage: backward.py tests/testdata/backward.st   (torch 2.13, safetensors)
For every kernel random inputs in float32, a random gradient of what the forward kernel makes, and the gradients of its
inputs, which autograd takes in float64. Names are those of the kernels and of their inputs and outputs.
"""

import sys

import torch
from safetensors.torch import save_file

torch.manual_seed(19)
out = {}


def random(*shape):
    return torch.randn(*shape).float().double().requires_grad_()


def keep(kernel, **tensors):
    for name, value in tensors.items():
        out[f"{kernel}.{name}"] = value.detach().float().contiguous()


def grads(y, *inputs):
    dy = torch.randn_like(y.float()).double()
    return dy, torch.autograd.grad(y, inputs, dy)


def norm(rows=5, columns=68, eps=1e-5):
    x, gain = random(rows, columns), random(columns)
    y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * gain
    dy, (dx,) = grads(y, x)
    keep("rmsNormBackward", x=x, gain=gain, dy=dy, dx=dx)


def gates(rows=5, columns=36):
    x = random(rows, 2 * columns)
    y = torch.nn.functional.silu(x[:, :columns]) * x[:, columns:]
    dy, (dx,) = grads(y, x)
    keep("gluBackward", x=x, dy=dy, dx=dx)


def turn(x, cos, sin):
    """Halves turn together, as in transformers."""
    half = x.shape[-1] // 2
    other = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * torch.cat([cos, cos], -1)[:, None] + other * torch.cat([sin, sin], -1)[:, None]


def rope(tokens=7, heads=4, kv_heads=2, size=16, theta=10000.0):
    x = random(tokens, heads + 2 * kv_heads, size)
    angles = torch.arange(tokens).double()[:, None] * theta ** -(torch.arange(0, size, 2).double() / size)
    cos, sin = angles.cos().float().double(), angles.sin().float().double()
    q, k, v = x.split([heads, kv_heads, kv_heads], 1)
    q, k = turn(q, cos, sin), turn(k, cos, sin)
    dq, dk, dv = (torch.randn_like(t.float()).double() for t in (q, k, v))
    (dx,) = torch.autograd.grad([q, k, v], x, [dq, dk, dv])
    keep("ropeBackward", dq=dq, dk=dk, dv=dv, angles=torch.cat([cos, sin], 1), dx=dx)


def attention(tokens=21, heads=4, kv_heads=2, size=16):
    q, k, v = random(tokens, heads, size), random(tokens, kv_heads, size), random(tokens, kv_heads, size)
    shared = lambda t: t.repeat_interleave(heads // kv_heads, 1).transpose(0, 1)
    y = torch.nn.functional.scaled_dot_product_attention(
        q.transpose(0, 1), shared(k), shared(v), is_causal=True).transpose(0, 1)
    dy, (dq, dk, dv) = grads(y, q, k, v)
    keep("attentionBackward", q=q, k=k, v=v, y=y, dy=dy, dq=dq, dk=dk, dv=dv)


def nll(tokens=9, columns=37):
    logits, targets = random(tokens, columns), torch.randint(columns, (tokens,))
    (dy,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, targets), logits)
    keep("nllBackward", logits=logits, dy=dy)
    out["nllBackward.targets"] = targets.to(torch.uint32)


def linear(tokens=11, inner=24, outputs=16):
    x, weight = random(tokens, inner), random(outputs, inner)
    dy, (dx, dw) = grads(x @ weight.T, x, weight)
    keep("matmul", x=x, weight=weight, dy=dy, dx=dx, dw=dw)


for write in (norm, gates, rope, attention, nll, linear):
    write()
save_file(out, sys.argv[1])
