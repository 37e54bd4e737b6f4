"""Holds the odd tokenizers that `tokenizers.ts` wrote against the Rust library, and prints what differs.

Run: python tests/fuzz/tokenizers.py OUT   (tokenizers 0.23)
"""

import json
import sys

# This file has the library's name.
sys.path.pop(0)
from tokenizers import Tokenizer


def main() -> None:
    counts = {"equal": 0, "refused by the library": 0, "different": 0}
    for line in open(sys.argv[1], encoding="utf-8"):
        case = json.loads(line)
        try:
            tokenizer = Tokenizer.from_str(case["tokenizer"])
            found = [[tokenizer.encode(text, add_special_tokens=framed).ids for text in case["texts"]]
                     for framed in (False, True)]
        except BaseException as error:  # its panics are no exceptions of Python
            counts["refused by the library"] += 1
            print(case["at"], "the library refuses:", str(error)[:150])
            continue
        if found == [case["ids"], case["framed"]]:
            counts["equal"] += 1
            continue
        counts["different"] += 1
        for ours, theirs, what in zip((case["ids"], case["framed"]), found, ("ids", "framed")):
            for text, mine, rust in zip(case["texts"], ours, theirs):
                if mine != rust:
                    print(case["at"], what, repr(text), "ours", mine[:12], "Rust", rust[:12])
                    break
    print(counts)
    sys.exit(1 if counts["different"] else 0)


main()
