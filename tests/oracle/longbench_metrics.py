"""Scores made-up answers with LongBench's measures, by PyPI rouge 1.0.1, fuzzywuzzy 0.18.0 and lm-eval's copy of LongBench's code.

Run: python tests/oracle/longbench_metrics.py tests/testdata/longbench_metrics.json.gz   (rouge, fuzzywuzzy without
python-Levenshtein, lm_eval 0.4.13)

Writes for each measure texts of answers and of what is right, with the score.
"""

import gzip
import importlib.util
import json
import sys
import types
from pathlib import Path
from random import Random

# LongBench's code imports it for Chinese, which is not asked here.
sys.modules["jieba"] = types.ModuleType("jieba")
place = Path(importlib.util.find_spec("lm_eval").origin).parent / "tasks/longbench/metrics.py"
specification = importlib.util.spec_from_file_location("longbench_metrics_of_lm_eval", place)
metrics = importlib.util.module_from_spec(specification)
specification.loader.exec_module(metrics)

random = Random(7)
WORDS = "the a an key Key house, house. well-known it's 12 3.5 über naïve İstanbul 日本 🙂 road road's café THE An fox fox fox".split()
SPACES = [" ", "  ", "\n", " ", " ", "\u00a0", "\t"]
CLASSES = ["Person", "Persons", "Location", "City location", "Number", "Date of event", "Date", "Other entity"]
LINES = ["return x + 1", "    for i in range(10):", "# comment", "// note", "`code`", "", "   ", "x = y", "def f(a, b):",
         "print('ü 🙂')", "if (a == b) { return c; }"]


def text(words: int) -> str:
    out = []
    for _ in range(words):
        out += [random.choice(WORDS), random.choice([*SPACES, ". ", "."])]
    return "".join(out)


def near(line: str) -> str:
    """The same line with some characters changed."""
    return "".join(random.choice("abc xyz(){}=+") if random.random() < 0.2 else each for each in line)


def pairs(make, count=120):
    return [make(at) for at in range(count)]


def answered(name, score, make, count=120):
    rows = []
    for answer, right, *more in pairs(make, count):
        rows.append({"answer": answer, "right": right, **(more[0] if more else {}),
                     "score": float(score(answer, right, **({"all_classes": more[0]["classes"]} if more else {})))})
    return {name: rows}


def sentences(at):
    right = text(random.randrange(0, 25))
    answer = text(random.randrange(0, 30)) if at % 2 else right[: random.randrange(1 + len(right))] + text(6)
    return answer, right


def code(at):
    right = " ".join(random.choice(LINES) for _ in range(1 + at % 40)) if at % 3 else random.choice(LINES)
    answer = "\n".join(random.choice(LINES) for _ in range(random.randrange(4)))
    return (f"{answer}\n{near(right)}" if at % 4 else right), right


def classes(at):
    chosen = random.sample(CLASSES, random.randrange(0, 4))
    return " and ".join(chosen) + (" ." if at % 2 else ""), random.choice(CLASSES), {"classes": CLASSES}


def numbers(at):
    right = str(random.randrange(30))
    return " of ".join(random.choice([right, str(random.randrange(30)), "007", "٣", "none", right + "."])
                       for _ in range(random.randrange(4))), right


def paragraphs(at):
    answer, right = numbers(at)
    return f"Paragraph {answer}", f"Paragraph {right}"


made = {
    **answered("qa_f1", metrics.qa_f1_score, sentences),
    **answered("rouge_l", metrics.rouge_score, sentences, 150),
    **answered("code_similarity", metrics.code_sim_score, code, 150),
    **answered("classification", metrics.classification_score, classes),
    **answered("count", metrics.count_score, numbers),
    **answered("retrieval", metrics.retrieval_score, paragraphs),
}
with gzip.open(sys.argv[1], "wt") as file:
    json.dump(made, file)
print({name: (len(rows), sum(row["score"] for row in rows) / len(rows)) for name, rows in made.items()})
