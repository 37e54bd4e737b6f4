/**
 * Many clients that come, leave, read slowly and send what they must not, against a server at work.
 *
 * deno run -A tests/slow/serve_soak.ts [URL] [--seconds 300] [--clients 200] [--hostile 10] [--seed 1]
 *     [--model WHAT] [--store DIRECTORY]
 *
 * Without a URL it starts `serve WHAT`, the embedded model unless said, watches how much memory that
 * process has resident, and has it end by SIGTERM. So many of the clients are hostile: they send what
 * is heaviest (`heavy_requests.ts`). Every answer must be whole or an error in the documented shape,
 * what is asked without chance must be answered as it was when nobody else asked, and in the end the
 * server must hold nothing: its gauges are 0, and no more memory than early on. Ends with status 1 and
 * the first reasons where something was wrong.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { askAsAgent } from "../support/agent_ways.ts";
import { type HeavyRequest, heavyRequests } from "../support/heavy_requests.ts";

const STATUSES = new Set([200, 400, 404, 405, 408, 413, 415, 429, 503]);
const GAUGES = [
  ...["requests_running", "requests_waiting", "waiting_tokens", "pages_used"]
    .map((name) => `quattuor_${name}`),
  ...["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"]
    .map((name) => `vllm:${name}`),
];

/** What a stream may be told of instead of its end. */
const CUT_OFF = new Set(["timeout", "unavailable"]);

/** Resident memory may be more in the end than after a fifth of the time by this. */
const MORE = { factor: 1.25, bytes: 50e6 };

/** Tokens of the longest prompt of the embedded model that leaves room for one more. */
const HEAVY_TOKENS = 501;

/** Prompts whose answers are known. */
const PROMPTS = ["The", "A dog", "the cat sat on", "Once upon a time there was"];

interface Client {
  readonly url: string;
  /** Likeliest answers to `PROMPTS`, as they were when nobody else asked. */
  readonly known: readonly string[];
  readonly heavy: readonly HeavyRequest[];
  readonly random: (below: number) => number;
  readonly seen: (what: string) => void;
  readonly wrong: (what: string) => void;
}

/**
 * Connections that nobody uses are left in half of the time after which the server leaves them: whoever
 * takes one up at that very moment sends into the void, in any client of HTTP.
 */
const POOL = Deno.createHttpClient({ poolIdleTimeout: 30_000 });

const HEADERS = { "content-type": "application/json" };

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Numbers that a seed repeats (xorshift). */
function randomOf(seed: number): (below: number) => number {
  let state = seed * 2654435761 >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state % below;
  };
}

function requestOf({ random }: Client): readonly [path: string, body: Record<string, unknown>] {
  const text = "The cat sat on the mat. ".repeat(1 + random(20));
  const shared = {
    max_tokens: 1 + random(60),
    stream: random(2) === 0,
    n: 1 + random(3),
    temperature: random(2),
    ...random(4) === 0 ? { stop: ["the", "\n\n"] } : {},
    ...random(4) === 0 ? { stream_options: { include_usage: true } } : {},
  };
  if (random(2) === 0) {
    return ["/v1/chat/completions", { ...shared, messages: [{ role: "user", content: text }] }];
  }
  return ["/v1/completions", {
    ...shared,
    prompt: random(2) === 0 ? text : [text, "A dog"],
    ...random(3) === 0 ? { echo: true, logprobs: 1 } : {},
  }];
}

/** Reads an answer to its end and says what is wrong with it. */
async function check(client: Client, response: Response, slow: boolean): Promise<void> {
  client.seen(String(response.status));
  if (!STATUSES.has(response.status)) client.wrong(`status ${response.status}`);
  let text = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (slow) await pause(client.random(50));
  }
  const streamed = response.headers.get("content-type")?.startsWith("text/event-stream");
  if (streamed) {
    if (!text.endsWith("data: [DONE]\n\n")) client.wrong(`a stream ends ${text.slice(-80)}`);
    for (const line of text.split("\n\n").slice(0, -2)) {
      if (line.startsWith(":")) continue;
      const event = JSON.parse(line.replace(/^data: /, ""));
      if (Array.isArray(event.choices)) continue;
      if (!isError(event) || !CUT_OFF.has(event.error.code)) client.wrong(`an event is ${line}`);
      client.seen(`cut off: ${event.error?.code}`);
    }
    return;
  }
  const json = JSON.parse(text);
  if (response.ok) {
    if (!Array.isArray(json.choices)) client.wrong(`an answer is ${text.slice(0, 80)}`);
    return;
  }
  if (!isError(json)) client.wrong(`an error is ${text.slice(0, 80)}`);
}

