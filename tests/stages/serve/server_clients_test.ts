// Clients that wait, come in crowds, leave and stay silent; servers that stop.
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import OpenAI from "openai";
import { EngineError } from "../../../stages/engine/engine.ts";
import { openLog } from "../../../stages/serve/request_log.ts";
import {
  CARD,
  errorOf,
  eventsOf,
  LONG_REQUEST,
  type ServedFake,
  serveFake,
} from "../../support/server_stub.ts";
import { until } from "../../support/wait.ts";

const CHAT = { messages: [{ role: "user", content: "a secret prompt" }] };

/** Whether nothing is held any more, as the gauges say. */
async function atRest({ engine, get }: ServedFake): Promise<boolean> {
  const { running, waiting, pages } = engine.stats();
  const text = await (await get("/metrics")).text();
  const gauge = (name: string) => Number(new RegExp(`^${name}{.*} (\\S+)$`, "m").exec(text)?.[1]);
  const gauges = ["quattuor_requests_running", "vllm:num_requests_waiting", "quattuor_pages_used"];
  return running + waiting + pages.used === 0 && gauges.every((name) => gauge(name) === 0);
}

Deno.test("a full queue answers 429 before a stream begins, and clients try again", async () => {
  await using served = await serveFake({ batch: 1, queue: 1, delay: 20 });
  const controllers = [new AbortController(), new AbortController()];
  const busy = controllers.map(({ signal }) =>
    served.post("/v1/completions", LONG_REQUEST, { signal }).catch(() => {})
  );
  await until(() => served.engine.stats().waiting === 1);
  for (const stream of [false, true]) {
    const response = await served.post("/v1/completions", { ...LONG_REQUEST, stream });
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
  await until(() => atRest(served));
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
  const failed = await errorOf(await served.post("/v1/completions", LONG_REQUEST));
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
  const body = { model: CARD.name, ...LONG_REQUEST, stream: true } as const;
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
  await until(() => served.engine.stats().running === 1);
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
  await until(() => atRest(served));
});

Deno.test("a client that leaves frees what it held: waiting, in its prompt, in its answer", async () => {
  for (const stream of [false, true]) {
    await using served = await serveFake({ batch: 1, delay: 30 });
    for (const place of ["prompt", "answer", "queue"]) {
      const before = served.engine.stats().generatedTokens;
      const first = new AbortController();
      const ask = (signal: AbortSignal) =>
        served.post("/v1/completions", { ...LONG_REQUEST, n: 1, stream }, { signal })
          .then((response) => response.text()).catch(() => {});
      const asked = [ask(first.signal)];
      const second = new AbortController();
      await until(() => served.engine.stats().running === 1);
      if (place === "answer") {
        await until(() => served.engine.stats().generatedTokens > before + 2);
      }
      if (place === "queue") {
        asked.push(ask(second.signal));
        await until(() => served.engine.stats().waiting === 1);
        second.abort();
        await until(() => served.engine.stats().waiting === 0);
        strictEqual(served.engine.stats().running, 1);
      }
      first.abort();
      await Promise.all(asked);
      await until(() => atRest(served));
    }
    const text = await (await served.get("/metrics")).text();
    match(text, /quattuor_requests_total\{.*finished_reason="abort"\} 4/);
  }
});

Deno.test("openai-node stops a stream and its request ends", async () => {
  await using served = await serveFake({ delay: 5 });
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "k" });
  const stream = await client.completions.create({
    model: CARD.name,
    ...LONG_REQUEST,
    stream: true,
  });
  let count = 0;
  for await (const _ of stream) if (++count === 3) break;
  await until(() => atRest(served));
});

Deno.test("one of several answers that cannot be given ends the others", async () => {
  await using served = await serveFake({ batch: 2, queue: 0, delay: 10 });
  const { status } = await errorOf(await served.post("/v1/completions", { ...LONG_REQUEST, n: 3 }));
  strictEqual(status, 429);
  ok(await atRest(served));
  ok(served.engine.stats().generatedTokens < 100, "the others went on to their end");
});

Deno.test("one of many answers that cannot be given is told by a status, also of a stream", async () => {
  const script = () => new Array(500).fill(5);
  await using served = await serveFake({ batch: 119, queue: 0, delay: 1, script });
  for (const path of ["/v1/completions", "/v1/chat/completions"]) {
    const body = { ...LONG_REQUEST, ...CHAT, n: 120, stream: true };
    const response = await served.post(path, body);
    strictEqual(response.status, 429, path);
    strictEqual((await errorOf(response)).code, "queue_full");
    await until(() => atRest(served));
  }
});

