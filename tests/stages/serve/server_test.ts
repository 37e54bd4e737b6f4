import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import OpenAI from "openai";
import { EngineError } from "../../../stages/engine/engine.ts";
import { openLog } from "../../../stages/serve/request_log.ts";
import { startServer } from "../../../stages/serve/server.ts";
import { FakeEngine } from "../../support/engine_stub.ts";
import {
  CARD,
  embeddedTokenizer,
  eventsOf,
  type ServedFake,
  serveFake,
} from "../../support/server_stub.ts";

const CHAT = { messages: [{ role: "user", content: "a secret prompt" }] };
const LONG = { prompt: "a secret prompt", max_tokens: 500, ignore_eos: true };

/** Waits until something holds; a test that waits for ever is a hang, so it gives up. */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`It did not come to this: ${what}`);
}

/** Whether nothing is held any more, as the gauges say. */
async function atRest({ engine, get }: ServedFake): Promise<boolean> {
  const { running, waiting, pages } = engine.stats();
  const text = await (await get("/metrics")).text();
  const gauge = (name: string) => Number(new RegExp(`^${name}{.*} (\\S+)$`, "m").exec(text)?.[1]);
  const gauges = ["quattuor_requests_running", "vllm:num_requests_waiting", "quattuor_pages_used"];
  return running + waiting + pages.used === 0 && gauges.every((name) => gauge(name) === 0);
}

async function errorOf(response: Response) {
  const { error } = await response.json();
  return { status: response.status, ...error };
}

