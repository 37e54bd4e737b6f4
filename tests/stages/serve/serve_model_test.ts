import { strict as assert } from "node:assert";
import OpenAI from "openai";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { EMBEDDED } from "../../../stages/models/checkpoint_place.ts";
import { Model } from "../../../stages/models/model.ts";
import { logitsOf } from "../../support/forward_pass.ts";
import { CARD } from "../../support/server_stub.ts";
import { type ServedModel, serveModel } from "../../support/model_server.ts";
import { until } from "../../support/wait.ts";

const WISHES = { context: 2000, sequences: 4, stepTokens: 64, queueRequests: 64 };
const model = CARD.name;
const TEXTS = ["Once upon a time", "The dog was"];
const COUNT = 10;

/** Keys and values are halves in the pages, and single in the plain forward pass. */
const NEAR = 5e-3;

/** What the model says without engine and pages: log-probabilities behind each of some ids. */
interface Plain extends AsyncDisposable {
  logprobs(ids: readonly number[]): Promise<Float64Array[]>;
  /** The likeliest ids, one after another. */
  greedy(prompt: readonly number[], count: number): Promise<number[]>;
}

async function openPlain(): Promise<Plain> {
  const device = await Cpu.open();
  const opened = await Model.open(EMBEDDED, device, { weightBytes: Infinity });
  const size = opened.config.vocabulary;
  const logprobs = async (ids: readonly number[]) => {
    const logits = await logitsOf(device, opened, ids);
    return ids.map((_, i) => normalized(logits.subarray(i * size, (i + 1) * size)));
  };
  return {
    logprobs,
    async greedy(prompt, count) {
      const ids = [...prompt];
      while (ids.length < prompt.length + count) ids.push(largest((await logprobs(ids)).at(-1)!));
      return ids.slice(prompt.length);
    },
    async [Symbol.asyncDispose]() {
      opened[Symbol.dispose]();
      await device[Symbol.asyncDispose]();
    },
  };
}

function normalized(logits: Float32Array): Float64Array {
  const most = Math.max(...logits);
  const sum = logits.reduce((sum, value) => sum + Math.exp(value - most), 0);
  return Float64Array.from(logits, (value) => value - most - Math.log(sum));
}

function largest(values: Float64Array): number {
  return values.indexOf(Math.max(...values));
}

function near(got: number | null | undefined, expected: number): void {
  assert.ok(Math.abs(got! - expected) < NEAR, `${got}, ${expected}`);
}

function clientOf({ url }: ServedModel, more: Record<string, unknown> = {}): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, ...more });
}

Deno.test("openai-node completes the four shapes of prompts with the model's own likeliest words", async () => {
  await using plain = await openPlain();
  await using served = await serveModel({ wishes: WISHES });
  const { tokenizer } = served;
  const client = clientOf(served);
  const ids = TEXTS.map((text) => tokenizer.encode(text));
  const expected: string[] = [];
  for (const prompt of ids) expected.push(tokenizer.decode(await plain.greedy(prompt, COUNT)));
  const asked = { model, max_tokens: COUNT, temperature: 0 };
  const shapes = [[TEXTS[0]!, 1], [TEXTS, 2], [ids[0]!, 1], [ids, 2]] as const;
  for (const [prompt, count] of shapes) {
    const { choices, usage } = await client.completions.create({
      ...asked,
      prompt: prompt as string | string[] | number[] | number[][],
    });
    assert.deepEqual(choices.map(({ text }) => text), expected.slice(0, count));
    const promptTokens = ids.slice(0, count).flat().length;
    assert.equal(usage?.prompt_tokens, promptTokens);
    assert.equal(usage?.total_tokens, promptTokens + count * COUNT);
  }
  const stream = await client.completions.create({
    ...asked,
    prompt: TEXTS,
    stream: true,
    stream_options: { include_usage: true },
  });
  const said = ["", ""];
  const chunks = await Array.fromAsync(stream);
  for (const { choices: [choice] } of chunks) said[choice?.index ?? 0] += choice?.text ?? "";
  assert.deepEqual(said, expected);
  assert.ok(chunks.length > COUNT, "it came in one piece");
  assert.deepEqual(chunks.map(({ usage }) => usage?.completion_tokens).at(-1), 2 * COUNT);

  // A stop text that lies across tokens, and never shows.
  const [whole] = expected;
  const stop = whole!.slice(whole!.length / 2 - 4, whole!.length / 2 + 3);
  const { choices: [stopped] } = await client.completions.create({
    ...asked,
    prompt: TEXTS[0]!,
    stop: ["never said", stop],
  });
  assert.equal(stopped?.text, whole!.slice(0, whole!.indexOf(stop)));
  assert.equal(stopped?.finish_reason, "stop");
});

