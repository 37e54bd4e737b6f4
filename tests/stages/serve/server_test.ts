import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import OpenAI from "openai";
import { openLog } from "../../../stages/serve/request_log.ts";
import { startServer } from "../../../stages/serve/server.ts";
import { FakeEngine } from "../../support/engine_stub.ts";
import {
  CARD,
  embeddedTokenizer,
  errorOf,
  LONG_REQUEST,
  type ServedFake,
  serveFake,
} from "../../support/server_stub.ts";
import { until } from "../../support/wait.ts";

const CHAT = { messages: [{ role: "user", content: "a secret prompt" }] };

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
  for (
    const path of [
      "/health",
      "/v1/health",
      "/ready",
      "/",
      "/page/page.js",
      "/page/lib/markdown-it.js",
      "/page/page.css",
    ]
  ) {
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
    const { status } = await errorOf(
      await closed.post("/v1/completions", LONG_REQUEST, { headers }),
    );
    strictEqual(status, 415, type);
  }
  strictEqual(closed.engine.asked.length, 0);
});

/** What a server says to bytes on a connection of their own, until it ends that or some time is over. */
async function sayTo({ url }: ServedFake, text: string, milliseconds = 20_000): Promise<string> {
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
    const text = new TextDecoder().decode(answer);
    match(text, new RegExp(`^HTTP/1.1 ${status} `));
    // Else a client takes up the connection again while the server ends it.
    match(text, /\r\nconnection: close\r\n/i);
  }
  const headers = { authorization: "Bearer k" };
  const whole = await served.post("/tokenize", { prompt: "a" }, { headers });
  deepStrictEqual((await whole.json()).count, 1);
  strictEqual(whole.headers.get("connection"), "keep-alive");
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

Deno.test("long bodies find room on their way, and are refused where there is none", async () => {
  const maxBody = 1 << 20;
  await using served = await serveFake({ options: { maxBody } });
  const { port } = new URL(served.url);
  const long = JSON.stringify({ prompt: "a".repeat(maxBody / 2) });
  const half = new TextEncoder().encode(
    "POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" +
      `content-length: ${maxBody}\r\n\r\n${" ".repeat(maxBody - 1)}`,
  );
  const slow: Deno.Conn[] = [];
  try {
    strictEqual((await served.post("/tokenize", long)).status, 200);
    for (let count = 0; count < 8; count++) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
      slow.push(connection);
      for (let at = 0; at < half.length;) at += await connection.write(half.subarray(at));
    }
    await until(async () => (await served.post("/tokenize", long)).status === 429);
    strictEqual((await errorOf(await served.post("/tokenize", long))).code, "queue_full");
    strictEqual((await served.post("/tokenize", { prompt: "a" })).status, 200);
  } finally {
    for (const connection of slow) connection.close();
  }
  await until(async () => (await served.post("/tokenize", long)).status === 200);
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
  await (await served.post("/v1/completions", LONG_REQUEST)).text();
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
      ["vllm:spec_decode_num_drafts_total", labels, 3],
      ["vllm:spec_decode_num_draft_tokens_total", labels, 12],
      ["vllm:spec_decode_num_accepted_tokens_total", labels, 7],
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
