"""Has transformers answer LongBench's English tasks as its pred.py and eval.py do, on rows made here, in float32 with keys and
values rounded to half precision, as the engine keeps them: else words that are as likely would tell nothing.

Run: python tests/oracle/longbench_answers.py tests/testdata/tasks/longbench configs/embedded   (transformers, lm_eval 0.4.13,
rouge 1.0.1, fuzzywuzzy 0.18.0 without python-Levenshtein)

Writes `<task>/test.jsonl` in LongBench's form, one context of which fits and one is cut in the middle, and `golden.json.gz`: of
each row the ids of its prompt, what was generated and its score; of each task its score. The steps are those of
THUDM/LongBench, LongBench/{pred,eval}.py; prompts come from lm-eval's copies, with what those leave out put back.
"""

import gzip
import hashlib
import importlib.util
import json
import struct
import sys
import types
from pathlib import Path
from random import Random

import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

OUT, MODEL = map(Path, sys.argv[1:3])
MODEL_LENGTH, MAX_LENGTH = 1024, 500
sys.modules["jieba"] = types.ModuleType("jieba")
FOLDER = Path(importlib.util.find_spec("lm_eval").origin).parent / "tasks/longbench"
specification = importlib.util.spec_from_file_location("longbench_metrics_of_lm_eval", FOLDER / "metrics.py")
metrics = importlib.util.module_from_spec(specification)
specification.loader.exec_module(metrics)

TASKS = {
    **dict.fromkeys("narrativeqa qasper multifieldqa_en hotpotqa 2wikimqa musique triviaqa".split(), metrics.qa_f1_score),
    **dict.fromkeys("gov_report qmsum multi_news samsum".split(), metrics.rouge_score),
    "trec": metrics.classification_score, "passage_retrieval_en": metrics.retrieval_score,
    "passage_count": metrics.count_score, "lcc": metrics.code_sim_score, "repobench-p": metrics.code_sim_score,
}
PLAIN = ["trec", "triviaqa", "samsum", "lcc", "repobench-p"]
FIRST_LINE = ["trec", "triviaqa", "samsum"]
NAMES = ["Mara", "Nell", "Tom", "Karl", "Greta", "Finn", "Ivy", "Max"]
THINGS = ["whistle", "old key", "wooden flute", "lantern", "silver bell", "long rope", "grey coat", "blue hat"]
random = Random(16)
pick = random.choice


class Loader(yaml.SafeLoader):
    pass


Loader.add_multi_constructor("!function", lambda _loader, suffix, _node: suffix)


class HalfCache(DynamicCache):
    """Keys and values as half precision has them."""

    def update(self, key_states, value_states, *more, **options):
        return super().update(key_states.half().float(), value_states.half().float(), *more, **options)


def prompt_of(task: str) -> tuple[str, int]:
    """LongBench's template of a task and how many tokens its answers have."""
    config = yaml.load((FOLDER / f"{task}.yaml").read_text(), Loader)
    text = config["doc_to_text"].replace("{{context}}", "{context}").replace("{{question}}", "{input}")
    if task in ("triviaqa", "samsum"):
        text = text.replace("{context}\n{input}", "{context}\n\n{input}")
    if task in ("lcc", "repobench-p"):
        text += "\n"
    if task in ("passage_count", "passage_retrieval_en"):
        text += " "
    return text, config["generation_kwargs"]["max_gen_toks"]


def story(sentences: int) -> str:
    return " ".join(f"Once there was a child named {pick(NAMES)}, who had a {pick(THINGS)}." if at % 4 == 0 else
                    f"{pick(NAMES)} {pick(['found', 'lost', 'kept', 'gave away'])} the {pick(THINGS)}." for at in range(sentences))


