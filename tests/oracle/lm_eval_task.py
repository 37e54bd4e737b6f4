"""Has lm-eval score a task at a running server, and compares every loglikelihood with the evaluator's on the same ids.

Usage: lm_eval_task.py URL MODEL TEXT [--tokenizer DIRECTORY] [--documents 20] [--at-most 1e-3]. MODEL is the directory of
the served model artifact, TEXT a file of paragraphs, such as wiki.test.raw: which of four ends belongs to a paragraph's
beginning is the task. lm-eval asks the server for tokens unless a directory with tokenizer.json is named (then it needs
`pip install transformers`). Needs `pip install 'lm_eval[api]'` and deno on PATH; nothing is fetched from a hub.
"""

import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("OPENAI_API_KEY", "none")
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
HERE = os.path.dirname(os.path.abspath(__file__))

from lm_eval.models.openai_completions import LocalCompletionsAPI

from multiple_choice import write_task

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("model")
parser.add_argument("text")
parser.add_argument("--tokenizer")
parser.add_argument("--documents", type=int, default=20)
parser.add_argument("--at-most", type=float, default=1e-3)
given = parser.parse_args()

with open(given.text, encoding="utf-8") as file:
    paragraphs = [line.split() for line in file if len(line.split()) > 60][: given.documents]
assert len(paragraphs) == given.documents, f"{given.text} has {len(paragraphs)} paragraphs of more than 60 words"
documents = []
for at in range(len(paragraphs)):
    # Three ends of other paragraphs, and its own at another place each time.
    ends = [" ".join(["", *paragraphs[(at + shift) % len(paragraphs)][30:42]]) for shift in (1, 2, 3)]
    answer = at % 4
    ends.insert(answer, " ".join(["", *paragraphs[at][30:42]]))
    documents.append({"question": " ".join(paragraphs[at][:30]), "choices": ends, "answer": answer})

settings = {"base_url": f"{given.url.rstrip('/')}/v1/completions", "max_length": 1024, "tokenized_requests": True}
if given.tokenizer:
    settings |= {"tokenizer_backend": "huggingface", "tokenizer": given.tokenizer}
with tempfile.TemporaryDirectory() as directory:
    write_task(directory, "own_ends", documents)
    arguments = ",".join(f"{name}={value}" for name, value in (settings | {"num_concurrent": 4}).items())
    command = [os.path.join(os.path.dirname(sys.executable), "lm_eval"), "run", "--model", "local-completions"]
    command += ["--model_args", arguments, "--tasks", "own_ends", "--include_path", directory]
    subprocess.run([*command, "--output_path", f"{directory}/out", "--log_samples"], check=True)
    [results] = glob.glob(f"{directory}/out/**/results_*.json", recursive=True)
    [samples] = glob.glob(f"{directory}/out/**/samples_own_ends_*.jsonl", recursive=True)
    with open(results) as file:
        accuracy = json.load(file)["results"]["own_ends"]["acc,none"]
    with open(samples) as file:
        logged = [json.loads(line) for line in file]

# Every pair of a beginning and an end, as lm-eval cuts it into tokens, with what it read from the server's answer.
lm = LocalCompletionsAPI(**settings)
lines = []
for sample in logged:
    for asked, (loglikelihood, _) in zip(sample["arguments"].values(), sample["filtered_resps"], strict=True):
        before, end = lm._encode_pair(asked["arg_0"], asked["arg_1"])
        line = {"ids": before + end, "start": len(before), "loglikelihood": float(loglikelihood)}
        lines.append(json.dumps(line))
assert len(lines) == 4 * given.documents, len(lines)
print("accuracy", accuracy, "of", len(documents), "documents")
script = [f"{HERE}/scored_samples.ts", given.model, str(given.at_most)]
sys.exit(subprocess.run(["deno", "run", "-A", *script], input="\n".join(lines), text=True).returncode)
