"""Writes tests/testdata/tokenizer_parts.json: what the Rust tokenizers library makes of hard strings, a feature of tokenizer.json at a time.

Usage: tokenizer_parts.py. Needs `pip install tokenizers` (written for 0.23). Where only cuts matter the model is a
WordLevel whose tokens are the pieces that the library cuts, so that ids say where text was cut.
"""

import json
import pathlib

import tokenizers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

TEXTS = [
    "", " ", "a", "Hello world", " two  spaces   three ", "don't stop  (now)! 12345", "I'LL we're O'Neil's 'tis",
    "tabs\tand\r\nlines\n\n  end\n", "x½y٣z²Ⅷ 3.14,15", "a\u0085b\u00a0c\u2028d\ufeffe\u3000f", "日本語、テスト。中文 한국어",
    "e\u0301 caf\u00e9 A\u030a n\u0303\u0303", "ΣΑΣ ὈΔΥΣΣΕΎΣ İstanbul ß ﬁn ① ㎏", "😀👍🏽 👨‍👩‍👧 x\u200dy", "¿qué? «oui» – “q” …",
    "$1 + <2> = ^3~ | `4` @#%&*", "a_b-c__d", "<s>x</s> <tok>y <tok>z<tok>", "xtok tok tokx x tok! _tok tok1 tok",
    "▁a ▁▁b", "Ġc", "\0\x01\x7f\u200b\u00ad", "กรุงเทพ हिन्दी", "𝒳𝟙 🇩🇪", "aaaaabaaab", "l\u0142\u00f3d\u017a", "a-b--c", "--x--",
    "AbcDEF ghi", " <tok> ", "<TOK>", "naïve <tok>\u00a0\u2003x", "a\U000e0100b \U00020000",
    # Characters younger than some of the library's tables, and one that has changed since.
    "k\u0897 \u32ff x\u061dy\u166dz 1\U00011de02 \ua7ce \u1cf2 \u08d4 \u0890",
]
KEEP = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def cases(spec, texts=TEXTS):
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    rows = []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        framed = tokenizer.encode(text, add_special_tokens=True).ids
        row = {"text": text, "ids": ids}
        if framed != ids:
            row["framed"] = framed
        row["decoded"] = tokenizer.decode(ids, skip_special_tokens=False)
        rows.append(row)
    return rows


def frame(model, **parts):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model, **parts}


def words(**parts):
    """A tokenizer whose tokens are the pieces that its own parts cut."""
    unknown = {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}
    tokenizer = Tokenizer.from_str(json.dumps(frame(unknown, **parts)))
    vocab = {"[UNK]": 0}
    for text in TEXTS:
        changed = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        pieces = tokenizer.pre_tokenizer.pre_tokenize_str(changed) if tokenizer.pre_tokenizer else [(changed, None)]
        for piece, _ in pieces:
            if piece != "":
                vocab.setdefault(piece, len(vocab))
    # Pieces beside added tokens are cut elsewhere than whole texts are.
    return frame({**unknown, "vocab": vocab}, **parts)


def pattern(kind, value):
    return {kind: value}


specs = {}
for form in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"]:
    specs[f"normalizer {form}"] = words(normalizer={"type": form})
for left in [True, False]:
    for right in [True, False]:
        specs[f"normalizer Strip {left} {right}"] = words(normalizer={"type": "Strip", "strip_left": left, "strip_right": right})
specs["normalizer Prepend"] = words(normalizer={"type": "Prepend", "prepend": "▁"})
for name, field, content in [("string", pattern("String", "a"), "bb"), ("regex", pattern("Regex", "\\s+"), "_"),
                             ("to nothing", pattern("Regex", "[aeiou]"), ""), ("of special signs", pattern("String", "+"), "plus")]:
    specs[f"normalizer Replace {name}"] = words(normalizer={"type": "Replace", "pattern": field, "content": content})
