/**
 * Sends a server of OpenAI's API streamed completions at random moments and says how long they take.
 *
 * `deno task bench serve --url http://127.0.0.1:8000 [--rate 4] [--requests 200] [--prompt 128]
 * [--output 64] [--seed 1] [--vocabulary 1000] [--model NAME] [--key KEY] [--json]`: requests arrive
 * as a Poisson process, `--rate` a second (0: all at once), whether or not those before are answered.
 * Prompts are random token ids below `--vocabulary`. Any server that takes ids as prompts will do
 * (vLLM, llama-server).
 *
 * `--soak MINUTES [--clients 200]` runs `serve_soak.ts` instead: clients that leave, read slowly and
 * send what they must not.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { words } from "../support/random.ts";

/** What is sent. */
export interface LoadOptions {
  readonly url: string;
  /** Requests a second; 0 for all at once. */
  readonly rate: number;
  readonly requests: number;
  /** Tokens of each prompt, and tokens to generate. */
  readonly prompt: number;
  readonly output: number;
  readonly seed: number;
  readonly vocabulary: number;
  /** The first one that the server has unless said. */
  readonly model?: string | undefined;
  readonly key?: string | undefined;
  /** So many clients, each of whom asks again once it is answered, in the place of `rate`. */
  readonly clients?: number;
  /** What else than a completion of random tokens is asked for. */
  readonly asked?: Asked;
}

/** Requests, each by its number. */
export interface Asked {
  readonly path: string;
  body(index: number): Readonly<Record<string, unknown>>;
}

/** Mean and percentiles of some seconds. */
export interface Spread {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** What came of it. */
export interface LoadResult {
  readonly model: string;
  /** Whether the server goes on behind the token that ends an answer. */
  readonly ignoresEnd: boolean;
  /** From the first request to the end of the last answer. */
  readonly seconds: number;
  readonly answered: number;
  /** Requests that were not answered whole: HTTP statuses, `stream` and `connection`. */
  readonly errors: Readonly<Record<string, number>>;
  readonly generatedTokens: number;
  /** Tokens of all prompts, as the server counted them. */
  readonly promptTokens: number;
  readonly requestsPerSecond: number;
  readonly tokensPerSecond: number;
  /** Seconds until the first token, between two pieces of text, and until the end of an answer. */
  readonly firstToken: Spread;
  readonly betweenTokens: Spread;
  /** Of each answer: what lies behind the first token, by the tokens there. */
  readonly perToken: Spread;
  readonly whole: Spread;
  /** Most requests under way at once. */
  readonly mostAtOnce: number;
}

/** How one request went; times are milliseconds. */
type Answer =
  | { readonly error: string }
  | {
    readonly error?: undefined;
    readonly first: number;
    readonly gaps: readonly number[];
    readonly whole: number;
    readonly tokens: number;
    readonly promptTokens: number;
  };

/** Requests that were sent together. */
export interface SentLoad extends Pick<LoadResult, "model" | "ignoresEnd" | "mostAtOnce"> {
  readonly answers: readonly Answer[];
  readonly seconds: number;
}

interface Chunk {
  readonly error?: unknown;
  readonly usage?: { readonly completion_tokens: number; readonly prompt_tokens?: number } | null;
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string | null; readonly tool_calls?: unknown };
    readonly finish_reason: string | null;
  }[];
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Seconds after the start at which requests are sent: gaps are exponentially distributed. */
export function arrivals(
  { rate, requests, seed }: Pick<LoadOptions, "rate" | "requests" | "seed">,
): readonly number[] {
  const source = words(`arrivals ${seed}`);
  let at = 0;
  return Array.from({ length: requests }, (_, index) => {
    // The first comes at once.
    if (index > 0 && rate > 0) at -= Math.log(1 - source.next().value / 2 ** 32) / rate;
    return at;
  });
}

/** Mean and percentiles: the smallest value that so many are not above. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
  const mean = sorted.reduce((a, b) => a + b, 0) / sorted.length;
  return { mean, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Sends all requests at their time and waits for the answers. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  return loadResult([await sendLoad(options)]);
}

/** Sends all requests at their time, or as clients get to them, and tells how each went. */
export async function sendLoad(options: LoadOptions): Promise<SentLoad> {
  const model = options.model ?? await firstModel(options);
  const ignoresEnd = await takesIgnore(options, model);
  const { path, body } = options.asked ?? {
    path: "/v1/completions",
    body: (index: number) => ({ prompt: promptOf(options, index) }),
  };
  const request = (index: number) => ({
    model,
    max_tokens: options.output,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
    ...ignoresEnd && { ignore_eos: true },
    ...body(index),
  });
  let [running, mostAtOnce] = [0, 0];
  const send = async (index: number) => {
    mostAtOnce = Math.max(mostAtOnce, ++running);
    try {
      return await ask(options, path, request(index));
    } finally {
      running--;
    }
  };
  const start = performance.now();
  const answers = options.clients === undefined
    ? await Promise.all(
      arrivals(options).map(async (seconds, index) => {
        await pause(Math.max(0, 1000 * seconds - (performance.now() - start)));
        return await send(index);
      }),
    )
    : await inTurns(options.requests, options.clients, send);
  const seconds = (performance.now() - start) / 1000;
  return { model, ignoresEnd, mostAtOnce, answers, seconds };
}

