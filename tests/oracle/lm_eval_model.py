"""Has lm-eval 0.4.13 answer rows of `tests/testdata/tasks` on a model in float32, for held_tasks.ts.

Usage: python tests/oracle/lm_eval_model.py MODEL tests/testdata/tasks/smollm2.json.gz [TASK ...]   (lm_eval 0.4.13, transformers)

MODEL is a model artifact or what transformers reads. What the file has of other tasks than those named is kept. With
DTYPE=float64 in the environment arithmetic is that: wikitext's documents were asked so, for float32's own error over all tokens
of one is 2e-3 (-525.39770, in float64 -525.39954), beyond what is held.
"""

import gzip
import json
import os
import sys
import tempfile
from pathlib import Path

import torch

from lm_eval_answers import HFLM, ask

ROWS = Path(__file__).parent.parent / "testdata/tasks"
MAX_LENGTH = 2048

model, out, *wanted = sys.argv[1:]
torch.set_num_threads(1)
lm = HFLM(pretrained=model, dtype=os.environ.get("DTYPE", "float32"), device="cpu", batch_size=1, max_length=MAX_LENGTH)
cases = {}
if Path(out).exists():
    with gzip.open(out, "rt") as file:
        cases = {(case["task"], case.get("shots")): case for case in json.load(file)}


def case(task: str, of: str, files: dict[str, Path], **options) -> None:
    if wanted and task not in wanted:
        return
    found = ask(lm, of, files, **options)
    told = {"shots": options["shots"]} if "shots" in options else {}
    cases[task, told.get("shots")] = {"task": task, "tokenizer": "plain", "maxLength": MAX_LENGTH, **told, **found}
    print(task, told, len(found["items"]), found["results"], flush=True)
    with gzip.open(out, "wt") as file:
        json.dump(list(cases.values()), file)


def files(task: str) -> dict[str, Path]:
    all_splits = {split: ROWS / f"{task}-{split}.jsonl" for split in ("train", "validation", "test")}
    return {split: path for split, path in all_splits.items() if path.exists()}


# Not those of `edges`: in a real vocabulary some become one token with their context, which lm-eval refuses.
for task in ("hellaswag", "piqa", "winogrande", "arc_easy", "arc_challenge", "lambada_openai", "wikitext"):
    case(task, task, files(task))
with tempfile.TemporaryDirectory() as folder, gzip.open(ROWS / "mmlu-dev.jsonl.gz", "rt") as file:
    rows = [json.loads(line) for line in file]
    for subject in dict.fromkeys(row["subject"] for row in rows):
        questions = Path(folder, f"{subject}.jsonl")
        questions.write_text("".join(json.dumps(row) + "\n" for row in rows if row["subject"] == subject))
        described = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
        case(f"mmlu_{subject}", "mmlu", {"test": questions, "dev": questions}, description=described)
worked = ROWS / "gsm8k-test.jsonl"
case("gsm8k", "gsm8k", {"train": worked, "test": worked}, shots=3)
