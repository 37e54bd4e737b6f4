// Slow: readers are started, ended in the middle of their work, and waited for.
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { ReaderPool } from "../../stages/serve/reader_pool.ts";
import { serveOptions } from "../../stages/serve/options.ts";
import { embeddedTokenizer } from "../support/server_stub.ts";
import { until } from "../support/wait.ts";

/** A text that no reader of the tests ever ends with, and a long one. */
const NEVER = "never ends";
const LONG_NEVER = NEVER + " ".repeat(1 << 17);

/** Seconds that nobody waits for, unless something is wrong. */
const FOREVER = 60;

/** Readers that can be stuck; all other threads of the process are what they are. */
const usual = globalThis.Worker;
let started = 0;
globalThis.Worker = class extends usual {
  constructor(url: string | URL, options?: WorkerOptions) {
    const reads = String(url).endsWith("/reader_worker.ts");
    if (reads) started++;
    super(reads ? new URL("../support/stuck_reader.ts", import.meta.url) : url, options);
  }
};

async function openPool(said: Record<string, unknown> = {}) {
  const tokenizer = await embeddedTokenizer(
    "{% for one in messages %}{{ one.content }}{% endfor %}",
  );
  const options = serveOptions.parse({ maxText: 1e7, ...said });
  const pool = new ReaderPool({ tokenizer, card: { name: "m" }, options }, () => 1e7);
  const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const chat = (content: string, more: object = {}) =>
    pool.read("chat", bytes({ messages: [{ role: "user", content }], ...more }));
  return { pool, tokenizer, bytes, chat, [Symbol.dispose]: () => pool[Symbol.dispose]() };
}

Deno.test("a body is read to tokens in another thread, and refused as it was there", async () => {
  using reading = await openPool();
  const { pool, tokenizer, bytes, chat } = reading;
  const { requests, each, stream } = await chat("a cat", { n: 2, stream: true });
  deepStrictEqual(requests.map(({ generation }) => generation.prompt), [
    tokenizer.encode("a cat"),
    tokenizer.encode("a cat"),
  ]);
  deepStrictEqual([each, stream], [2, true]);
  const text = await pool.read("tokenize", bytes({ prompt: "a cat", add_special_tokens: false }));
  deepStrictEqual(JSON.parse(new TextDecoder().decode(text)).tokens, tokenizer.encode("a cat"));
  await rejects(
    pool.read("completions", bytes({ prompt: "a", temperature: -1 })),
    (error: { status: number; body: { error: { param: string } } }) =>
      error.status === 400 && error.body.error.param === "temperature",
  );
});

Deno.test("a body that takes too long ends its reader alone, and another takes its place", async () => {
  using reading = await openPool({ readTime: 1.5, readers: 2 });
  const { chat } = reading;
  const never = rejects(chat(NEVER), { status: 408, message: /took 1\.5 s/ });
  await Promise.all([chat("a"), chat("b"), chat("c")]);
  await never;
  await Promise.all([chat("a"), chat("b")]);
});

Deno.test("large bodies leave a reader for small ones", async () => {
  const { chat, pool } = await openPool({ readTime: FOREVER, readers: 2 });
  const large = [chat(LONG_NEVER), chat(LONG_NEVER)].map((one) => rejects(one, { status: 503 }));
  strictEqual((await chat("a")).requests.length, 1);
  pool[Symbol.dispose]();
  await Promise.all(large);
});

Deno.test("a client that leaves gives its place in the queue back", async () => {
  using reading = await openPool({ readTime: 1.5, readers: 1, maxBody: 2 << 20 });
  const { pool, bytes, chat } = reading;
  const never = rejects(chat(NEVER), { status: 408 });
  const leaving = new AbortController();
  const body = { messages: [{ role: "user", content: "a" }], pad: " ".repeat(1.9e6) };
  const waiting = Array.from(
    { length: 4 },
    () => rejects(pool.read("chat", bytes(body), leaving.signal), /gone/),
  );
  await rejects(pool.read("chat", bytes(body)), { status: 429 });
  leaving.abort(new Error("gone"));
  await Promise.all(waiting);
  const last = pool.read("chat", bytes(body));
  await never;
  strictEqual((await last).requests.length, 1);
});

Deno.test("a pool that is closed refuses what waits", async () => {
  const { pool, chat, bytes } = await openPool({ readTime: FOREVER, readers: 1 });
  const asked = [chat(NEVER), chat("a")].map((one) => rejects(one, { status: 503 }));
  pool[Symbol.dispose]();
  await Promise.all(asked);
  await rejects(pool.read("tokenize", bytes({ prompt: "a" })), { status: 503 });
});

Deno.test("readers are not told the key", async () => {
  const { options } = await serveOptionsOfReader();
  match(JSON.stringify(options), /maxBody/);
  ok(!JSON.stringify(options).includes("a planted secret"));
});

/** What a pool tells a reader when it starts one. */
async function serveOptionsOfReader() {
  const started = globalThis.Worker;
  const told: Record<string, unknown>[] = [];
  globalThis.Worker = class {
    onmessage = null;
    onerror = null;
    postMessage(message: Record<string, unknown>) {
      told.push(message);
    }
    terminate() {}
  } as unknown as typeof Worker;
  try {
    using reading = await openPool({ apiKey: "a planted secret" });
    reading.pool.start();
    const [{ rules }] = told[0]!["models"] as [{ readonly rules: { readonly options: unknown } }];
    return rules;
  } finally {
    globalThis.Worker = started;
  }
}

Deno.test("a reader whose heap has grown gives way to a new one, and the next bodies are read", async () => {
  using reading = await openPool({ readers: 1 });
  const { pool, chat } = reading;
  await chat("a cat");
  const before = started;
  const deep = `{"tokens":[5],"unknown":${"[".repeat(4e6)}${"]".repeat(4e6)}}`;
  await pool.read("detokenize", new TextEncoder().encode(deep));
  await until(() => started > before);
  await chat("a cat");
  strictEqual(started, before + 1);
});
