"""Holds the ids that `whole_text_ids.ts` wrote against the Rust tokenizers library, token by token.

Run: python tests/oracle/whole_text_ids.py MODEL.gguf TEXT IDS   (tokenizers 0.23, transformers 5.24, gguf 0.19)

A vocabulary of byte-level BPE is made into a Rust tokenizer here, with SmolLM's pre-tokenizer (transformers takes
that of GPT-2 for it, which leaves digits together); one of SentencePiece is as transformers converts it.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer


def byte_level(fields) -> Tokenizer:
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    pre = fields["tokenizer.ggml.pre"].contents()
    assert pre == "smollm", f"expected the pre-tokenizer smollm, is {pre}"
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    made = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    special = [AddedToken(token, special=True) for token, kind in zip(tokens, kinds) if kind == 3]
    made.add_special_tokens(special)
    return made


def main() -> None:
    model, text, ids = map(Path, sys.argv[1:4])
    fields = gguf.GGUFReader(model).fields
    bytes_apart = fields["tokenizer.ggml.model"].contents() == "gpt2"
    rust = byte_level(fields) if bytes_apart else AutoTokenizer.from_pretrained(
        model.parent, gguf_file=model.name).backend_tokenizer
    with open(text, encoding="utf-8", newline="") as file:
        expected = np.array(rust.encode(file.read(), add_special_tokens=False).ids, np.uint32)
    got = np.fromfile(ids, "<u4")
    shared = min(len(got), len(expected))
    different = int((got[:shared] != expected[:shared]).sum())
    print(f"{model.name}: {len(got)} ids, of Rust {len(expected)}, different {different}")
    if different:
        at = int(np.argmax(got[:shared] != expected[:shared]))
        print(f"the first at {at}: {got[at:at + 8]}, of Rust {expected[at:at + 8]}")
    sys.exit(0 if different == 0 and len(got) == len(expected) else 1)


main()