Deno.test("openai-node gets log-probabilities of prompts and answers that are the model's", async () => {
  await using plain = await openPlain();
  await using served = await serveModel({ wishes: WISHES });
  const { tokenizer } = served;
  const client = clientOf(served);
  const prompt = tokenizer.encode(TEXTS[0]!);
  const answer = await plain.greedy(prompt, COUNT);
  const all = [...prompt, ...answer];
  const logprobs = await plain.logprobs(all);
  const asked = { model, max_tokens: COUNT, temperature: 0 };
  const { choices: [choice] } = await client.completions.create({
    ...asked,
    prompt: TEXTS[0]!,
    echo: true,
    logprobs: 3,
  });
  const scored = choice!.logprobs!;
  assert.equal(choice!.text, tokenizer.decode(all));
  assert.equal(scored.tokens!.length, all.length);
  assert.equal(scored.token_logprobs![0], null);
  for (let i = 1; i < all.length; i++) {
    near(scored.token_logprobs![i], logprobs[i - 1]![all[i]!]!);
    const best = Math.max(...Object.values(scored.top_logprobs![i]!));
    near(best, Math.max(...logprobs[i - 1]!));
    // Tokens of the answer are the likeliest; which lm-eval sees by equal numbers.
    if (i >= prompt.length) assert.equal(scored.token_logprobs![i], best);
  }
  const { choices: [none] } = await client.completions.create({
    ...{ model, prompt: all, max_tokens: 0, echo: true, logprobs: 0 },
  });
  none!.logprobs!.token_logprobs!.forEach((value, i) => {
    if (i > 0) near(value, logprobs[i - 1]![all[i]!]!);
  });

  // Biases: never the likeliest token, or always another one.
  const behind = logprobs[prompt.length - 1]!.slice();
  behind[answer[0]!] = -Infinity;
  const biased = async (bias: Record<string, number>) =>
    (await client.completions.create({ ...asked, prompt, max_tokens: 2, logit_bias: bias }))
      .choices[0]!.text;
  const other = await biased({ [answer[0]!]: -100 });
  assert.ok(other.startsWith(tokenizer.decode([largest(behind)])), other);
  assert.equal(await biased({ "300": 100 }), tokenizer.decode([300, 300]));

  // Seeds: each of n answers has the next one, alone or together.
  const drawn = { model, prompt, max_tokens: COUNT, temperature: 1.5 };
  const several = await client.completions.create({ ...drawn, n: 3, seed: 7 });
  const texts = several.choices.map(({ text }) => text);
  assert.equal(new Set(texts).size, 3, texts.join("|"));
  for (const [i, text] of texts.entries()) {
    const alone = await client.completions.create({ ...drawn, seed: 7 + i });
    assert.equal(alone.choices[0]!.text, text);
  }
});