Deno.test("a server that others reach needs a key", async () => {
  const parts = {
    engine: new FakeEngine({ size: 1024 }),
    tokenizer: await embeddedTokenizer(),
    card: CARD,
  };
  for (const host of ["0.0.0.0", "::", "192.0.2.1", "example.org"]) {
    await rejects(startServer({ ...parts, options: { host, port: 0 } }), {
      message: `Cannot listen at "${host}": others can reach it and there is no API key, ` +
        "expected one; set QUATTUOR_API_KEY or say --api-key-file, or listen at 127.0.0.1",
    });
  }
  await using server = await startServer({
    ...parts,
    options: { host: "0.0.0.0", port: 0, apiKey: "k" },
  });
  match(server.url, /^http:\/\/0\.0\.0\.0:\d+$/);
  Deno.env.set("QUATTUOR_API_KEY", "from the environment");
  try {
    await using quiet = await startServer({ ...parts, options: { port: 0 } });
    const ask = (key: string) =>
      fetch(`${quiet.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    const answers = [await ask("from the environment"), await ask("another")];
    deepStrictEqual(answers.map(({ status }) => status), [200, 401]);
    for (const { body } of answers) await body?.cancel();
  } finally {
    Deno.env.delete("QUATTUOR_API_KEY");
  }
});

Deno.test("a server that cannot listen, or is told nonsense, says so in a sentence", async () => {
  await using first = await serveFake({});
  const port = Number(new URL(first.url).port);
  await rejects(serveFake({ options: { port } }), {
    message: `Cannot listen at 127.0.0.1:${port}: the port is taken, expected a free one; ` +
      "say --port, or 0 for any",
  });
  await rejects(serveFake({ options: { host: "192.0.2.1", apiKey: "k" } }), {
    message: "Cannot listen at 192.0.2.1: this machine has no such address, " +
      "expected one of its own",
  });
  await rejects(
    serveFake({ options: { timeout: -1 } }),
    /^TypeError: Cannot serve with "timeout": /,
  );
});

Deno.test("with a key everything is closed but health and the page", async () => {
  await using served = await serveFake({ options: { apiKey: "right" } });
  const status = async (path: string, key?: string, method = "GET") => {
    const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(`${served.url}${path}`, { method, headers });
    await response.body?.cancel();
    return response.status;
  };
  for (const path of ["/health", "/v1/health", "/ready", "/", "/page.js", "/page.css"]) {
    strictEqual(await status(path), 200, path);
  }
  const closed = ["/v1/models", "/metrics", "/status", "/version", "/tokenizer_info", "/nothing"];
  for (const path of [...closed, "/openapi.json"]) {
    for (const key of [undefined, "", "wrong", "righ", "right2"]) {
      strictEqual(await status(path, key), 401, `${path} ${key}`);
    }
  }
  strictEqual(await status("/v1/models", "right"), 200);
  const refused = await errorOf(await served.post("/tokenize", { prompt: "a" }));
  deepStrictEqual([refused.type, refused.code], ["invalid_request_error", "invalid_api_key"]);
  match(refused.message, /auth_token=<key>/);
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "wrong", maxRetries: 0 });
  await rejects(client.models.list(), OpenAI.AuthenticationError);
});

Deno.test("a server without a key is asked by the names of this machine only", async () => {
  await using served = await serveFake({ options: { hosts: ["box.lan"] } });
  const { port } = new URL(served.url);
  const ask = async (host: string) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    const request = `GET /v1/models HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`;
    await connection.write(new TextEncoder().encode(request));
    const text = await new Response(connection.readable).text();
    return text.split(" ")[1];
  };
  const names = [`localhost:${port}`, "127.0.0.1", "[::1]:1", "box.lan", "rebound.example"];
  deepStrictEqual(await Promise.all(names.map(ask)), ["200", "200", "200", "200", "403"]);
});

Deno.test("pages of other sites may ask only where they are listed, and only with JSON", async () => {
  await using closed = await serveFake({});
  const preflight = async ({ url }: ServedFake, origin: string) => {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });
    await response.body?.cancel();
    return response.headers.get("access-control-allow-origin");
  };
  strictEqual(await preflight(closed, "https://a.example"), null);
  await using open = await serveFake({ options: { origins: ["https://a.example"], apiKey: "k" } });
  strictEqual(await preflight(open, "https://a.example"), "https://a.example");
  strictEqual(await preflight(open, "https://b.example"), null);
  // A page must be able to read why it was refused.
  const refused = await open.post("/v1/completions", {}, {
    headers: { origin: "https://a.example", authorization: "Bearer k" },
  });
  strictEqual(refused.headers.get("access-control-allow-origin"), "https://a.example");
  strictEqual((await errorOf(refused)).status, 400);
  // What a form or a script can send elsewhere without asking first.
  for (const type of ["text/plain", "application/x-www-form-urlencoded", ""]) {
    const headers = { "content-type": type };
    const { status } = await errorOf(await closed.post("/v1/completions", LONG, { headers }));
    strictEqual(status, 415, type);
  }
  strictEqual(closed.engine.asked.length, 0);
});

/** What a server says to bytes on a connection of their own, until it ends that or some time is over. */
async function sayTo({ url }: ServedFake, text: string, milliseconds = 2000): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(url).port) });
  await connection.write(new TextEncoder().encode(text));
  const chunk = new Uint8Array(1 << 16);
  let [said, going] = ["", true];
  const timer = setTimeout(() => (going = false, connection.close()), milliseconds);
  for (;;) {
    const count = await connection.read(chunk).catch(() => null);
    if (count === null) break;
    said += new TextDecoder().decode(chunk.subarray(0, count));
  }
  clearTimeout(timer);
  return going ? `${said} [ended]` : said;
}

Deno.test("a Host that is no name is the client's fault, and no failure in the log", async () => {
  const lines: string[] = [];
  await using _log = await openLog((line) => lines.push(line));
  await using served = await serveFake();
  for (const host of ["a b", "[::1", "%zz", "a:b", "localhost:99999", "http://["]) {
    const text = `GET /v1/models HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`;
    const said = await sayTo(served, text);
    match(said, /^HTTP\/1\.1 400 [^]*"message":"Cannot [^]*"code":"malformed_request"/, host);
  }
  ok(!lines.some((line) => line.includes("failed")), lines.join(""));
});

Deno.test("HEAD tells the length of what GET gives", async () => {
  await using served = await serveFake();
  for (const path of ["/health", "/v1/models", "/", "/openapi.json", "/tokenizer_info"]) {
    const whole = await served.get(path);
    const { byteLength } = await whole.arrayBuffer();
    const head = await served.get(path, { method: "HEAD" });
    strictEqual(head.status, whole.status);
    strictEqual(Number(head.headers.get("content-length")), byteLength, path);
    strictEqual((await head.arrayBuffer()).byteLength, 0);
  }
});

Deno.test("a connection that does not send its headers is ended", async () => {
  await using served = await serveFake({ options: { headerTime: 0.5 } });
  for (const text of ["", "GET /health HTT", "GET /health HTTP/1.1\r\nhost: local"]) {
    match(await sayTo(served, text, 10_000), /^HTTP\/1\.1 408 [^]*\[ended\]$/, text);
  }
});

Deno.test("what is sent behind a refusal is not taken without end", async () => {
  await using served = await serveFake({ options: { maxBody: 2048, apiKey: "k" } });
  const { port } = new URL(served.url);
  const piece = new TextEncoder().encode(`10000\r\n${" ".repeat(65536)}\r\n`);
  for (
    const [status, head] of [
      [413, "authorization: Bearer k\r\ncontent-type: application/json"],
      [415, "authorization: Bearer k\r\ncontent-type: text/plain"],
      [401, "content-type: application/json"],
    ] as const
  ) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    await connection.write(new TextEncoder().encode(
      `POST /tokenize HTTP/1.1\r\nhost: localhost\r\n${head}\r\ntransfer-encoding: chunked\r\n\r\n`,
    ));
    const answer = new Uint8Array(400);
    const reading = connection.read(answer);
    const start = performance.now();
    const sending = async () => {
      while (performance.now() - start < 20_000) await connection.write(piece);
    };
    await rejects(sending());
    await reading;
    match(new TextDecoder().decode(answer), new RegExp(`^HTTP/1.1 ${status} `));
  }
});

Deno.test("a body beyond the limit is refused, whether or not it says its length", async () => {
  await using served = await serveFake({ options: { maxBody: 2048 } });
  const long = JSON.stringify({ prompt: "a".repeat(3000) });
  const said = await errorOf(await served.post("/v1/completions", long));
  deepStrictEqual([said.status, said.code], [413, "body_too_large"]);
  const body = ReadableStream.from([long.slice(0, 1000), long.slice(1000)])
    .pipeThrough(new TextEncoderStream());
  const headers = { "content-type": "application/json" };
  const unsaid = await fetch(`${served.url}/v1/completions`, { method: "POST", body, headers });
  deepStrictEqual((await errorOf(unsaid)).status, 413);
});

Deno.test("a body that does not come is not waited for without end", async () => {
  await using served = await serveFake({ options: { timeout: 0.2 } });
  const { port } = new URL(served.url);
  using slow = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  await slow.write(new TextEncoder().encode(
    "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" +
      'content-length: 100\r\n\r\n{"prompt',
  ));
  const answer = new Uint8Array(200);
  await slow.read(answer);
  match(new TextDecoder().decode(answer), /^HTTP\/1\.1 408 /);
});

Deno.test("a full queue answers 429 before a stream begins, and clients try again", async () => {
  await using served = await serveFake({ batch: 1, queue: 1, delay: 20 });
  const controllers = [new AbortController(), new AbortController()];
  const busy = controllers.map(({ signal }) =>
    served.post("/v1/completions", LONG, { signal }).catch(() => {})
  );
  await until("one runs and one waits", () => served.engine.stats().waiting === 1);
  for (const stream of [false, true]) {
    const response = await served.post("/v1/completions", { ...LONG, stream });
    match(response.headers.get("retry-after")!, /^\d+$/);
    match(response.headers.get("content-type")!, /^application\/json/);
    const { status, type, code } = await errorOf(response);
    deepStrictEqual([status, type, code], [429, "rate_limit_error", "queue_full"]);
  }
  const before = served.engine.asked.length;
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "k", maxRetries: 1 });
  await rejects(
    client.completions.create({ model: CARD.name, prompt: "a" }),
    OpenAI.RateLimitError,
  );
  strictEqual(served.engine.asked.length - before, 2, "it did not try again");
  for (const controller of controllers) controller.abort();
  await Promise.all(busy);
  await until("all is free", () => atRest(served));
});

Deno.test("an engine that refuses after a while still answers a stream by a status", async () => {
  await using served = await serveFake({});
  served.engine.generate = async function* () {
    await new Promise((resolve) => setTimeout(resolve, 300));
    yield* [];
    throw new EngineError("full", "Cannot take a request: 8 wait already");
  };
  const response = await served.post("/v1/chat/completions", { ...CHAT, stream: true });
  strictEqual((await errorOf(response)).status, 429);
});

Deno.test("an engine that loads, fails or has gone answers 503 or 500 in the same shape", async () => {
  await using served = await serveFake({ delay: 5 });
  served.engine.state = "loading";
  const loading = await served.post("/v1/chat/completions", CHAT);
  ok(loading.headers.has("retry-after"));
  const error = await errorOf(loading);
  deepStrictEqual([error.status, error.type], [503, "service_unavailable_error"]);
  const health = async () =>
    await Promise.all(["/health", "/ready"].map(async (path) => {
      const response = await served.get(path);
      await response.body?.cancel();
      return response.status;
    }));
  deepStrictEqual(await health(), [503, 503]);
  served.engine.state = "ready";
  deepStrictEqual(await health(), [200, 200]);
  served.engine.failure = new EngineError("failed", "Cannot go on: the device was lost");
  const failed = await errorOf(await served.post("/v1/completions", LONG));
  deepStrictEqual(failed, {
    status: 500,
    message: "Cannot go on: the device was lost",
    type: "server_error",
    param: null,
    code: "engine_failed",
  });
});

Deno.test("a failure within a stream is an event, then the end", async () => {
  await using served = await serveFake({ delay: 5 });
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "k", maxRetries: 0 });
  const body = { model: CARD.name, ...LONG, stream: true } as const;
  const seen: string[] = [];
  await rejects(async () => {
    for await (const chunk of await client.completions.create(body)) {
      seen.push(chunk.choices[0]!.text);
      served.engine.failure = new EngineError("failed", "Cannot go on: the device was lost");
    }
  }, (error) => error instanceof OpenAI.APIError && /device was lost/.test(error.message));
  ok(seen.length > 0);
  served.engine.failure = undefined;
  const response = await served.post("/v1/completions", body);
  await until("it runs", () => served.engine.stats().running === 1);
  served.engine.failure = new EngineError("failed", "Cannot go on: the device was lost");
  const events = await eventsOf(response);
  deepStrictEqual(events.at(-1), {
    error: {
      message: "Cannot go on: the device was lost",
      type: "server_error",
      param: null,
      code: "engine_failed",
    },
  });
  await until("all is free", () => atRest(served));
});

Deno.test("a client that leaves frees what it held: waiting, in its prompt, in its answer", async () => {
  for (const stream of [false, true]) {
    await using served = await serveFake({ batch: 1, delay: 30 });
    for (const place of ["prompt", "answer", "queue"]) {
      const before = served.engine.stats().generatedTokens;
      const first = new AbortController();
      const ask = (signal: AbortSignal) =>
        served.post("/v1/completions", { ...LONG, n: 1, stream }, { signal })
          .then((response) => response.text()).catch(() => {});
      const asked = [ask(first.signal)];
      const second = new AbortController();
      await until("it runs", () => served.engine.stats().running === 1);
      if (place === "answer") {
        await until("it answers", () => served.engine.stats().generatedTokens > before + 2);
      }
      if (place === "queue") {
        asked.push(ask(second.signal));
        await until("one waits", () => served.engine.stats().waiting === 1);
        second.abort();
        await until("none waits", () => served.engine.stats().waiting === 0);
        strictEqual(served.engine.stats().running, 1);
      }
      first.abort();
      await Promise.all(asked);
      await until(`all is free: ${place}`, () => atRest(served));
    }
    const text = await (await served.get("/metrics")).text();
    match(text, /quattuor_requests_total\{.*finished_reason="abort"\} 4/);
  }
});

Deno.test("openai-node stops a stream and its request ends", async () => {
  await using served = await serveFake({ delay: 5 });
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "k" });
  const stream = await client.completions.create({ model: CARD.name, ...LONG, stream: true });
  let count = 0;
  for await (const _ of stream) if (++count === 3) break;
  await until("all is free", () => atRest(served));
});

Deno.test("one of several answers that cannot be given ends the others", async () => {
  await using served = await serveFake({ batch: 2, queue: 0, delay: 10 });
  const { status } = await errorOf(await served.post("/v1/completions", { ...LONG, n: 3 }));
  strictEqual(status, 429);
  ok(await atRest(served));
  ok(served.engine.stats().generatedTokens < 100, "the others went on to their end");
});

Deno.test("a request beyond its time ends, and is not asked again", async () => {
  await using served = await serveFake({ delay: 20, options: { timeout: 0.2 } });
  const response = await served.post("/v1/completions", LONG);
  strictEqual(response.headers.get("x-should-retry"), "false");
  const { status, code } = await errorOf(response);
  deepStrictEqual([status, code], [408, "timeout"]);
  const events = await eventsOf(await served.post("/v1/completions", { ...LONG, stream: true }));
  strictEqual((events.at(-1)?.["error"] as { code: string }).code, "timeout");
  ok(events.length > 1);
  await until("all is free", () => atRest(served));
});

Deno.test("a silent stream is kept alive by comments, which clients pass over", async () => {
  await using served = await serveFake({ delay: 900, says: "x", options: { ping: 0.1 } });
  const body = { prompt: "a", max_tokens: 1, stream: true };
  const text = await (await served.post("/v1/completions", body)).text();
  ok(text.split(": ping\n\n").length > 3, text);
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "k" });
  const texts = [];
  const stream = await client.completions.create({ model: CARD.name, ...body, stream: true });
  for await (const chunk of stream) texts.push(chunk.choices[0]?.text);
  deepStrictEqual(texts, ["x", ""]);
});

Deno.test("a server that stops finishes what it has, and takes no more", async () => {
  await using served = await serveFake({ delay: 20, says: "one two three four five six seven" });
  const client = served.post("/v1/completions", { ...LONG, ignore_eos: false, stream: true });
  await until("it runs", () => served.engine.stats().running === 1);
  const stopped = served.server.stop();
  const refused = await served.post("/v1/completions", LONG);
  ok(refused.headers.has("retry-after"));
  strictEqual((await errorOf(refused)).status, 503);
  const states = await Promise.all(["/health", "/ready"].map((path) => served.get(path)));
  deepStrictEqual(states.map(({ status }) => status), [200, 503]);
  for (const { body } of states) await body?.cancel();
  const texts = (await eventsOf(await client)).map((event) =>
    (event["choices"] as { text: string }[])[0]?.text
  );
  strictEqual(texts.join(""), "one two three four five six seven");
  await stopped;
  await served.server.finished;
  await rejects(served.get("/health"));
});

Deno.test("a server that stops gives up what takes longer than it waits", async () => {
  await using served = await serveFake({ delay: 50, options: { drain: 0.3 } });
  const whole = served.post("/v1/completions", LONG);
  const stream = served.post("/v1/completions", { ...LONG, stream: true });
  await until("both run", () => served.engine.stats().running === 2);
  await served.server.stop();
  strictEqual((await errorOf(await whole)).status, 503);
  const { error } = (await eventsOf(await stream)).at(-1) as { error: { code: string } };
  strictEqual(error.code, "unavailable");
  strictEqual(served.engine.stats().running, 0);
});

Deno.test("a client that does not read holds up neither the engine nor the end", async () => {
  await using served = await serveFake({ script: () => Array(500).fill(5) });
  const { port } = new URL(served.url);
  const lazy = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const body = JSON.stringify({ ...LONG, n: 60, stream: true });
  await lazy.write(new TextEncoder().encode(
    `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`,
  ));
  // More than the sockets between hold.
  await until("it is answered", () => served.engine.stats().generatedTokens === 60 * 500);
  await until("all is free", () => atRest(served));
  const start = performance.now();
  await served.server.stop();
  // Requests under way would have 30.
  ok(performance.now() - start < 15_000, `it took ${performance.now() - start} ms`);
  await served.server.finished;
  lazy.close();
});

Deno.test("a process that is asked to end finishes its streams first", async () => {
  const program = new URL("../../support/server_stub.ts", import.meta.url);
  const args = ["run", "-A", program.href, "0"];
  const command = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "piped" });
  await using child = command.spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const url = (await lines.read()).value!.trim();
  const body = JSON.stringify({ prompt: "a", max_tokens: 40, stream: true });
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/v1/completions`, { method: "POST", body, headers });
  child.kill("SIGTERM");
  const events = await eventsOf(response);
  ok(events.length > 10);
  strictEqual((await child.status).code, 0);
  await lines.cancel();
  // Cleanup that hangs on signals that also come after success would be told of here.
  strictEqual(await new Response(child.stderr).text(), "");
});

Deno.test("the log has a line a request with its figures, and never what was asked", async () => {
  const lines: string[] = [];
  await using _log = await openLog((line) => lines.push(line));
  await using served = await serveFake({ says: "a secret answer", delay: 2 });
  const bodies = [CHAT, { ...CHAT, stream: true }, { ...CHAT, temperature: "secret" }];
  for (const body of bodies) {
    await (await served.post("/v1/chat/completions?secret=1", body, {
      headers: { "x-request-id": "mine-1" },
    })).text();
  }
  await (await served.post("/v1/completions", '{"prompt": "a secret')).text();
  served.engine.generate = () => {
    throw new Error("a bug");
  };
  await (await served.post("/v1/completions", LONG)).text();
  const entries = lines.map((line) => JSON.parse(line));
  const requests = entries.filter(({ properties }) => properties.status !== undefined)
    .map(({ properties }) => properties);
  deepStrictEqual(requests.map(({ status }) => status), [200, 200, 400, 400, 500]);
  for (const { id, finish, answerTokens, promptTokens, path, ms } of requests.slice(0, 2)) {
    deepStrictEqual([id, finish, path], ["mine-1", "stop", "/v1/chat/completions"]);
    strictEqual(answerTokens, served.tokenizer.encode("a secret answer").length + 1);
    ok(promptTokens > 0 && ms >= 0);
  }
  match(JSON.stringify(entries), /Error: a bug/);
  ok(!lines.some((line) => line.includes("secret")), lines.join(""));
});

Deno.test("a client that goes while it sends is no failure of the server", async () => {
  const lines: string[] = [];
  await using _log = await openLog((line) => lines.push(line));
  await using served = await serveFake();
  const { hostname, port } = new URL(served.url);
  {
    using client = await Deno.connect({ hostname, port: Number(port) });
    const head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n" +
      "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n";
    await client.write(new TextEncoder().encode(`${head}{"prompt": "a`));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await until("it is told of", () => lines.some((line) => line.includes("/v1/completions")));
  const [entry] = lines.map((line) => JSON.parse(line))
    .filter(({ properties }) => properties.path === "/v1/completions");
  strictEqual(entry.properties.status, 499);
  ok(!lines.some((line) => line.includes("failed")), lines.join(""));
});

Deno.test("figures count what happened, under our names and vLLM's", async () => {
  await using served = await serveFake({ says: "one two three" });
  const tokens = served.tokenizer.encode("one two three").length + 1;
  await (await served.post("/v1/completions", { prompt: "a", max_tokens: 20 })).text();
  await (await served.post("/v1/completions", { prompt: "a", max_tokens: 2, stream: true })).text();
  await (await served.get("/nowhere")).text();
  const text = await (await served.get("/metrics")).text();
  const labels = `{model_name="org/fake-1",engine="0"}`;
  const ended = (reason: string) => labels.replace("}", `,finished_reason="${reason}"}`);
  for (
    const [name, labelled, value] of [
      ["quattuor_generated_tokens_total", labels, tokens + 2],
      ["vllm:generation_tokens_total", labels, tokens + 2],
      ["vllm:prompt_tokens_total", labels, 2],
      ["vllm:time_to_first_token_seconds_count", labels, 2],
      ["vllm:inter_token_latency_seconds_count", labels, tokens - 1 + 1],
      ["vllm:request_queue_time_seconds_count", labels, 2],
      ["vllm:request_prefill_time_seconds_count", labels, 2],
      ["vllm:request_inference_time_seconds_count", labels, 2],
      ["vllm:request_generation_tokens_sum", labels, tokens + 2],
      ["quattuor_requests_total", ended("stop"), 1],
      ["vllm:request_success_total", ended("length"), 1],
      ["vllm:kv_cache_usage_perc", labels, 0],
      ["quattuor_http_requests_total", `{route="/v1/completions",status="200"}`, 2],
      ["quattuor_http_requests_total", `{route="other",status="404"}`, 1],
    ] as const
  ) {
    ok(text.includes(`\n${name}${labelled} ${value}\n`), `${name}${labelled} ${value}`);
  }
});

Deno.test("many clients that come, leave, and send what they must not leave nothing behind", async () => {
  await using served = await serveFake({ batch: 8, queue: 16, delay: 1 });
  const statuses = new Map<number, number>();
  const client = async (at: number) => {
    const body = at % 7 === 0
      ? "{broken"
      : { prompt: "a", max_tokens: 30, stream: at % 2 === 0, n: 1 + at % 3 };
    const signal = at % 3 === 0 ? AbortSignal.timeout(1 + at % 40) : new AbortController().signal;
    try {
      const response = await served.post("/v1/completions", body, { signal });
      await response.text();
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    } catch (error) {
      strictEqual((error as Error).name, "TimeoutError");
    }
  };
  await Promise.all(Array.from({ length: 200 }, (_, at) => client(at)));
  ok([...statuses.keys()].every((status) => [200, 400, 429].includes(status)), `${[...statuses]}`);
  ok(statuses.get(400) && statuses.get(429), `${[...statuses]}`);
  await until("all is free", () => atRest(served));
  // Among so many that leave it is luck who is answered; afterwards whoever comes is.
  const after = await served.post("/v1/completions", { prompt: "a", max_tokens: 3, n: 3 });
  strictEqual(after.status, 200, await after.text());
});
