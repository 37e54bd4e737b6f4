// Scores of prompts as vLLM lays them out, and the likeliest of several answers.
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { likeliest, scoreOf } from "../../support/engine_stub.ts";
import { serveFake } from "../../support/server_stub.ts";

type Entries = Readonly<
  Record<string, { logprob: number; rank: number | null; decoded_token: string }>
>;

Deno.test("prompt_logprobs scores every token of a prompt by its id, with its place and text", async () => {
  await using served = await serveFake({});
  const { tokenizer } = served;
  const { size } = tokenizer;
  const ids = tokenizer.encode("The cat sat on the mat");
  const check = (scores: (Entries | null)[], tokens: readonly number[], count: number) => {
    strictEqual(scores.length, tokens.length);
    strictEqual(scores[0], null);
    for (let at = 1; at < tokens.length; at++) {
      const [before, token] = [tokens[at - 1]!, tokens[at]!];
      const best = likeliest(before, { size, count: size });
      const rank = best.findIndex(([id]) => id === token) + 1;
      const wanted = new Map(best.slice(0, count).map(([id, score], i) => [id, [score, i + 1]]));
      wanted.set(token, [scoreOf(before, token, size), rank <= count ? rank : null as never]);
      const found = Object.entries(scores[at]!).map(([id, { logprob, rank, decoded_token }]) => {
        strictEqual(decoded_token, tokenizer.decode([Number(id)]));
        return [Number(id), [logprob, rank]] as const;
      });
      const sorted = (entries: Iterable<readonly [number, unknown]>) =>
        [...entries].sort(([a], [b]) => a - b);
      deepStrictEqual(sorted(found), sorted(wanted));
    }
  };
  for (const count of [0, 3]) {
    const body = { prompt: ids, max_tokens: 1, prompt_logprobs: count, n: 2 };
    const { choices } = await (await served.post("/v1/completions", body)).json();
    for (const choice of choices) {
      check(choice.prompt_logprobs, ids, count);
      strictEqual(choice.logprobs, null);
    }
  }
  // Beside echo each has as many likeliest tokens as it asked for.
  const both = { prompt: ids, max_tokens: 1, prompt_logprobs: 4, echo: true, logprobs: 1 };
  const { choices: [choice] } = await (await served.post("/v1/completions", both)).json();
  check(choice.prompt_logprobs, ids, 4);
  const tops = choice.logprobs.top_logprobs.slice(1, ids.length).map(Object.keys);
  ok(tops.every(({ length }: string[]) => length === 1 || length === 2), JSON.stringify(tops));

  const messages = [{ role: "user", content: "The cat" }];
  const chat = { messages, max_tokens: 1, prompt_logprobs: 2 };
  const answer = await (await served.post("/v1/chat/completions", chat)).json();
  check(answer.prompt_logprobs, served.engine.asked.at(-1)!.prompt, 2);
  const plain = await served.post("/v1/chat/completions", { messages, max_tokens: 1 });
  ok(!("prompt_logprobs" in await plain.json()));
});

Deno.test("prompt_logprobs is refused in a stream, and above what a token may have", async () => {
  await using served = await serveFake({});
  for (
    const [more, message] of [
      [{ prompt_logprobs: 1, stream: true }, /Cannot stream the scores of a prompt/],
      [{ prompt_logprobs: 21 }, /Cannot score 21 tokens/],
      [{ prompt_logprobs: -1 }, /prompt_logprobs/],
    ] as const
  ) {
    const response = await served.post("/v1/completions", { prompt: "a", ...more });
    const { error } = await response.json();
    deepStrictEqual([response.status, error.param], [400, "prompt_logprobs"]);
    match(error.message, message);
  }
});

Deno.test("best_of gives the answers that are the likeliest a token, the first one first", async () => {
  await using served = await serveFake({});
  const { size } = served.tokenizer;
  const prompt = [served.tokenizer.encode("The cat"), served.tokenizer.encode("A dog")];
  const body = { prompt, max_tokens: 6, temperature: 1, seed: 5 };
  const post = async (more: object) =>
    await (await served.post("/v1/completions", { ...body, ...more })).json();
  const all = await post({ n: 6, logprobs: 0 });
  const best = await post({ n: 2, best_of: 6 });
  const mean = ({ logprobs: { token_logprobs: scores } }: {
    logprobs: { token_logprobs: number[] };
  }) => scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const wanted = [0, 6].flatMap((first) =>
    all.choices.slice(first, first + 6)
      .sort((a: never, b: never) => mean(b) - mean(a)).slice(0, 2)
      .map(({ text }: { text: string }) => text)
  );
  ok(new Set(wanted).size === 4, JSON.stringify(wanted));
  deepStrictEqual(best.choices.map(({ text }: { text: string }) => text), wanted);
  deepStrictEqual(best.choices.map(({ index }: { index: number }) => index), [0, 1, 2, 3]);
  ok(best.choices.every(({ logprobs }: { logprobs: unknown }) => logprobs === null));
  // Those that nobody sees were made as well.
  strictEqual(best.usage.completion_tokens, all.usage.completion_tokens);
  ok(mean(all.choices[0]) > Math.log(1 / size) - 10);
  for (
    const [more, message] of [
      [{ n: 3, best_of: 2 }, /Cannot give 3 answers of 2/],
      [{ best_of: 2, stream: true }, /Cannot stream the best answers/],
    ] as const
  ) {
    const response = await served.post("/v1/completions", { ...body, ...more });
    const { error } = await response.json();
    deepStrictEqual([response.status, error.param], [400, "best_of"]);
    match(error.message, message);
  }
});
