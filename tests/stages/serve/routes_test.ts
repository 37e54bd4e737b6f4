import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import OpenAI from "openai";
import { openServedTokenizer } from "../../../stages/serve/served_tokenizer.ts";
import {
  embeddedTokenizer,
  eventsOf,
  sentencePieceFiles,
  type ServedFake,
  serveFake,
} from "../../support/server_stub.ts";
import { likeliest, scoreOf } from "../../support/engine_stub.ts";

const MODEL = "org/fake-1";
const SAYS = "Hello 🐈, 日本語! This is STOP where it ends";

/** The client as a user has it, without retries: they are tested by themselves. */
function clientOf({ url }: ServedFake, more: Record<string, unknown> = {}): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, ...more });
}

/** What /v1/completions gives, as far as tests look. */
interface Completion {
  readonly choices: readonly {
    readonly index: number;
    readonly text: string;
    readonly finish_reason: string;
    readonly logprobs: {
      readonly tokens: string[];
      readonly token_logprobs: (number | null)[];
      readonly top_logprobs: (Record<string, number> | null)[];
      readonly text_offset: number[];
    } | null;
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

async function complete(served: ServedFake, body: Record<string, unknown>): Promise<Completion> {
  const response = await served.post("/v1/completions", { model: MODEL, ...body });
  const json = await response.json();
  strictEqual(response.status, 200, JSON.stringify(json));
  return json;
}

Deno.test("openai-node lists models and finds one by a name with a slash", async () => {
  await using served = await serveFake({ options: { names: ["fake"] } });
  const client = clientOf(served);
  const names = [];
  for await (const { id, owned_by } of client.models.list()) names.push([id, owned_by]);
  deepStrictEqual(names, [[MODEL, "quattuor"], ["fake", "quattuor"]]);
  strictEqual((await client.models.retrieve(MODEL)).id, MODEL);
  await rejects(
    client.models.retrieve("org/other"),
    (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
  );
});

Deno.test("openai-node gets whole answers and streams that add up to them", async () => {
  await using served = await serveFake({ says: SAYS });
  const client = clientOf(served);
  const messages = [{ role: "user", content: "hi" }] as const;
  const whole = await client.chat.completions.create({ model: MODEL, messages: [...messages] });
  const [choice] = whole.choices;
  deepStrictEqual(choice?.message, { role: "assistant", content: SAYS, refusal: null });
  strictEqual(choice?.finish_reason, "stop");
  strictEqual(whole.system_fingerprint, "fp_0123456789ab");
  const { usage } = whole;
  strictEqual(usage?.prompt_tokens, served.tokenizer.encode("<|endoftext|>hi").length);
  // The token that ended it was generated too.
  strictEqual(usage?.completion_tokens, served.tokenizer.encode(SAYS).length + 1);
  strictEqual(usage?.total_tokens, usage!.prompt_tokens + usage!.completion_tokens);

  const deltas = [];
  const chunks = [];
  const stream = await client.chat.completions.create({
    model: MODEL,
    messages: [...messages],
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    chunks.push(chunk);
    if (chunk.choices[0]) deltas.push(chunk.choices[0].delta);
  }
  deepStrictEqual(deltas[0], { role: "assistant", content: "" });
  deepStrictEqual(deltas.at(-1), {});
  strictEqual(deltas.map(({ content }) => content ?? "").join(""), SAYS);
  ok(deltas.length > 10, "it came in one piece");
  ok(!deltas.some(({ content }) => content?.includes("\ufffd")));
  strictEqual(chunks.at(-2)?.choices[0]?.finish_reason, "stop");
  deepStrictEqual(chunks.at(-1)?.choices, []);
  deepStrictEqual(chunks.at(-1)?.usage, usage);
  ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
  strictEqual(new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size, 1);
  ok(chunks.every(({ object }) => object === "chat.completion.chunk"));
});

Deno.test("a stream has usage only where it was asked for", async () => {
  await using served = await serveFake({ says: "a b c" });
  for (
    const [path, body] of [
      ["/v1/completions", { prompt: "a", max_tokens: 3 }],
      ["/v1/chat/completions", { messages: [{ role: "user", content: "a" }] }],
    ] as const
  ) {
    const response = await served.post(path, { ...body, stream: true });
    match(response.headers.get("content-type")!, /^text\/event-stream/);
    const events = await eventsOf(response);
    ok(
      events.every((event) => !("usage" in event) && (event["choices"] as unknown[]).length === 1),
    );
  }
});

Deno.test("the four shapes of a prompt are answered each by itself, ids as they are", async () => {
  await using served = await serveFake({ says: (prompt) => `<${prompt}>` });
  const ids = (text: string) => served.tokenizer.encode(text);
  const texts = async (prompt: unknown) =>
    (await complete(served, { prompt, max_tokens: 40 })).choices.map(({ index, text }) =>
      `${index}${text}`
    );
  deepStrictEqual(await texts("a cat"), ["0<a cat>"]);
  deepStrictEqual(await texts(["a cat", "the dog ran"]), ["0<a cat>", "1<the dog ran>"]);
  deepStrictEqual(await texts(ids("a cat")), ["0<a cat>"]);
  deepStrictEqual(await texts([ids("a cat"), ids("b")]), ["0<a cat>", "1<b>"]);
  deepStrictEqual(served.engine.asked.at(-1)?.prompt, ids("b"));
});

Deno.test("`n` answers have seeds that follow each other, whatever else is asked", async () => {
  await using served = await serveFake({});
  const body = { prompt: ["a", "b"], n: 3, seed: 7, max_tokens: 4, temperature: 0.8 };
  const { choices } = await complete(served, body);
  deepStrictEqual(choices.map(({ index }) => index), [0, 1, 2, 3, 4, 5]);
  deepStrictEqual(served.engine.asked.map(({ sampling }) => sampling.seed), [7, 8, 9, 7, 8, 9]);
  const again = await complete(served, { ...body, prompt: "a", n: 1, seed: 8 });
  strictEqual(again.choices[0]?.text, choices[1]?.text);
  served.engine.asked.length = 0;
  await complete(served, { prompt: "a" });
  await complete(served, { prompt: "a", seed: -1 });
  await complete(served, { prompt: "a" });
  const [random, minus, other] = served.engine.asked.map(({ sampling }) => sampling.seed);
  strictEqual(minus, 2 ** 32 - 1);
  ok(random !== other, "two requests without a seed got the same");
});

Deno.test("echo with log-probabilities covers the prompt and one generated token", async () => {
  await using served = await serveFake({});
  const { tokenizer } = served;
  const prompts = [tokenizer.encode("The cat sat"), tokenizer.encode("One day the dog ran home")];
  // As lm-eval asks for loglikelihoods.
  const body = {
    prompt: prompts,
    temperature: 0,
    max_tokens: 1,
    logprobs: 1,
    seed: 1234,
    echo: true,
  };
  const { choices } = await complete(served, body);
  for (const [at, prompt] of prompts.entries()) {
    const { logprobs, text, finish_reason } = choices[at]!;
    const next = likeliest(prompt.at(-1)!, { size: tokenizer.size, count: 1 })[0]![0];
    const all = [...prompt, next];
    strictEqual(logprobs!.tokens.length, all.length);
    const wanted = all.slice(1).map((token, before) =>
      scoreOf(all[before]!, token, tokenizer.size)
    );
    deepStrictEqual(logprobs!.token_logprobs, [null, ...wanted]);
    strictEqual(logprobs!.top_logprobs[0], null);
    for (const [place, top] of logprobs!.top_logprobs.entries()) {
      if (!top) continue;
      const best = likeliest(all[place - 1]!, { size: tokenizer.size, count: 1 })[0]![1];
      strictEqual(Math.max(...Object.values(top)), best);
      ok(Object.values(top).includes(logprobs!.token_logprobs[place]!));
    }
    strictEqual(text, tokenizer.decode(all));
    const points = [...text];
    logprobs!.tokens.forEach((token, place) => {
      const from = logprobs!.text_offset[place]!;
      strictEqual(points.slice(from, from + [...token].length).join(""), token);
    });
    strictEqual(finish_reason, "length");
  }
});

Deno.test("the token that ends an answer is scored though it is no text", async () => {
  await using served = await serveFake({ script: () => [] });
  const body = { prompt: [5, 6], max_tokens: 1, logprobs: 1, echo: true, temperature: 0 };
  const { choices: [choice] } = await complete(served, body);
  strictEqual(choice?.logprobs?.tokens.length, 3);
  strictEqual(choice?.logprobs?.tokens[2], "<|endoftext|>");
  strictEqual(choice?.logprobs?.token_logprobs[2], scoreOf(6, 0, served.tokenizer.size));
  strictEqual(choice?.text, served.tokenizer.decode([5, 6]));
  strictEqual(choice?.finish_reason, "stop");
});

Deno.test("no tokens at all may be asked for, to score a prompt", async () => {
  await using served = await serveFake({});
  const body = { prompt: "The cat", max_tokens: 0, logprobs: 0, echo: true };
  const { choices: [choice], usage } = await complete(served, body);
  const ids = served.tokenizer.encode("The cat");
  strictEqual(choice?.logprobs?.tokens.length, ids.length);
  strictEqual(choice?.text, "The cat");
  deepStrictEqual([usage.prompt_tokens, usage.completion_tokens], [ids.length, 0]);
});

Deno.test("tokens with the same text stay apart in a dictionary, and spelt as ids on demand", async () => {
  await using served = await serveFake({});
  const { tokenizer } = served;
  const parts = Array.from({ length: tokenizer.size }, (_, id) => id)
    .filter((id) => tokenizer.decode([id]) === "\ufffd");
  const before = Array.from({ length: tokenizer.size }, (_, id) => id).find((id) => {
    const top = likeliest(id, { size: tokenizer.size, count: 20 }).map(([token]) => token);
    return top.filter((token) => parts.includes(token)).length >= 2;
  })!;
  const body = { prompt: [before], max_tokens: 1, logprobs: 20, temperature: 0 };
  const { choices: [text] } = await complete(served, body);
  strictEqual(Object.keys(text!.logprobs!.top_logprobs[0]!).length, 20);
  const { choices: [ids] } = await complete(served, { ...body, return_tokens_as_token_ids: true });
  const wanted = likeliest(before, { size: tokenizer.size, count: 20 });
  deepStrictEqual(
    ids!.logprobs!.top_logprobs[0],
    Object.fromEntries(wanted.map(([token, score]) => [`token_id:${token}`, score])),
  );
});

Deno.test("a log-probability that is not finite becomes -9999", async () => {
  await using served = await serveFake({});
  const { generate } = served.engine;
  served.engine.generate = async function* (...asked) {
    for await (const event of generate.apply(served.engine, asked)) {
      yield event.type === "token" ? { ...event, logprob: -Infinity } : event;
    }
  };
  const { choices: [choice] } = await complete(served, { prompt: "a", max_tokens: 1, logprobs: 1 });
  deepStrictEqual(choice?.logprobs?.token_logprobs, [-9999]);
});

Deno.test("chats have log-probabilities with the bytes of every token", async () => {
  await using served = await serveFake({ says: "🐈 yes" });
  const { choices: [choice] } = await clientOf(served).chat.completions.create({
    model: MODEL,
    messages: [{ role: "user", content: "hi" }],
    logprobs: true,
    top_logprobs: 2,
  });
  const content = choice!.logprobs!.content!;
  const bytes = content.slice(0, -1).flatMap((token) => token.bytes!);
  strictEqual(new TextDecoder().decode(Uint8Array.from(bytes)), "🐈 yes");
  ok(
    content.every(({ top_logprobs: top }) =>
      top.length === 2 && top[0]!.logprob >= top[1]!.logprob
    ),
  );
  strictEqual(content.at(-1)?.token, "<|endoftext|>");
});

Deno.test("a stop string across tokens ends an answer and never shows", async () => {
  await using served = await serveFake({ says: SAYS });
  const { tokenizer } = served;
  const stop = "This is STOP";
  ok(tokenizer.encode(stop).length > 2, "it is one token, so this test would show nothing");
  const want = SAYS.slice(0, SAYS.indexOf(stop));
  const body = { prompt: "a", max_tokens: 100, stop: ["nothing", stop] };
  const { choices: [choice] } = await complete(served, { ...body, logprobs: 0 });
  deepStrictEqual([choice?.text, choice?.finish_reason], [want, "stop"]);
  const places = choice!.logprobs!.text_offset;
  ok(places.every((offset) => offset < [...want].length), "tokens of the stop string are scored");
  const events = await eventsOf(await served.post("/v1/completions", { ...body, stream: true }));
  const texts = events.map((event) => (event["choices"] as { text: string }[])[0]!.text);
  strictEqual(texts.join(""), want);
  const kept = await complete(served, { ...body, include_stop_str_in_output: true });
  strictEqual(kept.choices[0]?.text, want + stop);
  for (const nothing of [null, [], "", [""]]) {
    strictEqual((await complete(served, { ...body, stop: nothing })).choices[0]?.text, SAYS);
  }
  // lm-eval stops at the text of the token that ends answers, which never shows.
  const eos = await complete(served, { ...body, stop: ["<|endoftext|>"], ignore_eos: true });
  deepStrictEqual([eos.choices[0]?.text, eos.choices[0]?.finish_reason], [SAYS, "stop"]);
});

Deno.test("sampling is passed on as it was asked for, with OpenAI's defaults", async () => {
  await using served = await serveFake({});
  await complete(served, { prompt: "a", seed: 5, temperature: null, stop: null, n: null });
  deepStrictEqual(served.engine.asked[0], {
    prompt: served.tokenizer.encode("a"),
    maxTokens: 16,
    stopTokens: [0],
    sampling: {
      temperature: 1,
      topK: 0,
      topP: 1,
      minP: 0,
      presencePenalty: 0,
      frequencyPenalty: 0,
      repetitionPenalty: 1,
      logitBias: [],
      seed: 5,
    },
  });
  await complete(served, {
    prompt: "a",
    seed: 6,
    temperature: 0.7,
    top_p: 0.9,
    top_k: 40,
    min_p: 0.05,
    presence_penalty: 0.5,
    frequency_penalty: -0.5,
    repetition_penalty: 1.1,
    logit_bias: { "5": -100, "9": 2.5 },
    stop_token_ids: [3],
    ignore_eos: true,
    max_tokens: 2,
    logprobs: 3,
  });
  deepStrictEqual(served.engine.asked[1], {
    prompt: served.tokenizer.encode("a"),
    maxTokens: 2,
    logprobs: 3,
    stopTokens: [3],
    sampling: {
      temperature: 0.7,
      topK: 40,
      topP: 0.9,
      minP: 0.05,
      presencePenalty: 0.5,
      frequencyPenalty: -0.5,
      repetitionPenalty: 1.1,
      logitBias: [[5, -100], [9, 2.5]],
      seed: 6,
    },
  });
});

Deno.test("a chat without a limit may go on to the end of the context", async () => {
  await using served = await serveFake({ context: 100 });
  const ask = (more: object) =>
    served.post("/v1/chat/completions", { messages: [{ role: "user", content: "hi" }], ...more });
  await (await ask({})).body?.cancel();
  const { prompt, maxTokens } = served.engine.asked[0]!;
  strictEqual(prompt.length + maxTokens, 100);
  await (await ask({ max_tokens: 5, max_completion_tokens: 7 })).body?.cancel();
  strictEqual(served.engine.asked[1]?.maxTokens, 7);
});

const TEMPLATE = "{{ bos_token }}{% for m in messages %}{% if m.role not in ['system', 'user', " +
  "'assistant'] %}{{ raise_exception('Unexpected role ' + m.role) }}{% endif %}" +
  "[{{ m.role }}]{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

Deno.test("a conversation is laid out by the model's template, its first token put once", async () => {
  await using served = await serveFake({ template: TEMPLATE });
  const ask = async (body: object) => {
    const response = await served.post("/v1/chat/completions", { max_tokens: 1, ...body });
    const json = await response.json();
    if (response.status !== 200) return json.error;
    return served.tokenizer.decode(served.engine.asked.at(-1)!.prompt);
  };
  const parts = [{ type: "text", text: "one" }, { type: "text", text: "two" }];
  const messages = [
    { role: "developer", content: "Be brief" },
    { role: "user", content: parts },
  ];
  const head = "<|endoftext|>[system]Be brief\n[user]one\ntwo\n";
  strictEqual(await ask({ messages }), `${head}[assistant]`);
  strictEqual(await ask({ messages, add_generation_prompt: false }), head);
  const begun = [...messages, { role: "assistant", content: "Well," }];
  strictEqual(
    await ask({ messages: begun, continue_final_message: true }),
    `${head}[assistant]Well,`,
  );
  const { message, param } = await ask({ messages: [{ role: "tool", content: "4" }] });
  match(message, /the chat template says: .*Unexpected role tool/);
  strictEqual(param, "messages");
  const image = [{ type: "image_url", image_url: { url: "data:image/png;base64,aa" } }];
  const refused = await ask({ messages: [{ role: "user", content: image }] });
  match(refused.param, /^messages\[0\]\.content/);
  // What /tokenize says of it is what the model sees.
  const tokens = await served.post("/tokenize", { messages });
  deepStrictEqual(
    (await tokens.json()).tokens,
    served.tokenizer.encode(`${head}[assistant]`),
  );
});

Deno.test("texts begin with the model's first token, tokens and conversations as they are", async () => {
  const files = sentencePieceFiles();
  const config = { ...files.config as object, chat_template: TEMPLATE };
  const tokenizer = openServedTokenizer({ ...files, config });
  await using served = await serveFake({ tokenizer });
  const bos = tokenizer.bos!;
  const asked = () => served.engine.asked.at(-1)!.prompt;
  const [the] = tokenizer.encode("the");
  const { choices: [choice] } = await complete(served, {
    prompt: "the fox",
    echo: true,
    logprobs: 0,
    max_tokens: 1,
    temperature: 0,
  });
  deepStrictEqual(asked().slice(0, 2), [bos, the]);
  ok(choice!.text.startsWith("the fox"), choice!.text);
  deepStrictEqual(choice!.logprobs!.tokens.slice(0, 2), ["<s>", " the"]);
  deepStrictEqual(choice!.logprobs!.text_offset.slice(0, 3), [0, 0, 3]);
  strictEqual(choice!.logprobs!.text_offset.at(-1), "the fox".length);
  await complete(served, { prompt: "the", add_special_tokens: false });
  deepStrictEqual(asked(), [the]);
  await complete(served, { prompt: [the] });
  deepStrictEqual(asked(), [the]);
  await complete(served, { prompt: "" });
  deepStrictEqual(asked(), [bos]);
  const messages = [{ role: "user", content: "the fox" }];
  await (await served.post("/v1/chat/completions", { messages, max_tokens: 1 })).text();
  strictEqual(asked().filter((token) => token === bos).length, 1);
  strictEqual(asked()[0], bos);
});

Deno.test("a model without a template does not chat, and says what to ask instead", async () => {
  await using served = await serveFake({ template: null });
  await rejects(
    clientOf(served).chat.completions.create({
      model: MODEL,
      messages: [{ role: "user", content: "hi" }],
    }),
    (error) => error instanceof OpenAI.BadRequestError && /\/v1\/completions/.test(error.message),
  );
});

const WRONG: readonly (readonly [body: unknown, status: number, param: string | null])[] = [
  [{}, 400, "prompt"],
  [{ prompt: [] }, 400, "prompt"],
  [{ prompt: [[1], []] }, 400, "prompt"],
  [{ prompt: [1, "a"] }, 400, "prompt[1]"],
  [{ prompt: [[1, 2], [3, 5000]] }, 400, "prompt[1][1]"],
  [{ prompt: [1, -1] }, 400, "prompt[1]"],
  [{ prompt: [1, 2.5] }, 400, "prompt[1]"],
  [{ prompt: { a: 1 } }, 400, "prompt"],
  [{ prompt: "a", model: "other" }, 404, "model"],
  [{ prompt: "a", temperature: -1 }, 400, "temperature"],
  [{ prompt: "a", temperature: "hot" }, 400, "temperature"],
  [{ prompt: "a", top_p: 1.5 }, 400, "top_p"],
  [{ prompt: "a", n: 0 }, 400, "n"],
  [{ prompt: "a", n: 200 }, 400, "n"],
  [{ prompt: Array(129).fill("a") }, 400, "prompt"],
  [{ prompt: "a", max_tokens: -1 }, 400, "max_tokens"],
  [{ prompt: Array(2048).fill(1) }, 400, "prompt"],
  [{ prompt: "a ".repeat(2000), max_tokens: 1e6, n: 200 }, 400, "n"],
  [{ prompt: "a", max_tokens: 2, min_tokens: 3 }, 400, "min_tokens"],
  [{ prompt: "a".repeat(1e6) }, 400, "prompt"],
  [{ prompt: "a", logprobs: 21 }, 400, "logprobs"],
  [{ prompt: "a", logit_bias: { cat: 1 } }, 400, "logit_bias"],
  [{ prompt: "a", logit_bias: { "9999": 1 } }, 400, "logit_bias"],
  [{ prompt: "a", logit_bias: { "": 1 } }, 400, "logit_bias"],
  [{ prompt: "a", logit_bias: { "0x1": 1 } }, 400, "logit_bias"],
  [{ prompt: "a", logit_bias: { " 1": 1 } }, 400, "logit_bias"],
  [{ prompt: "a", logit_bias: { "1e1": 1 } }, 400, "logit_bias"],
  [{ prompt: "a", echo: true, n: 128, logprobs: 20, max_tokens: 1000 }, 400, "logprobs"],
  [{ prompt: "a", stop: Array(257).fill("x") }, 400, "stop"],
  [{ prompt: "a", stop: Array(5000).fill("x") }, 400, "stop"],
  [{ prompt: "a", n: 3, best_of: 2 }, 400, "best_of"],
  [{ prompt: "a", suffix: "end" }, 400, "suffix"],
  [{ prompt: "a", tools: [{ type: "function" }] }, 400, "tools"],
  [{ prompt: "a", response_format: { type: "xml" } }, 400, "response_format.type"],
  [{ prompt: "a", guided_regex: "(?=a)" }, 400, "guided_regex"],
  [{ prompt: "a", guided_json: "{" }, 400, "guided_json"],
  [{ prompt: "a", guided_json: { not: {} } }, 400, "guided_json.not"],
  [{ prompt: "a", grammar: "root ::= [α-ω]" }, 400, "grammar"],
  [{ prompt: "a", guided_choice: ["a"], guided_regex: "b" }, 400, "guided_choice"],
  [
    {
      prompt: "a",
      response_format: {
        type: "json_schema",
        json_schema: { name: "n", schema: { properties: { a: { type: "int" } } } },
      },
    },
    400,
    "response_format.json_schema.schema.properties.a.type",
  ],
  [[1], 400, null],
  ["{", 400, null],
  ["[".repeat(100_000), 400, null],
];

Deno.test("what a request says wrong is refused with the field, in OpenAI's shape", async () => {
  await using served = await serveFake({});
  for (const [body, status, param] of WRONG) {
    const response = await served.post("/v1/completions", body);
    const what = JSON.stringify(body).slice(0, 80);
    const { error } = await response.json();
    deepStrictEqual([response.status, error.param], [status, param], `${what} ${error.message}`);
    deepStrictEqual(Object.keys(error), ["message", "type", "param", "code"]);
    strictEqual(error.type, "invalid_request_error");
    match(error.message, /^Cannot .*[^.]$/, what);
  }
  strictEqual(served.engine.asked.length, 0);
});

Deno.test("paths may end with a slash", async () => {
  await using served = await serveFake({});
  const body = {
    prompt: "a",
    max_tokens: 1,
    messages: [{ role: "user", content: "a" }],
    input: "a",
  };
  for (const path of ["completions", "chat/completions", "responses", "messages", "embeddings"]) {
    const response = await served.post(`/v1/${path}/`, body);
    await response.body?.cancel();
    strictEqual(response.status, 200, path);
  }
  for (const path of ["/v1/models/", `/v1/models/${MODEL}/`, "/health/", "/metrics/", "/docs/"]) {
    const response = await served.get(path);
    await response.body?.cancel();
    strictEqual(response.status, 200, path);
  }
});

Deno.test("unknown and empty fields are passed over, unless the server is strict", async () => {
  await using served = await serveFake({});
  const body = {
    prompt: "a",
    user: "me",
    chat_id: "x",
    tools: [],
    suffix: null,
    best_of: 1,
    response_format: { type: "text" },
  };
  await complete(served, body);
  await using strict = await serveFake({ options: { strict: true } });
  const response = await strict.post("/v1/completions", body);
  deepStrictEqual([response.status, (await response.json()).error.param], [400, "chat_id"]);
  const { chat_id: _, ...known } = body;
  await complete(strict, known);
});

Deno.test("tokens and texts are turned into each other as the client of lm-eval asks", async () => {
  await using served = await serveFake({});
  const { tokenizer } = served;
  const json = async (path: string, body: unknown) => await (await served.post(path, body)).json();
  const tokens = tokenizer.encode("a cat 🐈");
  const whole = await json("/tokenize", { prompt: "a cat 🐈", add_special_tokens: false });
  deepStrictEqual(whole, { count: tokens.length, max_model_len: 2048, tokens, token_strs: null });
  deepStrictEqual((await json("/tokenize", { content: "a cat 🐈" })).tokens, tokens);
  deepStrictEqual((await json("/tokenize", { prompt: "" })).tokens.length, 1);
  strictEqual((await json("/detokenize", { tokens })).prompt, "a cat 🐈");
  strictEqual((await json("/detokenize", { tokens: [] })).prompt, "");
  strictEqual((await json("/detokenize", { tokens: [1, 9999] })).error.param, "tokens[1]");
  const info = await (await served.get("/tokenizer_info")).json();
  strictEqual(info.eos_token, "<|endoftext|>");
  deepStrictEqual((await json("/tokenize", { prompt: info.eos_token })).tokens, [0]);
  ok(info.chat_template.includes("messages"));
});

Deno.test("`/openapi.json` describes every route that a client may ask", async () => {
  await using served = await serveFake({});
  const document = await (await served.get("/openapi.json")).json();
  strictEqual(document.openapi, "3.1.0");
  for (const path of ["/v1/completions", "/v1/chat/completions", "/v1/models", "/tokenize"]) {
    ok(document.paths[path], path);
  }
  const fields = document.paths["/v1/chat/completions"].post.requestBody.content["application/json"]
    .schema.properties;
  ok(fields.messages && fields.temperature && fields.stream);
  const { description, "x-limits": limits } = document.info;
  deepStrictEqual([limits.maxBody, limits.maxText, limits.readTime], [8 << 20, 1 << 20, 10]);
  match(description, /most bytes of a request: 8388608; .*most answers to one request/);
});

Deno.test("an embedded tokenizer stops at its own end", async () => {
  const tokenizer = await embeddedTokenizer();
  deepStrictEqual(tokenizer.ends, [tokenizer.eos]);
});

Deno.test("more tokens than fit are as many as fit, and refused where the server is strict", async () => {
  await using served = await serveFake({ says: "a b c", context: 64, options: { maxTokens: 40 } });
  const most = async (max_tokens: number) => {
    await complete(served, { prompt: "a", max_tokens });
    return served.engine.asked.at(-1)!.maxTokens;
  };
  strictEqual(await most(1e6), 40);
  strictEqual(await most(7), 7);
  await using strict = await serveFake({ context: 64, options: { strict: true } });
  const response = await strict.post("/v1/completions", { prompt: "a", max_tokens: 64 });
  const { error } = await response.json();
  deepStrictEqual([response.status, error.param], [400, "max_tokens"]);
});

const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
    },
  },
} as const;

Deno.test("openai-node calls functions and goes on with what they give", async () => {
  const says = (prompt: string) =>
    prompt.includes("Result: warm in Rome")
      ? "It is warm in Rome."
      : '[{"name": "get_weather", "arguments": {"city": "Rome"}}]';
  await using served = await serveFake({ says });
  const client = clientOf(served);
  for (const stream of [false, true]) {
    const asked: unknown[] = [];
    const runner = client.chat.completions.runTools({
      model: MODEL,
      stream,
      messages: [{ role: "user", content: "How is the weather in Rome?" }],
      tools: [{
        type: "function",
        function: {
          ...WEATHER.function,
          parse: JSON.parse,
          function: ({ city }: { readonly city: string }) => {
            asked.push(city);
            return `warm in ${city}`;
          },
        },
      }],
    } as never) as { finalContent(): Promise<string | null> };
    strictEqual(await runner.finalContent(), "It is warm in Rome.");
    deepStrictEqual(asked, ["Rome"]);
  }
});

Deno.test("calls come whole or as deltas, and the answer ends by them", async () => {
  const says = 'One moment. <tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n' +
    '</tool_call>\n<tool_call>{"name": "get_weather", "arguments": {"city": "Bonn"}}</tool_call>';
  const template = "{% if tools %}{{ tools | length }} <tool_call>{% endif %}" +
    "{% for m in messages %}{{ m.role }} {{ m.content }} {% for c in m.tool_calls %}" +
    "{{ c.function.arguments.city }}{% endfor %}{% endfor %}";
  await using served = await serveFake({ says, template });
  const client = clientOf(served);
  const messages = [
    { role: "user" as const, content: "hi" },
    {
      role: "assistant" as const,
      content: null,
      tool_calls: [{
        id: "a",
        type: "function" as const,
        function: { name: "get_weather", arguments: '{"city": "Ulm"}' },
      }],
    },
    { role: "tool" as const, tool_call_id: "a", content: "cold" },
  ];
  const body = { model: MODEL, messages, tools: [WEATHER as never] };
  const { choices: [choice] } = await client.chat.completions.create(body);
  strictEqual(choice!.finish_reason, "tool_calls");
  strictEqual(choice!.message.content, "One moment. ");
  const calls = choice!.message.tool_calls!.map((call) =>
    call.type === "function" ? call.function : undefined
  );
  deepStrictEqual(calls, [
    { name: "get_weather", arguments: '{"city":"Oslo"}' },
    { name: "get_weather", arguments: '{"city":"Bonn"}' },
  ]);
  const text = served.tokenizer.decode(served.engine.asked.at(-1)!.prompt);
  match(text, /1 <tool_call>.*Ulm.*tool cold/);

  const runner = client.chat.completions.stream({ ...body, stream: true });
  const final = await runner.finalChatCompletion();
  strictEqual(final.choices[0]!.finish_reason, "tool_calls");
  deepStrictEqual(
    final.choices[0]!.message.tool_calls!.map((call) => (call as { function: object }).function),
    calls,
  );
  const events = await eventsOf(
    await served.post("/v1/chat/completions", { ...body, stream: true }),
  ) as {
    choices: { delta: { tool_calls?: { index: number; function: { arguments: string } }[] } }[];
  }[];
  const deltas = events.flatMap(({ choices: [choice] }) => choice!.delta.tool_calls ?? []);
  for (const index of [0, 1]) {
    const pieces = deltas.filter((delta) => delta.index === index).slice(1)
      .map((delta) => delta.function.arguments);
    strictEqual(pieces.join(""), calls[index]!.arguments);
    ok(pieces.length > 2, `arguments in ${pieces.length} pieces`);
  }
  const none = await client.chat.completions.create({ ...body, tool_choice: "none" });
  strictEqual(none.choices[0]!.message.content, says);
  strictEqual(none.choices[0]!.finish_reason, "stop");
});

Deno.test("what a model must call is held to by a grammar", async () => {
  await using served = await serveFake({
    says: '[{"name": "get_weather", "arguments": {"city": "Oslo"}}]',
  });
  const other = { type: "function", function: { name: "other" } };
  const grammarOf = async (more: object) => {
    const response = await served.post("/v1/chat/completions", {
      messages: [{ role: "user", content: "hi" }],
      tools: [WEATHER, other],
      ...more,
    });
    const json = await response.json();
    strictEqual(response.status, 200, JSON.stringify(json));
    strictEqual(json.choices[0].finish_reason, "tool_calls");
    return served.engine.asked.at(-1)!.grammar;
  };
  strictEqual(await grammarOf({}), undefined);
  const required = (await grammarOf({ tool_choice: "required" }))!;
  ok(required.includes("get_weather") && required.includes("other"));
  const named = (await grammarOf({
    tool_choice: { type: "function", function: { name: "get_weather" } },
  }))!;
  ok(named.includes("get_weather") && !named.includes("other"));
  const one = (await grammarOf({ tool_choice: "required", parallel_tool_calls: false }))!;
  ok(one !== required);
  for (
    const [body, param] of [
      [{ tool_choice: "required" }, "tool_choice"],
      [{ tools: [WEATHER, WEATHER] }, "tools[1].function.name"],
      [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
      [{ tools: [{ type: "function", function: { name: "a b" } }] }, "tools[0].function.name"],
      [
        { tools: [WEATHER], tool_choice: { type: "function", function: { name: "x" } } },
        "tool_choice",
      ],
      [{ tools: [WEATHER], response_format: { type: "json_object" } }, "tools"],
      [
        {
          tools: [{
            type: "function",
            function: { name: "f", parameters: { properties: { a: { not: {} } } } },
          }],
          tool_choice: "required",
        },
        "tools[0].function.parameters.properties.a.not",
      ],
    ] as const
  ) {
    const response = await served.post("/v1/chat/completions", {
      messages: [{ role: "user", content: "hi" }],
      ...body,
    });
    const { error } = await response.json();
    deepStrictEqual([response.status, error.param], [400, param], JSON.stringify(error));
  }
});

Deno.test("what a model thinks before it answers stands by itself", async () => {
  const template = "{{ messages[0].content }}{# </think> #}";
  await using served = await serveFake({ says: "<think>Let me see.</think>\n\nYes.", template });
  const body = { messages: [{ role: "user", content: "hi" }] };
  const { choices: [{ message }] } = await (await served.post("/v1/chat/completions", body)).json();
  deepStrictEqual([message.reasoning_content, message.content], ["Let me see.", "Yes."]);
  const events = await eventsOf(
    await served.post("/v1/chat/completions", { ...body, stream: true }),
  ) as { choices: { delta: Record<string, string> }[] }[];
  const joined = (name: string) =>
    events.map(({ choices: [choice] }) => choice!.delta[name] ?? "").join("");
  deepStrictEqual([joined("reasoning_content"), joined("content")], ["Let me see.", "Yes."]);
});
