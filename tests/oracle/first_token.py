"""Writes tests/testdata/first_token.json: what PyTorch makes of windows that begin with the first token.

The ids are those of configs/embedded/golden.json, the model the one beside it, in float32. Each entry is a protocol of
`evaluate` with the mean negative log-likelihood of its windows. Made with torch 2.13 and transformers 5.24.
"""

import json
import pathlib

import torch
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).parent.parent.parent
BOS = 0

model = AutoModelForCausalLM.from_pretrained(ROOT / "configs/embedded", dtype=torch.float32)
ids = json.loads((ROOT / "configs/embedded/golden.json").read_text())["ids"]


def mean(window: list[int]) -> float:
    """Mean over all tokens but the window's first."""
    with torch.no_grad():
        logits = model(torch.tensor([window])).logits[0, :-1].double()
    targets = torch.tensor(window[1:])
    return round(torch.nn.functional.cross_entropy(logits, targets).item(), 6)


def pieces(text: list[int], size: int) -> list[list[int]]:
    return [text[at : at + size] for at in range(0, len(text) - size + 1, size)]


none, text = pieces(ids, 32), pieces([BOS, *ids], 32)
window = [[BOS, *piece] for piece in pieces(ids, 31)]
CASES = [
    ({"context": 32, "windows": {"first": 1, "count": 2}}, none[1:3]),
    ({"context": 32, "windows": "all", "bos": "window"}, window),
    ({"context": 32, "windows": {"first": 1, "count": 2}, "bos": "text"}, text[1:3]),
]
content = [{"params": params, "windowMeans": [mean(window) for window in windows]} for params, windows in CASES]
path = pathlib.Path(__file__).parent.parent / "testdata" / "first_token.json"
path.write_text(json.dumps(content) + "\n")
