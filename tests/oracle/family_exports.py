"""Runs in transformers what `family_exports.ts` wrote, and prints how far logits are from those before the export.

Run: python tests/oracle/family_exports.py OUT tests/testdata/families   (torch 2.13, transformers 5.24)

A line for each: the class that loaded it, the relative error, and what keys it missed or did not expect. Errors
below 3e-6 were seen for all variants of Cohere, Granite, InternLM 2, OLMo 2, StableLM and the dense ones before them.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def main() -> None:
    out, families = map(Path, sys.argv[1:3])
    for folder in sorted(out.iterdir()):
        expected = load_file(families / folder.name.split(".")[0] / "expected.st")
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, dtype=torch.float32, attn_implementation="eager")
        with torch.no_grad():
            logits = model(input_ids=expected["ids"][None].long()).logits[0]
        error = ((logits - expected["logits"]).norm() / expected["logits"].norm()).item()
        odd = {key: sorted(map(str, names))[:3] for key, names in found.items() if names}
        print(folder.name, type(model).__name__, f"{error:.1e}", odd or "")


main()
