"""Has lm-eval answer the tasks of an evaluation's report on the same model in float32, and compares item by item.

Usage: python tests/oracle/lm_eval_model.py ROWS MODEL REPORT [MOST] (lm_eval 0.4.13). ROWS is the directory that
lm_eval_items.py wrote, MODEL a model artifact in float32, REPORT the artifact of an evaluate step whose tasks had those
rows, of which the first MOST are looked at. Ends with status 1 where a prediction differs, or a log-likelihood by more than 1e-3, of whole texts
by more than a millionth.
"""

import json
import sys
import time
from pathlib import Path

import torch
from lm_eval.models.huggingface import HFLM

from lm_eval_items import OUT, EMBEDDED, ask

report = Path(sys.argv[3])
most = int(sys.argv[4]) if len(sys.argv) > 4 else 10**9
torch.set_num_threads(1)
lm = HFLM(pretrained=str(EMBEDDED), dtype="float32", device="cpu", batch_size=1, max_length=2048)
count, wrong, largest = 0, 0, 0.0
for task in json.loads((report / "report.json").read_text())["tasks"]["tasks"]:
    name = task["task"]
    files = {split: path for split in ("train", "validation", "test") if (path := OUT / f"{name}-{split}.jsonl").exists()}
    began = time.time()
    found = ask(lm, name, files, limit=min(most, task["items"]), shots=task["shots"] or None)
    seconds = time.time() - began
    furthest = (0.0, 0.0, 0.0)
    own = [json.loads(line) for line in (report / f"items-{name}.jsonl").read_text().splitlines()][:most]
    for item, golden in zip(own, found["items"], strict=True):
        count += 1
        for ours, theirs in zip(item.get("logLikelihoods", []), golden.get("logLikelihoods", []), strict=True):
            excess = abs(ours - theirs) - (1e-6 * abs(theirs) if name == "wikitext" else 0)
            furthest = max(furthest, (excess, ours, theirs))
        for metric, value in golden.get("scores", {}).items():
            wrong += metric in item["shares"] and item["shares"][metric]["sum"] != value
        wrong += "text" in golden and golden["text"] != item["text"]
    largest = max(largest, furthest[0])
    print(name, len(own), "items, at most", furthest, "apart,", round(seconds, 1), "s in lm-eval,", found["results"])
print(count, "items,", wrong, "predictions differ, log-likelihoods differ by at most", largest)
sys.exit(wrong > 0 or largest > 1e-3)
