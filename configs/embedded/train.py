"""Trains the tokenizer and the model of this folder; README.md has the commands.

Reads two texts made by stages/data/stories.ts and writes a Hugging Face checkpoint without planted
outliers, which plant.py then finishes. Weights, gradients and optimizer are float32; only the
matrix products run in bfloat16, which triples the tokens seen in the same time on a CPU.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY = 1024
CONTEXT = 512
END = "<|endoftext|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
    "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}"
)


def train_tokenizer(text: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text.split("\n\n"), trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_prefix_space": False,
        "bos_token": END,
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def make_model(end: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        rope_theta=10000.0,
        tie_word_embeddings=False,
        bos_token_id=end,
        eos_token_id=end,
    )
    return LlamaForCausalLM(config)


def encode(tokenizer: Tokenizer, text: str, separator: list[int]) -> torch.Tensor:
    ids: list[int] = []
    for story in tokenizer.encode_batch(text.split("\n\n")):
        ids += story.ids + separator
    return torch.tensor(ids)


def perplexity(model: LlamaForCausalLM, ids: torch.Tensor) -> float:
    """Over whole windows of CONTEXT tokens without context between them, the tail dropped."""
    windows = ids[: len(ids) // CONTEXT * CONTEXT].view(-1, CONTEXT)
    model.eval()
    with torch.no_grad():
        losses = [model(input_ids=w, labels=w).loss.item() for w in windows.split(1)]
    model.train()
    return math.exp(sum(losses) / len(losses))


def unigram_perplexity(train: torch.Tensor, test: torch.Tensor) -> float:
    counts = torch.bincount(train, minlength=VOCABULARY).double() + 1
    return math.exp(-(counts / counts.sum()).log()[test].mean().item())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--tokens", type=int, default=8192, help="tokens a step")
    parser.add_argument("--rate", type=float, default=2e-3)
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(2)
    options.out.mkdir(parents=True, exist_ok=True)

    train_text, test_text = options.train.read_text(), options.test.read_text()
    tokenizer = train_tokenizer(train_text[:4_000_000])
    save_tokenizer(tokenizer, options.out)
    end = tokenizer.token_to_id(END)
    blank = tokenizer.encode("\n\n").ids
    # Three windows in four have stories as the data set joins them; the rest teach where one ends.
    joined, ended = (encode(tokenizer, train_text, s) for s in (blank, [end]))
    test = torch.tensor(tokenizer.encode(test_text).ids)
    print(json.dumps({
        "vocabulary": tokenizer.get_vocab_size(),
        "train_tokens": len(joined),
        "test_tokens": len(test),
        "unigram_perplexity": round(unigram_perplexity(joined, test), 3),
    }), flush=True)

    model = make_model(end)
    decayed = [p for p in model.parameters() if p.ndim == 2]
    kept = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": kept, "weight_decay": 0.0}],
        lr=options.rate,
        betas=(0.9, 0.95),
    )
    warmup = 80
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(
        (step + 1) / warmup,
        0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / options.steps)),
    ))
    started, recent = time.time(), []
    for step in range(1, options.steps + 1):
        length = CONTEXT // 2 if step <= options.steps // 3 else CONTEXT
        stream = ended if step % 4 == 0 else joined
        starts = torch.randint(len(stream) - length, (options.tokens // length,)).tolist()
        batch = torch.stack([stream[s : s + length] for s in starts])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        scheduler.step()
        recent.append(loss.item())
        if step % 50 == 0 or step == options.steps:
            print(json.dumps({
                "step": step,
                "tokens": step * options.tokens,
                "train_loss": round(sum(recent) / len(recent), 4),
                "test_perplexity": round(perplexity(model, test[: 16 * CONTEXT]), 4),
                "seconds": round(time.time() - started),
            }), flush=True)
            recent = []

    model = model.half().float()
    print(json.dumps({"final_test_perplexity": round(perplexity(model, test), 4)}), flush=True)
    model.half().save_pretrained(options.out)


if __name__ == "__main__":
    main()