/** Whether something is an error as OpenAI lays it out. */
function isError({ error }: { readonly error?: Readonly<Record<string, unknown>> }): boolean {
  return error !== undefined && Object.keys(error).join() === "message,type,param,code" &&
    typeof error["message"] === "string" && /^Cannot .*[^.]$/.test(error["message"]) &&
    typeof error["type"] === "string";
}

async function post(client: Client, path: string, body: unknown, init: RequestInit = {}) {
  return await fetch(`${client.url}${path}`, {
    client: POOL,
    method: "POST",
    headers: HEADERS,
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });
}

/** The likeliest answer to one of the prompts; undefined where the server has no room for it. */
async function likeliest(url: string, at: number): Promise<string | undefined> {
  const body = JSON.stringify({ prompt: PROMPTS[at], max_tokens: 24, temperature: 0 });
  const response = await fetch(`${url}/v1/completions`, {
    client: POOL,
    method: "POST",
    headers: HEADERS,
    body,
  });
  const { choices } = await response.json();
  return response.ok ? choices[0].text : undefined;
}

/** Sends what is heaviest, and looks at how the answer begins and ends. */
async function hostile(client: Client): Promise<void> {
  const { what, path, body, status } = client.heavy[client.random(client.heavy.length)]!;
  const response = await post(client, path, body);
  client.seen(`hostile: ${response.status}`);
  if (![status, 408, 429, 503].includes(response.status)) {
    client.wrong(`${what}: status ${response.status}`);
  }
  let end = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    end = (end + piece).slice(-16);
  }
  const streamed = response.headers.get("content-type")?.startsWith("text/event-stream");
  if (!end.endsWith(streamed ? "data: [DONE]\n\n" : "}")) client.wrong(`${what} ends ${end}`);
}

const WAYS: readonly ((client: Client) => Promise<void>)[] = [
  async (client) => await check(client, await post(client, ...requestOf(client)), false),
  async (client) => await check(client, await post(client, ...requestOf(client)), true),
  async function agent(client) {
    await askAsAgent({ ...client, post: (path, body, init) => post(client, path, body, init) });
  },
  async function known(client) {
    const at = client.random(PROMPTS.length);
    const text = await likeliest(client.url, at);
    client.seen(text === undefined ? "known: refused" : "known");
    if (text !== undefined && text !== client.known[at]) {
      client.wrong(`"${PROMPTS[at]}" goes on "${text}", expected "${client.known[at]}"`);
    }
  },
  async function leave(client) {
    const signal = AbortSignal.timeout(1 + client.random(400));
    try {
      await check(client, await post(client, ...requestOf(client), { signal }), false);
    } catch (error) {
      if ((error as Error).name !== "TimeoutError") throw error;
      client.seen("left");
    }
  },
  async function malformed(client) {
    const bodies = [
      "{",
      "[]",
      "null",
      '{"prompt": 1}',
      '{"prompt": [[1], "a"]}',
      "\u0000".repeat(99),
    ];
    const body = bodies[client.random(bodies.length)]!;
    await check(client, await post(client, "/v1/completions", body), false);
  },
  async function oversized(client) {
    const body = JSON.stringify({ prompt: "a".repeat(9 << 20) });
    try {
      await check(client, await post(client, "/v1/completions", body), false);
    } catch (error) {
      // The server may hang up before it was all sent.
      if (!(error instanceof TypeError)) throw error;
      client.seen("hung up");
    }
  },
  async function halfSent(client) {
    const { hostname, port } = new URL(client.url);
    using connection = await Deno.connect({ hostname, port: Number(port) });
    await connection.write(new TextEncoder().encode(
      `POST /v1/completions HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\n` +
        'content-length: 500\r\n\r\n{"prompt": "a',
    ));
    await pause(client.random(300));
    client.seen("half sent");
  },
  async function unread(client) {
    const { hostname, port } = new URL(client.url);
    using connection = await Deno.connect({ hostname, port: Number(port) });
    const [path, body] = requestOf(client);
    const text = JSON.stringify(body);
    await connection.write(new TextEncoder().encode(
      `POST ${path} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\n` +
        `content-length: ${text.length}\r\n\r\n${text}`,
    ));
    await pause(client.random(1000));
    client.seen("unread");
  },
];

async function live(
  client: Client,
  { until, isHostile }: { readonly until: number; readonly isHostile: boolean },
): Promise<void> {
  while (performance.now() < until) {
    // Most clients behave.
    const usual = WAYS[client.random(2) === 0 ? 0 : client.random(WAYS.length)]!;
    const way = isHostile ? hostile : usual;
    try {
      await way(client);
    } catch (error) {
      const { cause = "no cause" } = error as Error;
      client.wrong(`${way.name || "an answer"}: ${error} (${cause})`);
    }
    await pause(client.random(100));
  }
}

