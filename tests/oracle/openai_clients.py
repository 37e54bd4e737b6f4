"""Drives a server with Python's openai and with lm-eval as users run them, and checks what they make of its answers.

Usage: openai_clients.py URL [MODEL] [--fake]. `lm_eval_task.py` compares what lm-eval gets with the evaluator.
`deno run -A tests/support/server_stub.ts 8000` serves a fake engine; with `--fake`
its log-probabilities, a function of two tokens, are computed here a second time and every loglikelihood is compared.
Needs `pip install openai 'lm_eval[api]'`. Nothing is fetched from a hub: the tokenizer is the server's own.
"""

import math
import os
import re
import sys
import tempfile
import time

os.environ.setdefault("OPENAI_API_KEY", "none")
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import lm_eval
import openai
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI
from lm_eval.tasks import TaskManager

from multiple_choice import write_task

url = sys.argv[1].rstrip("/")
fake = "--fake" in sys.argv
names = [word for word in sys.argv[2:] if not word.startswith("--")]
client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
model = names[0] if names else client.models.list().data[0].id
assert client.models.retrieve(model).id == model

# openai: whole, streamed, and wrong.
messages = [{"role": "user", "content": "Tell me a story"}]
whole = client.chat.completions.create(model=model, messages=messages, max_tokens=24, temperature=0, seed=1)
chunks = list(
    client.chat.completions.create(
        model=model,
        messages=messages,
        max_tokens=24,
        temperature=0,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
    )
)
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert text == whole.choices[0].message.content, (text, whole)
assert chunks[-1].usage == whole.usage and not chunks[-1].choices
assert whole.usage.completion_tokens <= 24 and whole.choices[0].finish_reason in ("stop", "length")
told = client.chat.completions.create(
    model=model, messages=messages, max_completion_tokens=5, temperature=0, logprobs=True, top_logprobs=3
)
for entry in told.choices[0].logprobs.content:
    assert bytes(entry.bytes).decode(errors="replace") == entry.token or "\ufffd" in entry.token, entry
    assert len(entry.top_logprobs) == 3, entry
    assert fake or entry.logprob == max(top.logprob for top in entry.top_logprobs), entry

# The four shapes of a prompt, each answered by itself; ids are those the server cuts texts into.
asked = dict(model=model, max_tokens=8, temperature=0)
texts = ["The cat sat on", "One day a dog ran home"]
ids = [client.post("/../tokenize", body={"prompt": text}, cast_to=object)["tokens"] for text in texts]
shapes = [
    [choice.text for choice in client.completions.create(prompt=prompt, **asked).choices]
    for prompt in (texts[0], texts, ids[0], ids)
]
assert shapes[0] == shapes[2] == shapes[1][:1] and shapes[1] == shapes[3], shapes
pieces = ["", ""]
for chunk in client.completions.create(prompt=texts, stream=True, stream_options={"include_usage": True}, **asked):
    if chunk.choices:
        pieces[chunk.choices[0].index] += chunk.choices[0].text
    else:
        assert chunk.usage.prompt_tokens == sum(map(len, ids)), chunk
assert pieces == shapes[1], pieces