def row(task: str, at: int) -> dict:
    long = at % 2 == 1
    context, question, classes = story(60 if long else 5), f"Who had the {pick(THINGS)}?", None
    answers = random.sample(NAMES, 2)
    if task in ("gov_report", "multi_news", "qmsum"):
        answers = [story(3)]
        question = "" if task != "qmsum" else question
    if task == "trec":
        classes = ["Person", "the", "a child", "Place", "Thing or animal", "Thing"]
        context = "\n".join(f"Question: Who is {pick(NAMES)} ?\nType: {pick(classes)}" for _ in range(80 if long else 4))
        question, answers = f"Question: Where is {pick(NAMES)} ?\nType:", [pick(classes[1:3])]
    if task == "samsum":
        context = "\n".join(f"Dialogue: {pick(NAMES)}: I have the {pick(THINGS)}.\nSummary: {story(1)}" for _ in range(30 if long else 2))
        question, answers = f"Dialogue: {pick(NAMES)}: {story(1)}\nSummary: ", [story(1)]
    if task == "passage_count":
        context = "\n\n".join(f"Paragraph {place + 1}: {story(2)}" for place in range(40 if long else 3))
        question, answers = "", [str(1 + at)]
    if task == "passage_retrieval_en":
        context = "\n\n".join(f"Paragraph {place + 1}: {story(2)}" for place in range(40 if long else 3))
        question, answers = story(1), [f"Paragraph {1 + at}"]
    if task in ("lcc", "repobench-p"):
        context = "".join(f"def {pick(NAMES).lower()}(a, b):\n    return a + {at}\n\n" for at in range(90 if long else 4))
        question = "" if task == "lcc" else "import os\ndef next(a):\n"
        answers = ["    return a + b"]
    return {"input": question, "context": context, "answers": answers, "length": len(context.split()), "dataset": task,
            "language": "en", "all_classes": classes, "_id": f"{task}-{at}"}


def predicted(model, tokenizer, task: str, item: dict) -> tuple[list[int], str]:
    """As pred.py: the prompt's ids, and the answer."""
    template, max_gen = prompt_of(task)
    prompt = template.format(**item)
    ids = tokenizer(prompt, truncation=False).input_ids
    if len(ids) > MAX_LENGTH:
        half = int(MAX_LENGTH / 2)
        prompt = tokenizer.decode(ids[:half], skip_special_tokens=True) + tokenizer.decode(ids[-half:], skip_special_tokens=True)
    if task not in PLAIN:
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False)
    given = tokenizer(prompt, truncation=False, return_tensors="pt")
    length = given.input_ids.shape[-1]
    options = {"max_new_tokens": max_gen, "num_beams": 1, "do_sample": False, "past_key_values": HalfCache(config=model.config)}
    if task == "samsum":
        line = tokenizer.encode("\n", add_special_tokens=False)[-1]
        options |= {"min_length": length + 1, "eos_token_id": [tokenizer.eos_token_id, line]}
    with torch.no_grad():
        output = model.generate(**given, **options)[0]
    return given.input_ids[0].tolist(), tokenizer.decode(output[length:], skip_special_tokens=True)


def main() -> None:
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    golden = {}
    for task, metric in TASKS.items():
        rows = [row(task, at) for at in range(2)]
        (OUT / task).mkdir(parents=True, exist_ok=True)
        (OUT / task / "test.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
        items, total = [], 0.0
        for each in rows:
            ids, answer = predicted(model, tokenizer, task, each)
            kept = answer.lstrip("\n").split("\n")[0] if task in FIRST_LINE else answer
            score = max(float(metric(kept, right, all_classes=each["all_classes"])) for right in each["answers"])
            total += score
            digest = hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()
            items.append({"tokens": len(ids), "prompt": digest, "text": answer, "score": score})
        golden[task] = {"items": items, "score": round(100 * total / len(rows), 2)}
        print(task, [(item["tokens"], len(item["text"]), round(item["score"], 3)) for item in items], golden[task]["score"], flush=True)
    with gzip.open(OUT / "golden.json.gz", "wt") as file:
        json.dump(golden, file)


main()