specs["normalizer ByteLevel"] = words(normalizer={"type": "ByteLevel"})
specs["normalizer Sequence"] = words(normalizer={"type": "Sequence", "normalizers": [
    {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]})
for clean in [True, False]:
    for han, accents, lower in [(True, None, True), (False, True, False), (True, False, True)]:
        specs[f"normalizer BertNormalizer {clean} {han} {accents} {lower}"] = words(normalizer={
            "type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": han, "strip_accents": accents, "lowercase": lower})

for behavior in ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
    for invert in [False, True]:
        for name, field in [("spaces", pattern("Regex", "\\s")), ("dashes", pattern("String", "-")), ("letters", pattern("Regex", "[a-z]+"))]:
            specs[f"Split {behavior} {name}{' inverted' if invert else ''}"] = words(pre_tokenizer={
                "type": "Split", "pattern": field, "behavior": behavior, "invert": invert})
    specs[f"Punctuation {behavior}"] = words(pre_tokenizer={"type": "Punctuation", "behavior": behavior})
for name, source in [("empty matches", "(?=[A-Z])"), ("possessive", "[a-z]++|\\s?+\\p{L}"), ("classes", "[\\w&&[^\\d_]]+|[[:punct:]]|\\h{2,}"),
                     ("anchors", "^.|.$"), ("case", "(?i:TOK|don't)"), ("three digits", "\\d{1,3}(?=(?:\\d{3})*\\b)"),
                     ("escapes", "\\x{e9}|\\u0301|\\t|\\R"), ("scripts", "\\p{Han}+|\\p{Hangul}|\\p{Thai}+|\\p{Greek}+"),
                     ("word boundary", "\\b\\w"), ("space class", "\\s+|\\S"), ("comments", "(?x) [a-z]+ # words\n | \\ "),
                     ("lookbehind", "(?<=a)b|(?<!a)c"), ("bloom", " ?[^(\\s|.,!?…。，、।۔،)]+"), ("atomic", "(?>a+)b")]:
    specs[f"Split {name}"] = words(pre_tokenizer={"type": "Split", "pattern": pattern("Regex", source), "behavior": "Isolated", "invert": False})
PATTERNS = {
    "gpt-2": "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "llama-3": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "gpt-4o": "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
              "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
              "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "deepseek-v3": "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
                   "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "exaone-moe": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|"
                  "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
}
for name, source in PATTERNS.items():
    specs[f"Split as {name}"] = words(pre_tokenizer={"type": "Split", "pattern": pattern("Regex", source), "behavior": "Isolated", "invert": False})
for kind in ["Whitespace", "WhitespaceSplit", "BertPreTokenizer"]:
    specs[kind] = words(pre_tokenizer={"type": kind})
for single in [True, False]:
    specs[f"Digits {single}"] = words(pre_tokenizer={"type": "Digits", "individual_digits": single})
specs["CharDelimiterSplit"] = words(pre_tokenizer={"type": "CharDelimiterSplit", "delimiter": "-"})
specs["FixedLength"] = words(pre_tokenizer={"type": "FixedLength", "length": 3})
for prefix in [True, False]:
    for cuts in [True, False]:
        specs[f"ByteLevel {prefix} {cuts}"] = words(pre_tokenizer={"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": cuts})
for scheme in ["always", "first", "never"]:
    for split in [True, False]:
        space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}
        specs[f"Metaspace {scheme} {split}"] = words(pre_tokenizer=space, decoder=space)
specs["pre_tokenizer Sequence"] = words(pre_tokenizer={"type": "Sequence", "pretokenizers": [
    {"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Contiguous"}, {"type": "Digits", "individual_digits": True}]})
for before in [{"type": "WhitespaceSplit"}, {"type": "Split", "pattern": pattern("String", "a"), "behavior": "MergedWithPrevious", "invert": False}]:
    specs[f"Metaspace first behind {before['type']}"] = words(pre_tokenizer={"type": "Sequence", "pretokenizers": [
        before, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]})

CORPUS = [text for text in TEXTS if "<" not in text] * 3


def trained(trainer, model, **parts):
    tokenizer = Tokenizer.from_str(json.dumps(frame(json.loads(Tokenizer(model).to_str())["model"], **parts)))
    tokenizer.train_from_iterator(CORPUS, trainer)
    return json.loads(tokenizer.to_str())


GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SPECIAL = {**KEEP, "special": True}
byte_bpe = trained(trainers.BpeTrainer(vocab_size=330, initial_alphabet=BYTES, show_progress=False), models.BPE(), pre_tokenizer=GPT2, decoder=GPT2)
bpe = byte_bpe["model"]


def added(*tokens, **parts):
    ids = dict(bpe["vocab"])
    listed = [{"id": ids.setdefault(content, len(ids)), "content": content, **KEEP, **flags} for content, flags in tokens]
    return {**byte_bpe, "added_tokens": listed, **parts}


