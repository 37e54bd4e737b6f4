"""Has lm-eval 0.4.13 answer some rows of `tests/testdata/tasks` on a tiny model of every family, with transformers in float32.

Run: python tests/oracle/lm_eval_families.py tests/testdata/families tests/testdata/tasks [FAMILY ...]   (not internlm2_*,
which transformers does not have)

Writes `small_tokenizer.json`, whose 96 tokens are what these models have, and `families.json.gz` with what lm-eval says. Where a
family's real tokenizers put a first token before texts, this one does so too.
"""

import gzip
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from lm_eval_answers import HFLM, ask
from lm_eval_edges import EDGE_TASK
from lm_eval_items import tokenizer_variant

families, out, *wanted = sys.argv[1:]
FAMILIES, OUT = Path(families), Path(out)
CHARACTERS = "\n !\"'(),-.0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
MERGES = ["th", "he", "in", "er", "an", "ou", "at", "en", "on", "nd", " t", " a"]
FIRST = re.compile("gemma|cohere|llama|mistral|mixtral|internlm|yi")
SAID = {"output_type": "generate_until", "test_split": "test", "doc_to_text": "{{text}}", "doc_to_target": "{{text[0]}}",
        "generation_kwargs": {"until": ["e", ".."], "max_gen_toks": 24, "do_sample": False},
        "filter_list": [{"name": "last", "filter": [
            {"function": "regex", "regex_pattern": "[A-Za-z]", "group_select": -1}, {"function": "take_first"}]}],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "ignore_case": True}]}


def tokenizer() -> Tokenizer:
    """Characters and some pairs of them; what is neither is unknown."""
    tokens = ["<|endoftext|>", "<unk>", *CHARACTERS, *MERGES]
    assert len(tokens) <= 96 and len(set(tokens)) == len(tokens), len(tokens)
    tokens += [f"<{at}>" for at in range(len(tokens), 96)]
    made = Tokenizer(models.BPE({token: at for at, token in enumerate(tokens)}, [tuple(pair) for pair in MERGES], unk_token="<unk>"))
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(["<|endoftext|>"])
    return made


def main() -> None:
    torch.set_num_threads(1)
    tokenizer().save(str(OUT / "small_tokenizer.json"))
    golden = OUT / "families.json.gz"
    cases = {}
    if golden.exists():
        with gzip.open(golden, "rt") as file:
            cases = json.load(file)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        for family in wanted or sorted(path.name for path in FAMILIES.iterdir()):
            shutil.rmtree(model, ignore_errors=True)
            shutil.copytree(FAMILIES / family, model)
            shutil.copy(OUT / "small_tokenizer.json", model / "tokenizer.json")
            names = {name: "<|endoftext|>" for name in ("bos_token", "eos_token", "pad_token")}
            told = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **names}
            (model / "tokenizer_config.json").write_text(json.dumps(told))
            kind = "first" if FIRST.match(family) else "plain"
            tokenizer_variant(model, kind)
            # By the model's type transformers would take a class of its own, which does not read all of the file.
            own = PreTrainedTokenizerFast(tokenizer_file=str(model / "tokenizer.json"), **names)
            lm = HFLM(pretrained=str(model), tokenizer=own, dtype="float32", device="cpu", batch_size=1, max_length=256)
            found = []
            rows = lambda task, split: {split: OUT / f"{task}-{split}.jsonl"}
            for task, files, options in (
                ("hellaswag", rows("hellaswag", "validation"), {"limit": 3}),
                ("winogrande", rows("winogrande", "validation"), {"limit": 3}),
                ("lambada_openai", rows("lambada_openai", "test"), {"limit": 4}),
                ("wikitext", rows("wikitext", "test"), {"limit": 1}),
                ("edges", rows("edges", "test"), {"own": EDGE_TASK}),
                ("said", rows("lambada_openai", "test"), {"own": SAID, "limit": 4}),
            ):
                # An engine's frequencies are those of its context, not of each answer's length so far.
                if task == "said" and "longrope" in family:
                    continue
                answers = ask(lm, task, files, **options)
                limit = {"limit": options["limit"]} if "limit" in options else {}
                found.append({"task": task, "tokenizer": kind, "maxLength": 256, **limit, **answers})
            cases[family] = found
            print(family, kind, sum(len(case["items"]) for case in found), flush=True)
            with gzip.open(golden, "wt") as file:
                json.dump(cases, file)


if __name__ == "__main__":
    main()