/** What clients get, each of whom takes the next number once it has what it took before. */
async function inTurns<T>(
  count: number,
  clients: number,
  take: (index: number) => Promise<T>,
): Promise<readonly T[]> {
  const taken: T[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (next < count) {
      const index = next++;
      taken[index] = await take(index);
    }
  }));
  return taken;
}

/** What came of loads of one kind, sent one after another. */
export function loadResult(sent: readonly SentLoad[]): LoadResult {
  const [{ model, ignoresEnd }] = sent as [SentLoad];
  const answers = sent.flatMap(({ answers }) => answers);
  const seconds = sent.reduce((sum, { seconds }) => sum + seconds, 0);
  const errors: Record<string, number> = {};
  for (const { error } of answers) {
    if (error !== undefined) errors[error] = (errors[error] ?? 0) + 1;
  }
  const good = answers.filter((answer) => answer.error === undefined);
  const generatedTokens = good.reduce((sum, { tokens }) => sum + tokens, 0);
  const spread = (values: readonly number[]) => spreadOf(values.map((ms) => ms / 1000));
  return {
    model,
    ignoresEnd,
    seconds,
    answered: good.length,
    errors,
    generatedTokens,
    promptTokens: good.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
    requestsPerSecond: good.length / seconds,
    tokensPerSecond: generatedTokens / seconds,
    firstToken: spread(good.map(({ first }) => first)),
    betweenTokens: spread(good.flatMap(({ gaps }) => gaps)),
    perToken: spread(
      good.flatMap(({ first, whole, tokens }) => tokens > 1 ? (whole - first) / (tokens - 1) : []),
    ),
    whole: spread(good.map(({ whole }) => whole)),
    mostAtOnce: Math.max(...sent.map(({ mostAtOnce }) => mostAtOnce)),
  };
}

/** Sends one request and follows its stream. */
async function ask(options: LoadOptions, path: string, body: object): Promise<Answer> {
  const start = performance.now();
  const arrived: number[] = [];
  let [tokens, promptTokens]: (number | undefined)[] = [];
  let whole = false;
  try {
    const response = await post(options, path, body);
    if (!response.ok) {
      await response.body?.cancel();
      return { error: String(response.status) };
    }
    for await (const data of dataOf(response)) {
      if (data === "[DONE]") {
        whole = true;
        break;
      }
      const { error, usage, choices: [choice] = [] }: Chunk = JSON.parse(data);
      if (error) return { error: "stream" };
      tokens = usage?.completion_tokens ?? tokens;
      promptTokens = usage?.prompt_tokens ?? promptTokens;
      if (choice && hasToken(choice)) arrived.push(performance.now());
    }
  } catch {
    return { error: "connection" };
  }
  const end = performance.now();
  if (!whole) return { error: "stream" };
  return {
    first: (arrived[0] ?? end) - start,
    gaps: arrived.slice(1).map((at, index) => at - arrived[index]!),
    whole: end - start,
    tokens: tokens ?? arrived.length,
    promptTokens: promptTokens ?? 0,
  };
}

/** Whether a piece of an answer has a token: that which ends it has none, nor what begins a message. */
function hasToken({ text, delta, finish_reason }: NonNullable<Chunk["choices"]>[0]): boolean {
  if (delta) return Boolean(delta.content) || delta.tool_calls !== undefined;
  return text !== "" || finish_reason === null;
}

/** The data of server-sent events, as they come. */
async function* dataOf(response: Response): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith("data:")) yield line.slice("data:".length).trim();
    }
  }
}

async function post(options: LoadOptions, path: string, body: object): Promise<Response> {
  return await fetch(`${options.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...authorization(options) },
    body: JSON.stringify(body),
  });
}

async function firstModel(options: LoadOptions): Promise<string> {
  const headers = authorization(options);
  const response = await fetch(`${options.url}/v1/models`, { headers }).catch((error: Error) => {
    throw new TypeError(
      `Cannot reach ${options.url}: ${error.message}, expected a server of OpenAI's API; start one by deno task serve, or name it with --url`,
      { cause: error },
    );
  });
  const { data: [model] = [] } = await response.json();
  if (model?.id) return model.id;
  throw new TypeError(
    `Cannot choose a model of ${options.url}: it answers ${response.status} without one, expected a list; name it with --model`,
  );
}

/** Whether the server takes `ignore_eos`; throws what it says where it takes nothing. */
async function takesIgnore(options: LoadOptions, model: string): Promise<boolean> {
  const plain = { model, prompt: promptOf(options, -1), max_tokens: 1, temperature: 0 };
  const response = await post(options, "/v1/completions", { ...plain, ignore_eos: true });
  const said = await response.text();
  if (response.ok) return true;
  const without = await post(options, "/v1/completions", plain);
  await without.body?.cancel();
  if (response.status === 400 && without.ok) return false;
  throw new TypeError(
    `Cannot send completions to ${options.url}: it answers ${response.status} ${
      said.slice(0, 200).replaceAll(/\s+/g, " ")
    }, expected 200`,
  );
}

