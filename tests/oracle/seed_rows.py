"""Prints what rows of configs/seed-table.yaml give for a whole Llama model, by fake quantization in float32.

Usage: seed_rows.py awq|quarot|atom MODEL CALIBRATION.u32 TEST.u32   (torch 2.13, safetensors)
MODEL is a checkpoint of the load stage, the files hold ids as the tokenize stage keeps them.

The rows are those of awq.py, quarot.py and atom.py, with the random signs of the manifest's seed. For SmolLM2:
    --group 64 --samples 16 --sample-tokens 512 --context 2048 --windows 8
"""

import argparse
import sys
import time

import numpy as np
import torch

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import atom  # noqa: E402
import awq  # noqa: E402
import quarot  # noqa: E402

WORD = 2**32 - 1


def scramble(value):
    """MurmurHash3's finalizer behind an odd offset."""
    bits = (value + 0x9E3779B9) & WORD
    bits = ((bits ^ (bits >> 16)) * 0x85EBCA6B) & WORD
    bits = ((bits ^ (bits >> 13)) * 0xC2B2AE35) & WORD
    return bits ^ (bits >> 16)


def signs_of(size, seed, stream=1):
    """The signs that stages/quant/rotation.ts draws: facts of a seed, no part of the method."""
    stream = scramble(scramble(seed) + stream & WORD)
    return torch.tensor([[-1.0 if scramble(stream ^ scramble(i)) >> 31 else 1.0] for i in range(size)],
                        dtype=torch.float64)


def windows_of(path, count, tokens):
    ids = np.fromfile(path, dtype=np.uint32)[: count * tokens].astype(np.int64)
    return torch.tensor(ids).view(count, tokens)


def parsed():
    parser = argparse.ArgumentParser()
    for name in ("row", "model", "calibration", "test"):
        parser.add_argument(name)
    for name, value in (("group", 128), ("samples", 32), ("sample-tokens", 512), ("context", 512), ("windows", 16),
                        ("seed", 0), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def main():
    args = parsed()
    torch.set_num_threads(args.threads)
    calibration = windows_of(args.calibration, args.samples, args.sample_tokens)
    test = windows_of(args.test, args.windows, args.context)
    began = time.time()
    with torch.no_grad():
        rounding, more = {}, ()
        if args.row == "awq":
            model, more = awq.Model(args.model), (args.group,)
        elif args.row == "atom":
            atom.GROUP = args.group
            rounding = {"inputs": atom.round_inputs, "cache": atom.round_cache}
            model = atom.Model(args.model)
            model.reorder(calibration)
        else:
            rounding = {"inputs": quarot.round_inputs, "cache": quarot.round_cache}
            quarot.Model.signs = signs_of(quarot.config_of(args.model)["hidden_size"], args.seed)
            model = quarot.Model(args.model)
        scored = lambda **how: torch.stack([model.score(one[None], **how)[0] for one in test])
        plain = scored()
        print("in full precision", (-plain.mean()).exp().item(), flush=True)
        model.quantize(calibration, *more)
        rounded = scored(**rounding)
    print("losses of windows", [round(-one.mean().item(), 6) for one in rounded])
    print(args.row, (-rounded.mean()).exp().item(), f"{time.time() - began:.0f} s")


main()
