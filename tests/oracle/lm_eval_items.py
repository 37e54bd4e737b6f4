"""Has lm-eval 0.4.13 answer tasks item by item on local rows, with transformers in float32.

Run: python tests/oracle/lm_eval_items.py tests/testdata/tasks configs/embedded   (lm_eval 0.4.13, torch, transformers 5)

Writes the rows of each task as JSON lines, in the shape of the data sets that tasks name, and `golden.json.gz` with what
lm-eval says to each item: log-likelihoods, whether they are greedy, texts, and scores with their errors. Nothing is fetched
from a hub: MMLU's development questions (282 of them) and GSM8K's eight worked problems are in lm-eval's own wheel (MIT licence),
all other rows are made here.
"""

import gzip
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random

import torch
import yaml

from lm_eval_answers import TASKS, HFLM, ask
from lm_eval_edges import EDGE_TASK

OUT, EMBEDDED = map(Path, sys.argv[1:3])
SEEDED = Random(20)
NAMES = ["Mara", "Nell", "Tom", "Karl", "Greta", "Finn", "Ivy", "Max"]
THINGS = ["small whistle", "old key", "wooden flute", "red lantern", "silver bell", "long rope", "grey coat", "blue hat"]
PLACES = ["by the mill", "on the hill", "across the river", "near the harbour", "behind the church", "at the well"]
DEEDS = ["gave", "lost", "found", "carried", "hid", "kept"]
pick = SEEDED.choice


def sentence() -> str:
    return f"{pick(NAMES)} {pick(DEEDS)} the {pick(THINGS)} {pick(PLACES)}."


def rows_of_choices() -> dict[str, dict[str, list[dict]]]:
    """Rows of each task by split, in the shape that its data set has on the hub."""
    tasks: dict[str, dict[str, list[dict]]] = {}

    def put(task: str, split: str, count: int, make) -> None:
        tasks.setdefault(task, {})[split] = [make(at) for at in range(count)]

    def hellaswag(at: int) -> dict:
        endings = [f" {sentence()} [step] {sentence()}", sentence() + " [title] Again", f"{sentence()}  {sentence()}",
                   f"über {sentence()} ☃ [substeps] end"]
        SEEDED.shuffle(endings)
        return {"activity_label": pick(["Going home", "Removing ice", "Löten"]), "ctx_a": f"{sentence()} [header] How",
                "ctx_b": pick(["then HE", "", "she walks"]), "endings": endings, "label": str(SEEDED.randrange(4))}

    def piqa(_: int) -> dict:
        return {"goal": f"To find {pick(THINGS)},", "sol1": sentence(), "sol2": f"{sentence()} {sentence()}",
                "label": SEEDED.randrange(2)}

    def winogrande(_: int) -> dict:
        one, two = SEEDED.sample(NAMES, 2)
        return {"sentence": f"{one} met {two} {pick(PLACES)} because _ had the {pick(THINGS)} .", "option1": one,
                "option2": two, "answer": str(1 + SEEDED.randrange(2))}

    def arc(at: int) -> dict:
        count = 3 + at % 3
        letters = "12345" if at % 4 == 0 else "ABCDE"
        texts = [pick([sentence(), pick(NAMES), pick(PLACES)]) for _ in range(count)]
        return {"id": str(at), "question": f"Who {pick(DEEDS)} the {pick(THINGS)}?",
                "choices": {"text": texts, "label": list(letters[:count])}, "answerKey": letters[SEEDED.randrange(count)]}

    put("hellaswag", "train", 30, hellaswag)
    put("hellaswag", "validation", 24, hellaswag)
    put("piqa", "train", 24, piqa)
    put("piqa", "validation", 24, piqa)
    put("winogrande", "train", 40, winogrande)
    put("winogrande", "validation", 24, winogrande)
    put("arc_easy", "train", 12, arc)
    put("arc_easy", "test", 24, arc)
    put("arc_challenge", "train", 12, arc)
    put("arc_challenge", "test", 12, arc)
    put("lambada_openai", "test", 30, lambda at: {"text": " ".join(sentence() for _ in range(3))[:-1] if at % 3 else
                                                 f"{sentence()} They met {pick(NAMES)} and {pick(NAMES)}"})

    def page(at: int) -> dict:
        words = " ".join(f"{sentence()[:-1]} . It 's 1 @,@ 000 @-@ year ' old ' ( so ) , \" they \" said ; 50 ° N"
                         for _ in range(1 + 5 * at))
        return {"page": f" \n = Title = \n \n {words} \n \n = = Part = = \n {sentence()} \n"}

    put("wikitext", "test", 6, page)
    return tasks


def rows_of_mmlu() -> dict[str, list[dict]]:
    """The development questions of every subject, from the worked answers that lm-eval ships."""
    prompts = json.loads((TASKS / "mmlu/flan_cot_fewshot/_cot_prompts.json").read_text())
    found = {}
    for subject, text in prompts.items():
        rows = []
        for part in text.split("\n\nQ: ")[1:]:
            question, answer = part.split("\nA: Let's think step by step.", 1)
            *before, last = re.split(r"\n(?=\(A\)\s)", question)
            match = re.fullmatch(r"\(A\)\s(.*)\s\(B\)\s(.*)\s\(C\)\s(.*)\s\(D\)\s(.*)", last, re.S)
            right = re.findall(r"\(([A-E])\)", answer)
            assert match and before and right, (subject, part)
            # One question has a fifth choice, which is right: it stands in the fourth one's place.
            choices = [choice.split(" (E) ")[-1] for choice in match.groups()]
            rows.append({"question": "\n".join(before), "subject": subject, "choices": choices,
                         "answer": min("ABCDE".index(right[-1]), 3)})
        # Three subjects have one question less.
        assert len(rows) in (4, 5), subject
        found[subject] = rows
    return found