function authorization({ key }: LoadOptions): Record<string, string> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}

/** A prompt of its own for every request. */
function promptOf({ prompt, vocabulary, seed }: LoadOptions, index: number): number[] {
  const source = words(`prompt ${seed} ${index}`);
  return Array.from({ length: prompt }, () => source.next().value % vocabulary);
}

/** The result as lines for people. */
export function loadLines(options: LoadOptions, result: LoadResult): string[] {
  const { answered, errors, seconds, ignoresEnd } = result;
  const failed = Object.entries(errors).map(([what, count]) => `${what}: ${count}`).join(", ");
  const line = (name: string, spread: Spread) =>
    name.padEnd(24) + [spread.mean, spread.p50, spread.p95, spread.p99]
      .map((value) => (1000 * value).toFixed(1).padStart(10)).join("");
  return [
    `${result.model} at ${options.url}: ${options.requests} requests, ${
      options.rate > 0 ? `${options.rate} a second` : "all at once"
    }, prompts of ${options.prompt} tokens, answers of ${options.output}${
      ignoresEnd ? "" : " at most (the server takes no ignore_eos)"
    }`,
    `answered ${answered} in ${seconds.toFixed(1)} s, at most ${result.mostAtOnce} at once; ${
      failed === "" ? "no errors" : `errors ${failed}`
    }`,
    `${result.requestsPerSecond.toFixed(2)} requests/s, ${
      result.tokensPerSecond.toFixed(1)
    } generated tokens/s`,
    "milliseconds".padEnd(24) +
    ["mean", "p50", "p95", "p99"].map((name) => name.padStart(10)).join(""),
    line("to the first token", result.firstToken),
    line("between pieces of text", result.betweenTokens),
    line("per token behind it", result.perToken),
    line("to the end", result.whole),
  ];
}

const USAGE = `deno task bench serve --url http://127.0.0.1:8000

  --rate 4          requests a second, 0 for all at once
  --requests 200    how many
  --prompt 128      random tokens of each prompt, below --vocabulary 1000
  --output 64       tokens to generate
  --seed 1          decides prompts and moments
  --model NAME      the first one that the server has unless said
  --key KEY         or OPENAI_API_KEY
  --json            for machines
  --soak MINUTES    instead: --clients 200 that leave, read slowly and send what they must not`;

/** Runs the command line behind `serve`; gives the exit status. */
export async function benchServe(args: readonly string[]): Promise<number> {
  const read = () =>
    parseArgs({
      args: [...args],
      options: {
        url: { type: "string", default: "http://127.0.0.1:8000" },
        rate: { type: "string", default: "4" },
        requests: { type: "string", default: "200" },
        prompt: { type: "string", default: "128" },
        output: { type: "string", default: "64" },
        seed: { type: "string", default: "1" },
        vocabulary: { type: "string", default: "1000" },
        model: { type: "string" },
        key: { type: "string" },
        json: { type: "boolean", default: false },
        soak: { type: "string" },
        clients: { type: "string", default: "200" },
        help: { type: "boolean", default: false, short: "h" },
      },
    });
  let values: ReturnType<typeof read>["values"];
  try {
    ({ values } = read());
  } catch (error) {
    Deno.stderr.writeSync(
      new TextEncoder().encode(`Cannot bench serve: ${(error as Error).message}\n${USAGE}\n`),
    );
    return 2;
  }
  if (values.help) {
    Deno.stdout.writeSync(new TextEncoder().encode(`${USAGE}\n`));
    return 0;
  }
  const url = values.url.replace(/\/+(v1\/?)?$/, "");
  if (values.soak !== undefined) {
    const seconds = String(60 * Number(values.soak));
    const script = fileURLToPath(new URL("../slow/serve_soak.ts", import.meta.url));
    const { clients, seed } = values;
    const soak = ["--seconds", seconds, "--clients", clients, "--seed", seed];
    const child = new Deno.Command(Deno.execPath(), { args: ["run", "-A", script, url, ...soak] });
    return (await child.spawn().status).code;
  }
  const options: LoadOptions = {
    url,
    rate: Number(values.rate),
    requests: Number(values.requests),
    prompt: Number(values.prompt),
    output: Number(values.output),
    seed: Number(values.seed),
    vocabulary: Number(values.vocabulary),
    model: values.model,
    key: values.key ?? Deno.env.get("OPENAI_API_KEY"),
  };
  const result = await runLoad(options).catch((error: Error) => error);
  if (result instanceof Error) {
    Deno.stderr.writeSync(new TextEncoder().encode(`${result.message}\n`));
    return 1;
  }
  const text = values.json
    ? JSON.stringify({ options: { ...options, key: undefined }, result }, undefined, 2)
    : loadLines(options, result).join("\n");
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
  return result.answered === options.requests ? 0 : 1;
}

if (import.meta.main) Deno.exit(await benchServe(Deno.args));