specs["BPE of bytes"] = byte_bpe
specs["Split before ByteLevel without its cuts"] = {**byte_bpe, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": pattern("String", " "), "behavior": "MergedWithNext", "invert": False}, {**GPT2, "use_regex": False}]}}
specs["BPE ignore_merges"] = {**byte_bpe, "model": {**bpe, "ignore_merges": True, "vocab": {**bpe["vocab"], "aaaaabaaab": len(bpe["vocab"])}}}
for flag in ["lstrip", "rstrip", "single_word", "normalized", "special"]:
    specs[f"added token {flag}"] = added(("<tok>", {flag: True}), ("<s>", SPECIAL), ("tok", {flag: True}))
specs["added tokens lstrip rstrip"] = added(("<tok>", {"lstrip": True, "rstrip": True}), ("</s>", {"rstrip": True}))
specs["added tokens that begin alike"] = added(("a", {}), ("aa", {}), ("aaab", {}), ("<", {}), ("<tok>", {}))
specs["added tokens normalized"] = added(("<TOK>", {"normalized": True}), ("Caf\u00e9", {"normalized": True}), ("<s>", SPECIAL), ("x", {}),
                                         normalizer={"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}]})
specs["added token of spaces"] = added(("  ", {"normalized": True}), ("\n\n", {}), (" <tok>", {"lstrip": True}))
specs["added tokens and Prepend"] = added(("<tok>", {"normalized": False}), ("</s>", SPECIAL), ("tok", {"normalized": True}),
                                          normalizer={"type": "Prepend", "prepend": "_"})
specs["added tokens and Metaspace first"] = added(
    ("<tok>", {"lstrip": True}), ("<s>", SPECIAL), pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
    model={**bpe, "unk_token": "?"})
specs["Strip and Metaspace first"] = {**byte_bpe, "normalizer": {"type": "Strip", "strip_left": True, "strip_right": False},
                                      "pre_tokenizer": {"type": "Metaspace", "replacement": "Ġ", "prepend_scheme": "first", "split": True},
                                      "model": {**bpe, "unk_token": "?"}}
characters = sorted({c for text in CORPUS for c in text if ord(c) < 0x250} | {"▁", "日"})


def char_bpe(**options):
    vocab = {token: id for id, token in enumerate(["<unk>", *(f"<0x{b:02X}>" for b in range(256)), *characters])}
    merges = [("a", "a"), ("aa", "a"), ("b", "a"), ("aa", "b"), ("▁", "a"), ("o", "n"), ("t", "h")]
    for a, b in merges:
        vocab.setdefault(a + b, len(vocab))
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": merges, **options}


fused = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": pattern("String", "▁"), "content": " "}, {"type": "ByteFallback"},
                                          {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
spaced = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": pattern("String", " "), "content": "▁"}]}
for fuse in [True, False]:
    for fallback in [True, False]:
        specs[f"BPE fuse_unk {fuse} byte_fallback {fallback}"] = frame(char_bpe(fuse_unk=fuse, byte_fallback=fallback), normalizer=spaced, decoder=fused)
some = char_bpe(byte_fallback=True, fuse_unk=True)
some["vocab"] = {token: id for id, token in enumerate(token for token in some["vocab"] if token not in ("<0xE6>", "<0xF0>", "<0xCC>"))}
specs["BPE that lacks some bytes"] = frame(some, normalizer=spaced, decoder=fused)
specs["BPE without an unknown token"] = frame(char_bpe(unk_token=None))
marked = {"<unk>": 0}
for c in characters:
    for token in (c, "##" + c, c + "</w>", "##" + c + "</w>"):
        marked.setdefault(token, len(marked))
for token in ("aa", "##aa", "aaa", "##on", "##on</w>", "##aab"):
    marked.setdefault(token, len(marked))
specs["BPE with a prefix and a suffix"] = frame(
    char_bpe(continuing_subword_prefix="##", end_of_word_suffix="</w>", vocab=marked,
             merges=[("a", "##a"), ("##a", "##a"), ("aa", "##a"), ("##o", "##n"), ("##o", "##n</w>"), ("##aa", "##b")]),
    pre_tokenizer={"type": "WhitespaceSplit"}, decoder={"type": "BPEDecoder", "suffix": "</w>"})
unigram = trained(trainers.UnigramTrainer(vocab_size=170, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False), models.Unigram(),
                  pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True})
specs["Unigram"] = {**unigram, "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}}
specs["Unigram with bytes"] = {**unigram, "added_tokens": [], "model": {
    **unigram["model"], "byte_fallback": True, "vocab": unigram["model"]["vocab"] + [[f"<0x{b:02X}>", -20.0] for b in range(256)]}}
specs["WordPiece"] = {**trained(trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False),
                                models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=8), normalizer={"type": "Lowercase"}, pre_tokenizer={"type": "BertPreTokenizer"}),
                      "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
                      "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}}
template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                                     {"SpecialToken": {"id": "end", "type_id": 0}}], "pair": [
    {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}, "end": {"id": "end", "ids": [6, 7], "tokens": ["x", "y"]}}}
specs["TemplateProcessing"] = {**byte_bpe, "post_processor": template}
specs["post_processor Sequence"] = {**byte_bpe, "post_processor": {"type": "Sequence", "processors": [GPT2, template]}}
specs["RobertaProcessing"] = {**byte_bpe, "post_processor": {
    "type": "RobertaProcessing", "sep": ["s", 9], "cls": ["c", 8], "trim_offsets": True, "add_prefix_space": False}}

written = [{"name": name, "tokenizer": spec, "cases": cases(spec)} for name, spec in specs.items()]
vocabularies = []
for each in written:
    # Models that several share are written once.
    model = each["tokenizer"]["model"]
    if model not in vocabularies:
        vocabularies.append(model)
    each["tokenizer"] = {**each["tokenizer"], "model": vocabularies.index(model)}
path = pathlib.Path(__file__).parent.parent / "testdata" / "tokenizer_parts.json"
content = {"library": f"tokenizers {tokenizers.__version__}", "models": vocabularies, "tokenizers": written}
path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
print(len(written), "tokenizers,", path.stat().st_size, "bytes")
