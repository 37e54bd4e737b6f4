"""Writes tests/testdata/smollm_tokens.json: strings with their SmolLM2 ids, and the part of its vocabulary they need.

Usage: smollm_tokens.py MODEL.gguf TOKENS.jsonl. The ids come from TOKENS.jsonl (lines of {"text", "ids"}, made with
the Rust tokenizers library and confirmed by llama.cpp). Needs `pip install gguf tokenizers`. Every merge that could
apply anywhere in the strings is kept, under its original rank, so the small vocabulary gives the ids of the whole one.
"""

import json
import pathlib
import sys

import gguf
from tokenizers import pre_tokenizers

LONGEST = 36

fields = gguf.GGUFReader(sys.argv[1]).fields
tokens = fields["tokenizer.ggml.tokens"].contents()
kinds = fields["tokenizer.ggml.token_type"].contents()
merges = fields["tokenizer.ggml.merges"].contents()
cases = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
cases = [case for case in cases if len(case["text"]) <= LONGEST]

alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
texts = ["".join(piece for piece, _ in alphabet.pre_tokenize_str(case["text"])) for case in cases]
kept_merges = [merge for merge in merges if any(merge.replace(" ", "") in text for text in texts)]
wanted = {merge.replace(" ", "") for merge in kept_merges} | set(pre_tokenizers.ByteLevel.alphabet())
kept = {id: [token, kind] for id, (token, kind) in enumerate(zip(tokens, kinds)) if token in wanted or kind != 1}
for case in cases:
    assert all(id in kept for id in case["ids"]), case

path = pathlib.Path(__file__).parent.parent / "testdata" / "smollm_tokens.json"
content = {"size": len(tokens), "tokens": kept, "merges": kept_merges, "cases": cases}
path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