Deno.test("openai-node chats: whole, streamed, scored, stopped and cut off", async () => {
  await using plain = await openPlain();
  await using served = await serveModel({ wishes: WISHES });
  const { tokenizer } = served;
  const client = clientOf(served);
  const messages = [{ role: "user", content: "Tell me a story" }] as const;
  const prompt = tokenizer.encode("<|endoftext|>Tell me a story");
  const answer = await plain.greedy(prompt, COUNT);
  const expected = tokenizer.decode(answer);
  const asked = {
    ...{ model, messages: [...messages], temperature: 0, max_completion_tokens: COUNT },
  };
  const { choices: [choice], usage } = await client.chat.completions.create({
    ...asked,
    logprobs: true,
    top_logprobs: 2,
  });
  assert.equal(choice?.message.content, expected);
  assert.equal(choice?.finish_reason, "length");
  assert.deepEqual([usage?.prompt_tokens, usage?.completion_tokens], [prompt.length, COUNT]);
  const logprobs = await plain.logprobs([...prompt, ...answer]);
  assert.equal(choice.logprobs!.content!.length, COUNT);
  for (const [i, { logprob, top_logprobs: top }] of choice.logprobs!.content!.entries()) {
    const behind = logprobs[prompt.length - 1 + i]!;
    near(logprob, behind[answer[i]!]!);
    assert.equal(top[0]!.logprob, logprob);
    near(top[1]!.logprob, behind.toSorted().at(-2)!);
  }
  const stream = await client.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await Array.fromAsync(stream);
  const deltas = chunks.flatMap(({ choices: [one] }) => one?.delta.content ?? []);
  assert.equal(deltas.join(""), expected);
  assert.ok(deltas.length > 3);
  assert.equal(chunks.at(-1)?.usage?.completion_tokens, COUNT);
  const stop = expected.slice(5, 9);
  const stopped = await client.chat.completions.create({ ...asked, stop });
  assert.equal(stopped.choices[0]?.message.content, expected.slice(0, expected.indexOf(stop)));
  assert.equal(stopped.choices[0]?.finish_reason, "stop");
  // `max_tokens` is the old name.
  const { max_completion_tokens: _, ...rest } = asked;
  const short = await client.chat.completions.create({ ...rest, max_tokens: 2 });
  assert.equal(short.usage?.completion_tokens, 2);
});

Deno.test("openai-node lists models, and makes its own errors of what is refused", async () => {
  const wishes = { ...WISHES, sequences: 1, queueRequests: 1 };
  await using served = await serveModel({ wishes, options: { apiKey: "right" } });
  const { engine } = served;
  const client = clientOf(served, { apiKey: "right" });
  const models = await Array.fromAsync(client.models.list());
  assert.deepEqual(models.map(({ id }) => id), [model]);
  assert.equal((await client.models.retrieve(model)).id, model);
  await assert.rejects(client.models.retrieve("org/other"), OpenAI.NotFoundError);
  await assert.rejects(
    clientOf(served, { apiKey: "wrong" }).models.list(),
    OpenAI.AuthenticationError,
  );
  const messages = [{ role: "user" as const, content: "hi" }];
  for (
    const [body, param] of [
      [{ temperature: -1 }, "temperature"],
      [{ tools: [{ type: "function", function: { name: "f g" } }] }, "tools[0].function.name"],
    ] as const
  ) {
    await assert.rejects(
      client.chat.completions.create({ model, messages, ...body } as never),
      (error) => error instanceof OpenAI.BadRequestError && error.param === param,
    );
  }
  await assert.rejects(
    client.completions.create({ model: "another", prompt: "a" }),
    (error) => error instanceof OpenAI.NotFoundError && error.param === "model",
  );

  // One runs and one waits, so that a third is turned away; the first two are given up.
  const endless = { model, prompt: "Once", max_tokens: 1900, stream: true as const };
  const controllers = [new AbortController(), new AbortController()];
  const body = { ...endless, ignore_eos: true };
  const first = await client.completions.create(body, { signal: controllers[0]!.signal });
  const second = client.completions.create(body, { signal: controllers[1]!.signal });
  await until(() => engine.stats().waiting === 1);
  await assert.rejects(
    client.completions.create({ model, prompt: "a" }),
    (error) => error instanceof OpenAI.RateLimitError && error.code === "queue_full",
  );
  controllers[1]!.abort();
  await assert.rejects(second, OpenAI.APIUserAbortError);
  await until(() => engine.stats().waiting === 0);
  assert.equal(engine.stats().running, 1);
  let seen = 0;
  for await (const _ of first) if (++seen === 3) break;
  await until(() => engine.stats().running + engine.stats().pages.used === 0);
  assert.ok(engine.stats().generatedTokens < 1900, "it went on to its end");

  // Lost on the way: in a stream and in one piece.
  const stream = await client.completions.create(body);
  await assert.rejects(async () => {
    for await (const _ of stream) engine.crash();
  }, (error) => error instanceof OpenAI.APIError && /engine was lost/.test(error.message));
  await assert.rejects(
    client.completions.create({ model, prompt: "a" }),
    (error) => error instanceof OpenAI.InternalServerError && error.status === 503,
  );
  // A client that tries again is answered once the engine is back.
  const patient = clientOf(served, { apiKey: "right", maxRetries: 5 });
  const { choices: [choice] } = await patient.completions.create({ model, prompt: "Once upon" });
  assert.ok(choice?.text);
});
