"""Writes tests/testdata/pre_tokenizers.json: where llama.cpp cuts text for each tokenizer.ggml.pre that it knows.

Usage: pre_tokenizers.py NAME... in a folder where node-llama-cpp is installed (see llama_cpp_ids.mjs). Needs `pip install
gguf tokenizers`. The vocabulary's merges are of texts that nothing cut, so that ids say where llama.cpp cuts. Names
that it does not know yet are left out, and listed.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXTS = [
    "don't stop  (now)! 12345", "I'LL we're O'Neil's 'tis DON'T", "tabs\tand\r\nlines\n\n  end\n", "x½y٣z²Ⅷ 3.14,15 1234567 ½½½½",
    "日本語、テスト。中文 한국어 ㄱㄴ", "ΣΑΣ Ὀδυσσεύς Привет мир", "$1 + <2> = ^3~ | `4` @#%&* a/b//c", "AbcDEF ghiJKL iOS HTTPServer",
    "¿qué? «oui» – “q” …", "  two  spaces   three ", "e\u0301 n\u0303o\u0303 हिन्दी กรุงเทพ", "hello, world! x=y; // comment\n\n\treturn 0;\n",
    "12 123 1234 12345 123456", "a.b.c! ?! ...", "<sentinel:12> IMGIMGABCZ", "\u00a0x\u2003y\u3000z", "A\u0301B'Sx 'S 's", "word " * 3 + "    "]
CORPUS = TEXTS * 3
here = pathlib.Path(__file__).parent

tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=700, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
spec = json.loads(tokenizer.to_str())["model"]
tokens = sorted(spec["vocab"], key=spec["vocab"].get)
merges = [" ".join(merge) for merge in spec["merges"]]

names = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    paths = [f"{folder}/{name}.gguf" for name in names]
    for name, path in zip(names, paths):
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_context_length(8)
        writer.add_embedding_length(8)
        writer.add_block_count(1)
        writer.add_feed_forward_length(8)
        writer.add_head_count(1)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(name)
        writer.add_token_list(tokens)
        writer.add_token_types([1] * len(tokens))
        writer.add_token_merges(merges)
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
    request = json.dumps({"models": paths, "texts": TEXTS})
    answer = subprocess.run(["node", here / "llama_cpp_ids.mjs"], input=request, stdout=subprocess.PIPE, text=True, check=True).stdout
ids = dict(zip(names, json.loads(answer)))
found = {name: each for name, each in ids.items() if each is not None}
path = here.parent / "testdata" / "pre_tokenizers.json"
content = {"texts": TEXTS, "tokens": tokens, "merges": merges, "ids": found}
path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
print(len(found), "names,", path.stat().st_size, "bytes; unknown to it:", *(name for name in names if name not in found))