Deno.test("a request beyond its time ends, and is not asked again", async () => {
  {
    await using served = await serveFake({ delay: 20, options: { timeout: 0.2 } });
    const response = await served.post("/v1/completions", LONG_REQUEST);
    strictEqual(response.headers.get("x-should-retry"), "false");
    const { status, code } = await errorOf(response);
    deepStrictEqual([status, code], [408, "timeout"]);
    await until(() => atRest(served));
  }
  // Of a stream that has begun, for which a busy machine has this long.
  await using served = await serveFake({ delay: 20, options: { timeout: 3 } });
  const events = await eventsOf(
    await served.post("/v1/completions", { ...LONG_REQUEST, stream: true }),
  );
  strictEqual((events.at(-1)?.["error"] as { code: string }).code, "timeout");
  ok(events.length > 1);
  await until(() => atRest(served));
});

Deno.test("a silent stream is kept alive by comments, which clients pass over", async () => {
  await using served = await serveFake({ says: "x", options: { ping: 0.1 } });
  // The engine answers when enough of silence was heard, however long that takes.
  const answer = served.engine.hold();
  const body = { prompt: "a", max_tokens: 1, stream: true } as const;
  const read = async () => {
    let text = "";
    const { body: bytes } = await served.post("/v1/completions", body);
    for await (const piece of bytes!.pipeThrough(new TextDecoderStream())) {
      text += piece;
      if (text.split(": ping\n\n").length > 3) answer();
    }
    return text;
  };
  const passOver = async () => {
    const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "k" });
    const stream = await client.completions.create({ model: CARD.name, ...body });
    return (await Array.fromAsync(stream)).map(({ choices }) => choices[0]?.text);
  };
  const [text, texts] = await Promise.all([read(), passOver()]);
  match(text, /(: ping\n\n){3,}data: /);
  deepStrictEqual(texts, ["x", ""]);
});

Deno.test("a server that stops finishes what it has, and takes no more", async () => {
  await using served = await serveFake({ delay: 20, says: "one two three four five six seven" });
  const client = served.post("/v1/completions", {
    ...LONG_REQUEST,
    ignore_eos: false,
    stream: true,
  });
  await until(() => served.engine.stats().running === 1);
  const stopped = served.server.stop();
  const refused = await served.post("/v1/completions", LONG_REQUEST);
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
  const whole = served.post("/v1/completions", LONG_REQUEST);
  // One that has begun, so that its end is an event.
  const stream = await served.post("/v1/completions", { ...LONG_REQUEST, stream: true });
  await until(() => served.engine.stats().running === 2);
  await served.server.stop();
  strictEqual((await errorOf(await whole)).status, 503);
  const { error } = (await eventsOf(stream)).at(-1) as { error: { code: string } };
  strictEqual(error.code, "unavailable");
  strictEqual(served.engine.stats().running, 0);
});

Deno.test("a client that does not read holds up neither the engine nor the end", async () => {
  await using served = await serveFake({ script: () => Array(500).fill(5) });
  const { port } = new URL(served.url);
  const lazy = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const body = JSON.stringify({ ...LONG_REQUEST, n: 60, stream: true });
  await lazy.write(new TextEncoder().encode(
    `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`,
  ));
  // More than the sockets between hold.
  await until(() => served.engine.stats().generatedTokens === 60 * 500);
  await until(() => atRest(served));
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
  await until(() => lines.some((line) => line.includes("/v1/completions")));
  const [entry] = lines.map((line) => JSON.parse(line))
    .filter(({ properties }) => properties.path === "/v1/completions");
  strictEqual(entry.properties.status, 499);
  ok(!lines.some((line) => line.includes("failed")), lines.join(""));
});

Deno.test("many clients that come, leave, and send what they must not leave nothing behind", async () => {
  // Answers that take longer than all clients take to come, so that some find the queue full.
  await using served = await serveFake({ batch: 8, queue: 16, delay: 10 });
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
  await until(() => atRest(served));
  // Among so many that leave it is luck who is answered; afterwards whoever comes is.
  const after = await served.post("/v1/completions", { prompt: "a", max_tokens: 3, n: 3 });
  strictEqual(after.status, 200, await after.text());
});