# Stops, seeds and biases.
said = shapes[0][0]
stop = said[len(said) // 2 : len(said) // 2 + 3]
stopped = client.completions.create(prompt=texts[0], stop=[stop], **asked).choices[0]
assert (stopped.text, stopped.finish_reason) == (said[: said.index(stop)], "stop"), stopped
drawn = dict(asked, prompt=texts[0], temperature=1.2)
several = [choice.text for choice in client.completions.create(n=3, seed=7, **drawn).choices]
alone = [client.completions.create(seed=7 + at, **drawn).choices[0].text for at in range(3)]
assert several == alone and (fake or len(set(several)) == 3), (several, alone)
if not fake:
    word = ids[1][-1]
    biased = client.completions.create(prompt=texts[0], logit_bias={str(word): 100}, **asked).choices[0].text
    same = client.post("/../detokenize", body={"tokens": [word] * 8}, cast_to=object)["prompt"]
    assert biased == same, (biased, same)
scored = client.completions.create(model=model, prompt="The cat", max_tokens=4, temperature=0, logprobs=2, echo=True)
logprobs = scored.choices[0].logprobs
assert scored.choices[0].text.startswith("The cat") and logprobs.token_logprobs[0] is None
for offset, token in zip(logprobs.text_offset, logprobs.tokens):
    shown = scored.choices[0].text[offset : offset + len(token)]
    assert "\ufffd" in token or token == "<|endoftext|>" or shown == token, (offset, token)
for wrong, kind in [
    ({"model": "another"}, openai.NotFoundError),
    ({"temperature": -1}, openai.BadRequestError),
    ({"max_tokens": -1}, openai.BadRequestError),
    ({"extra_body": {"tools": [{"type": "function"}]}}, openai.BadRequestError),
]:
    try:
        client.completions.create(**{"model": model, "prompt": "a", **wrong})
    except kind as error:
        assert error.body["type"] == "invalid_request_error" and error.body["param"], error.body
    else:
        raise AssertionError(wrong)
# More tokens than fit are as many as fit.
size = client.models.retrieve(model).max_model_len
most = client.completions.create(model=model, prompt="a", max_tokens=10**9, extra_body={"ignore_eos": True})
assert most.choices[0].finish_reason == "length" and most.usage.total_tokens == size, (most.usage, size)
with client.completions.create(model=model, prompt="a", max_tokens=400, stream=True) as stream:
    next(iter(stream))
# The routes that the library has no methods for.
for path, wanted in {"health": "status", "ready": "status", "tokenizer_info": "tokenizer_class", "openapi.json": "paths"}.items():
    told = client.get(f"/../{path}", cast_to=object)
    assert wanted in told, (path, told)
for name in ("no/such", "nothing"):
    try:
        client.models.retrieve(name)
    except openai.NotFoundError as error:
        assert error.code == "model_not_found", error.body
    else:
        raise AssertionError(name)
# What was left in the middle is held no longer.
for _ in range(200):
    lines = client.get("/../metrics", cast_to=str).splitlines()
    held = [line for line in lines if re.match(r"quattuor_(requests_running|requests_waiting|pages_used)\{", line)]
    if len(held) == 3 and all(line.endswith(" 0") for line in held):
        break
    time.sleep(0.05)
else:
    raise AssertionError(held)
print("openai", openai.__version__, "ok")


def score(before: int, token: int, size: int) -> float:
    """tests/support/engine_stub.ts: the log-probability of a token behind another one."""
    mask = 2**32 - 1
    mixed = ((before + 1) * 0x9E3779B1 ^ (token + 1) * 0x85EBCA6B) & mask
    mixed = (mixed ^ mixed >> 15) * 0xC2B2AE35 & mask
    return -((mixed >> 8) / 2**24) * 10 - math.log(size)


def loglikelihood(tokens: list[int], start: int, size: int) -> tuple[float, bool]:
    pairs = list(zip(tokens, tokens[1:]))[start - 1 :]
    best = all(score(a, b, size) == max(score(a, other, size) for other in range(size)) for a, b in pairs)
    return sum(score(a, b, size) for a, b in pairs), best


# lm-eval: its own tokenizer class, its own requests, its own reading of the answers.
settings = dict(base_url=f"{url}/v1/completions", model=model, max_length=512)
pairs = [("The cat sat", " on the mat"), ("Once upon a time", " there was a 🐈 named 日本"), ("A", " b")]
results = []
for more in [{}, {"batch_size": 3}, {"num_concurrent": 4}]:
    lm = LocalCompletionsAPI(**settings, **more)
    assert type(lm.tokenizer).__name__ == "RemoteTokenizer", lm.tokenizer
    requests = [Instance("loglikelihood", {}, pair, at) for at, pair in enumerate(pairs)]
    results.append(lm.loglikelihood(requests))
assert results[0] == results[1] == results[2], results
size = client.models.retrieve(model).meta["n_vocab"]
if fake:
    for (context, rest), (found, greedy) in zip(pairs, results[0]):
        start, tokens = len(lm.tok_encode(context)), lm.tok_encode(context + rest)
        assert (found, greedy) == loglikelihood(tokens, start, size), (context, found)
    # One token that is the likeliest, and one that is not, of which a wrong server says the same.
    context = "The dog"
    ids = lm.tok_encode(context)
    best = max(range(size), key=lambda token: score(ids[-1], token, size))
    worst = min(range(size), key=lambda token: score(ids[-1], token, size))
    for token, greedy in [(best, True), (worst, False)]:
        answer = lm._loglikelihood_tokens([((context, ""), ids, [token])])
        assert answer == [(score(ids[-1], token, size), greedy)], (answer, token)
rolling = lm.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, ("The cat sat on the mat",), 0)])
if fake:
    tokens = [lm.eot_token_id, *lm.tok_encode("The cat sat on the mat")]
    assert rolling == [loglikelihood(tokens, 1, size)[0]], rolling
until = {"until": ["\n", "the"], "max_gen_toks": 32}
written = lm.generate_until([Instance("generate_until", {}, ("Once", dict(until)), 0)])
assert "\n" not in written[0] and "the" not in written[0], written
print("lm_eval requests ok", results[0])

# lm-eval: a whole task.
with tempfile.TemporaryDirectory() as directory:
    documents = [
        {"question": question, "choices": [" cat", " dog", " tree", " sun"], "answer": at % 4}
        for at, question in enumerate(["I saw a", "Here is the", "My", "They like the", "A big", "The old"])
    ]
    write_task(directory, "own_choices", documents)
    evaluated = lm_eval.simple_evaluate(
        model="local-completions",
        model_args={**settings, "num_concurrent": 4},
        tasks=["own_choices"],
        task_manager=TaskManager(include_path=directory),
        bootstrap_iters=0,
    )
    accuracy = evaluated["results"]["own_choices"]["acc,none"]
    if fake:
        right = 0
        for document in documents:
            ends = [lm.tok_encode(document["question"] + choice) for choice in document["choices"]]
            start = len(lm.tok_encode(document["question"]))
            sums = [loglikelihood(tokens, start, size)[0] for tokens in ends]
            right += sums.index(max(sums)) == document["answer"]
        assert accuracy == right / len(documents), (accuracy, right)
    print("lm_eval task ok", accuracy)