def rows_of_gsm8k() -> list[dict]:
    document = yaml.safe_load((TASKS / "gsm8k/gsm8k-cot.yaml").read_text())
    return [{"question": row["question"],
             "answer": f"{row['target']}\n#### {re.findall(r'answer is (.*)[.]$', row['target'])[0]}"}
            for row in document["fewshot_config"]["samples"]]


EDGES = [
    {"context": "Greta had the key. ", "choices": ["Tom", "Nell and the small whistle", "ö"], "answer": 0},
    {"context": "Greta had the key  \n\t ", "choices": ["She", " she"], "answer": 1},
    {"context": "", "choices": ["Once there was", "Long ago", "x"], "answer": 1},
    {"context": "Tom said", "choices": [" yes", " yes", " yes"], "answer": 1},
    {"context": "日本語のテキスト 🙂 e\u0301", "choices": [" 🙂", " e\u0301 again", "\u00a0", "\u2003 wide"], "answer": 0},
    {"context": "<|endoftext|>Once there was", "choices": [" a girl", " two"], "answer": 0},
    {"context": "<|endoftext|>", "choices": ["Once", "<|endoftext|> there"], "answer": 0},
    {"context": "", "choices": ["<|endoftext|> there", "a"], "answer": 1},
    {"context": " ".join(sentence() for _ in range(60)), "choices": [" They", " Then " + " ".join(sentence() for _ in range(2))],
     "answer": 0},
    {"context": "a", "choices": ["b", "c", "d", "e", "f", "g", "h", "i", "j"], "answer": 8},
    {"context": "It was\n", "choices": ["\n", "\nTom", "Tom\n\n"], "answer": 2},
]


def tokenizer_variant(directory: Path, kind: str) -> None:
    """Changes the tokenizer of a model: `first` puts the first token before texts, `last` names a last token alone."""
    config = json.loads((directory / "tokenizer_config.json").read_text())
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    if kind == "first":
        token = "<|endoftext|>"
        tokenizer["post_processor"] = {
            "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [0], "tokens": [token]}}}
    if kind == "last":
        del config["bos_token"]
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))


def write_rows(name: str, rows: list[dict]) -> Path:
    path = OUT / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    files = {task: {split: write_rows(f"{task}-{split}", rows) for split, rows in splits.items()}
             for task, splits in rows_of_choices().items()}
    mmlu = rows_of_mmlu()
    edges = write_rows("edges-test", EDGES)
    worked = write_rows("gsm8k-test", rows_of_gsm8k())
    with gzip.open(OUT / "mmlu-dev.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for rows in mmlu.values() for row in rows)
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"

        def opened(kind: str, length: int) -> HFLM:
            shutil.rmtree(model, ignore_errors=True)
            shutil.copytree(EMBEDDED, model)
            tokenizer_variant(model, kind)
            return HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=1, max_length=length)

        def case(task: str, kind: str, length: int, lm: HFLM, **options) -> None:
            found = ask(lm, task, options.pop("files", None) or files[task], **options)
            told = {key: value for key, value in options.items() if key in ("shots", "limit")}
            cases.append({"task": task, "tokenizer": kind, "maxLength": length, **told, **found})
            print(task, kind, length, told, found["results"])

        plain = opened("plain", 2048)
        for task in ("hellaswag", "piqa", "winogrande", "arc_easy", "arc_challenge", "lambada_openai"):
            case(task, "plain", 2048, plain)
        for task in ("hellaswag", "piqa", "winogrande", "arc_easy"):
            case(task, "plain", 2048, plain, shots=3, limit=12)
        case("wikitext", "plain", 2048, plain)
        case("gsm8k", "plain", 2048, plain, files={"train": worked, "test": worked}, shots=3)
        case("edges", "plain", 2048, plain, files={"test": edges}, own=EDGE_TASK)
        questions = Path(folder) / "mmlu.jsonl"
        for subject, rows in mmlu.items():
            questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
            described = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
            found = ask(plain, "mmlu", {"test": questions, "dev": questions}, description=described)
            cases.append({"task": f"mmlu_{subject}", "tokenizer": "plain", "maxLength": 2048, **found})
        questions.write_text("".join(json.dumps(row) + "\n" for row in mmlu["anatomy"]))
        described = "The following are multiple choice questions (with answers) about anatomy.\n\n"
        found = ask(plain, "mmlu", {"test": questions, "dev": questions}, description=described, shots=5)
        cases.append({"task": "mmlu_anatomy", "tokenizer": "plain", "maxLength": 2048, "shots": 5, **found})
        short = opened("plain", 96)
        case("wikitext", "plain", 96, short)
        case("hellaswag", "plain", 96, short, shots=3, limit=6)
        case("edges", "plain", 96, short, files={"test": edges}, own=EDGE_TASK)
        for kind in ("first", "last"):
            lm = opened(kind, 2048)
            case("edges", kind, 2048, lm, files={"test": edges}, own=EDGE_TASK)
            case("piqa", kind, 2048, lm)
            case("lambada_openai", kind, 2048, lm)
            case("wikitext", kind, 300, opened(kind, 300))
    with gzip.open(OUT / "golden.json.gz", "wt") as file:
        json.dump(cases, file)


if __name__ == "__main__":
    main()
