"""Writes tests/testdata/sentencepiece_tokens.json: a small SentencePiece BPE vocabulary and ids it gives.

Needs `pip install sentencepiece`. Trained as Llama 2's was: byte fallback, split digits, no normalization.
"""

import base64
import io
import json
import pathlib

import sentencepiece

TEXT = """The quick brown fox jumps over the lazy dog while the other foxes are sleeping in the warm afternoon.
Every morning the baker opened the small shop at the corner and the smell of bread filled the whole street.
In 1969 and 2024 there were 365 and 366 days; nobody counted them twice, but everybody counted them once.
"Where are you going?" she asked. "To the other side of the river," he answered, "because the bread is there."
""".splitlines()

CASES = TEXT + ["", " ", "  ", "the", " the", "the  the", "   leading", "trailing   ", "\n", "a\nb\tc", "1234567890",
    "12,345.67", "é", "naïve café", "日本語", "😀 👩‍👩‍👧", "½Ⅷ²", "xyzzy", "THE BREAD", "it's we're I'll", "there\u00a0there",
    "▁the", "\u200bthe", "foxfoxfox", "<0x41>"]

model = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXT * 4), model_writer=model, vocab_size=420,
    model_type="bpe", byte_fallback=True, split_digits=True, normalization_rule_name="identity",
    remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, minloglevel=2)
pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def kind(id):
    return 2 if pieces.is_unknown(id) else 3 if pieces.is_control(id) else 6 if pieces.is_byte(id) else 1


ids = range(pieces.vocab_size())
content = {
    "tokens": [pieces.id_to_piece(id) for id in ids],
    "scores": [pieces.get_score(id) for id in ids],
    "kinds": [kind(id) for id in ids],
    "model": base64.b64encode(model.getvalue()).decode(),
    "cases": [{"text": text, "ids": pieces.encode(text)} for text in CASES],
}
path = pathlib.Path(__file__).parent.parent / "testdata" / "sentencepiece_tokens.json"
path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
