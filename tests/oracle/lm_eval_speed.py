"""Times items of HellaSwag's shape, made of a text, in lm-eval 0.4.13 on transformers in float32 and in an evaluate step, by turns.

Usage: python tests/oracle/lm_eval_speed.py MODEL TEXT [--items 200] [--turns 4] [--of 0 1 2 3] [--batch 1] [--threads 2]
(lm_eval 0.4.13, transformers, deno on PATH). MODEL is a model artifact in half precision (or what `load` reads), TEXT a file of paragraphs such
as wiki.test.raw. Every turn takes its share of the items through both, on so many threads; `--of` runs some turns only. What is
timed of lm-eval is `simple_evaluate` alone, on a model that is there; of ours the whole step, which opens the model first.
Seconds of processors are told too, of ours those of the whole process: on a busy machine they are what can be compared, with
one thread, since more of PyTorch's wait for each other in circles. Ends with status 1 where a prediction differs, or a
log-likelihood by more than 1e-3.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("text")
parser.add_argument("--items", type=int, default=200)
parser.add_argument("--turns", type=int, default=4)
parser.add_argument("--of", type=int, nargs="*")
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--threads", type=int, default=os.cpu_count())
given = parser.parse_args()

import torch

from lm_eval_answers import HFLM, ask, compared

MANIFEST = """steps:
  model: { stage: load, with: { model: %s } }
  text: { stage: tokenize, from: { model: model }, with: { text: "stories:test", bytes: 2000 } }
  tasks:
    stage: evaluate
    from: { model: model, tokens: text }
    with: { context: 16, windows: 1, tasks: [{ task: hellaswag, data: %s, max_length: 2048 }] }
"""


def rows(text: str, count: int) -> list[dict]:
    """Beginnings of paragraphs, with what follows at one place of four, and what follows elsewhere at the others."""
    random = Random(20)
    paragraphs = []
    for line in text.split("\n"):
        sentences = [f"{part.strip()} ." for part in re.split(r" \. ", line) if len(part.split()) > 6]
        if len(line.split()) > 80 and len(sentences) > 3:
            paragraphs.append(sentences)
    made = []
    for at in range(count):
        first, second, third, *_ = paragraphs[at % len(paragraphs)]
        endings = [" ".join(random.choice(paragraphs)[2].split()[:30]) for _ in range(3)]
        endings.insert(at % 4, " ".join(third.split()[:30]))
        made.append({"activity_label": "An article", "ctx_a": first, "ctx_b": second, "endings": endings, "label": str(at % 4)})
    return made


def run(*arguments: str) -> list[dict]:
    """The events of a run."""
    command = ["deno", "task", "-q", "run", *arguments, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def processors(who: int) -> float:
    """Seconds that processors have worked for this process, or for those that it started."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


torch.set_num_threads(given.threads)
all_rows = rows(Path(given.text).read_text(encoding="utf-8"), given.items)
lm = HFLM(pretrained=given.model, dtype="float32", device="cpu", batch_size=given.batch, max_length=2048)
totals, wrong, largest = [0.0] * 4, 0, 0.0
with tempfile.TemporaryDirectory() as folder:
    for turn in given.of if given.of is not None else range(given.turns):
        file = Path(folder, f"rows-{turn}.jsonl")
        part = all_rows[turn::given.turns]
        file.write_text("".join(json.dumps(row) + "\n" for row in part))
        manifest = Path(folder, f"turn-{turn}.yaml")
        manifest.write_text(MANIFEST % (json.dumps(os.path.abspath(given.model)), json.dumps(str(file))))
        ours = [str(manifest), "--store", f"{folder}/store", "--device", "cpu", "--threads", str(given.threads)]
        run(*ours, "--until", "text")
        began, used = time.time(), processors(resource.RUSAGE_SELF)
        found = ask(lm, "hellaswag", {"validation": file})
        theirs = [time.time() - began, processors(resource.RUSAGE_SELF) - used]
        used = processors(resource.RUSAGE_CHILDREN)
        [ended] = [event for event in run(*ours) if event["type"] == "done" and event["step"] == "tasks"]
        own = [ended["seconds"], processors(resource.RUSAGE_CHILDREN) - used]
        lines = Path(ended["path"], "items-hellaswag.jsonl").read_text().splitlines()
        apart, differ = compared([json.loads(line) for line in lines], found["items"])
        wrong += differ
        largest = max(largest, apart)
        totals = [total + each for total, each in zip(totals, [*own, *theirs], strict=True)]
        print(f"turn {turn}: {len(part)} items, ours {own[0]:.1f} s, of processors {own[1]:.1f} s,",
              f"lm-eval {theirs[0]:.1f} s, of processors {theirs[1]:.1f} s, {differ} predictions differ", flush=True)
print(f"ours {totals[0] / totals[2]:.2f} times lm-eval's seconds, {totals[1] / totals[3]:.2f} times those of processors,",
      f"log-likelihoods at most {largest:.1e} apart")
sys.exit(wrong > 0 or largest > 1e-3)
