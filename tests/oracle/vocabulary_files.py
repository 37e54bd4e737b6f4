"""Writes tests/testdata/vocabulary_files.json: ids of transformers' tokenizers that are made of vocab.json and merges.txt.

Usage: vocabulary_files.py. Needs `pip install transformers` (written for 5.24). Vocabulary and texts are those of
tokenizer_parts.json (BPE of bytes).
"""

import json
import pathlib
import tempfile

import transformers
from transformers import GPT2Tokenizer, Qwen2Tokenizer

data = pathlib.Path(__file__).parent.parent / "testdata"
parts = json.loads((data / "tokenizer_parts.json").read_text(encoding="utf-8"))
entry = next(each for each in parts["tokenizers"] if each["name"] == "BPE of bytes")
model = parts["models"][entry["tokenizer"]["model"]]
texts = [case["text"] for case in entry["cases"]] + ["a<|end|>b <|im|> c", "I'LL see 1234 ½½ e\u0301"]
size = len(model["vocab"])
found = {}
with tempfile.TemporaryDirectory() as folder:
    files = {"vocab_file": f"{folder}/vocab.json", "merges_file": f"{folder}/merges.txt"}
    pathlib.Path(files["vocab_file"]).write_text(json.dumps({**model["vocab"], "<|end|>": size}), encoding="utf-8")
    pathlib.Path(files["merges_file"]).write_text("#version: 0.2\n" + "\n".join(" ".join(merge) for merge in model["merges"]) + "\n", encoding="utf-8")
    config = {"eos_token": "<|end|>", "unk_token": "<|end|>", "bos_token": "<|end|>"}
    added = {str(size + 1): {"content": "<|im|>", "lstrip": False, "normalized": False, "rstrip": True, "single_word": False, "special": True}}
    pathlib.Path(f"{folder}/added_tokens.json").write_text(json.dumps({"<|im|>": size + 1}))
    for kind, options in [(GPT2Tokenizer, {}), (GPT2Tokenizer, {"add_prefix_space": True}), (Qwen2Tokenizer, {})]:
        own = {"tokenizer_class": kind.__name__, **config, **options, "added_tokens_decoder": added}
        pathlib.Path(f"{folder}/tokenizer_config.json").write_text(json.dumps(own))
        tokenizer = kind.from_pretrained(folder)
        name = kind.__name__ + (" with a space" if options else "")
        found[name] = {"config": own, "ids": [tokenizer.encode(text, add_special_tokens=False) for text in texts]}
(data / "vocabulary_files.json").write_text(json.dumps({"library": f"transformers {transformers.__version__}", "texts": texts, "tokenizers": found},
                                                       ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