async function gauges(url: string): Promise<number[]> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return GAUGES.map((name) => Number(new RegExp(`^${name}{.*} (\\S+)$`, "m").exec(text)?.[1]));
}

/** A server of its own. */
interface Started {
  readonly url: string;
  /** Bytes of memory that its process has resident; undefined where the system does not say. */
  resident(): Promise<number | undefined>;
  /** Has it end, and gives what was wrong with it. */
  end(): Promise<string[]>;
}

async function start(model: string | undefined, store: string | undefined): Promise<Started> {
  const folder = store ?? await Deno.makeTempDir();
  const main = fileURLToPath(new URL("../../mod.ts", import.meta.url));
  const what = model ?? fileURLToPath(new URL("../../configs/embedded", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", main, "serve", what],
      ...["--port", "0", "--json", "--store", folder],
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log = new Response(child.stderr).text();
  const ready = Promise.withResolvers<string>();
  const reading = (async () => {
    let text = "";
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += piece;
      const lines = text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
      const serving = lines.find(({ type }) => type === "serving");
      if (serving && lines.some(({ type }) => type === "engine")) ready.resolve(serving.url);
    }
    ready.reject(new Error(`The server has ended: ${await log}`));
  })();
  reading.catch(ready.reject);
  return {
    url: await ready.promise,
    async resident() {
      try {
        const text = await Deno.readTextFile(`/proc/${child.pid}/status`);
        return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1]);
      } catch {
        return undefined;
      }
    },
    async end() {
      child.kill("SIGTERM");
      const { code } = await child.status;
      const text = await log;
      if (store === undefined) await Deno.remove(folder, { recursive: true });
      const failures = text.split("\n").filter((line) => /A request failed|was lost/.test(line));
      return [
        ...code === 0 ? [] : [`the server ended with status ${code}`],
        ...failures.map((line) => `the log says ${line.slice(0, 500)}`),
        ...text.includes("The cat sat") ? ["the log has a prompt"] : [],
      ];
    },
  };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "300" },
    clients: { type: "string", default: "200" },
    hostile: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    model: { type: "string" },
    store: { type: "string" },
  },
});
const own = positionals.length > 0 ? undefined : await start(values.model, values.store);
const url = own?.url ?? positionals[0]!;
const counts = new Map<string, number>();
const wrongs: string[] = [];
const lines: string[] = [];
const memory: number[] = [];
const look = async (when: string) => {
  const bytes = await own?.resident();
  if (bytes === undefined) return;
  memory.push(bytes);
  lines.push(`resident ${when}: ${Math.round(bytes / 1e6)} MB`);
};
await look("when fresh");
const known: string[] = [];
for (const at of PROMPTS.keys()) known.push((await likeliest(url, at))!);
const heavy = heavyRequests(HEAVY_TOKENS);
const time = Number(values.seconds) * 1000;
const until = performance.now() + time;
const looks = [1, 2, 3, 4].map((part) =>
  setTimeout(() => void look(`after ${part} fifths of the time`), part * time / 5)
);
await Promise.all(
  Array.from({ length: Number(values.clients) }, (_, at) =>
    live({
      url,
      known,
      heavy,
      random: randomOf(Number(values.seed) * 1000 + at),
      seen: (what) => counts.set(what, (counts.get(what) ?? 0) + 1),
      wrong: (what) => wrongs.push(what),
    }, { until, isHostile: at < Number(values.hostile) })),
);
looks.forEach((timer) => clearTimeout(timer));
let held = await gauges(url);
for (let tries = 0; tries < 100 && held.some((value) => value !== 0); tries++) {
  await pause(100);
  held = await gauges(url);
}
if (held.some((value) => value !== 0)) wrongs.push(`the server holds ${GAUGES} ${held}`);
for (const path of ["/health", "/ready"]) {
  const response = await fetch(`${url}${path}`);
  if (!response.ok) wrongs.push(`${path} says ${response.status}: ${await response.text()}`);
  else await response.body?.cancel();
}
await look("in the end");
const [before = Infinity, after = 0] = [memory[1], memory.at(-1)];
if (after > before * MORE.factor + MORE.bytes) wrongs.push("its memory has grown");
wrongs.push(...await own?.end() ?? []);
lines.unshift(...[...counts].sort().map(([what, count]) => `${what}: ${count}`));
lines.push(`wrong: ${wrongs.length}`, ...[...new Set(wrongs)].slice(0, 20));
await Deno.stdout.write(new TextEncoder().encode(`${lines.join("\n")}\n`));
Deno.exit(wrongs.length > 0 ? 1 : 0);
