import type { TokenizerFiles } from "../../stages/formats/checkpoint.ts";
import { ggufMetadata } from "../../stages/formats/gguf/metadata.ts";
import { ggufTokenizer } from "../../stages/formats/gguf/tokenizer.ts";
import { EMBEDDED } from "../../stages/models/checkpoint_place.ts";
import type { ModelCard } from "../../stages/serve/model_card.ts";
import { READ, type RequestReaders } from "../../stages/serve/read.ts";
import { refusalsOf } from "../../stages/serve/openapi.ts";
import type { ReadingRules } from "../../stages/serve/reading_rules.ts";
import { routeOf } from "../../stages/serve/routes.ts";
import { openServedTokenizer, type ServedTokenizer } from "../../stages/serve/served_tokenizer.ts";
import { type Server, startServer } from "../../stages/serve/server.ts";
import { FakeEngine, type FakeEngineOptions } from "./engine_stub.ts";
import { SENTENCE_PIECES } from "./sentence_pieces.ts";

/** A server of a fake engine, for tests. */
export interface ServedFake extends AsyncDisposable {
  readonly server: Server;
  readonly engine: FakeEngine;
  readonly tokenizer: ServedTokenizer;
  readonly url: string;
  /** Sends JSON, or text as it is. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
  get(path: string, init?: RequestInit): Promise<Response>;
}

/** The model that the fake is said to be. */
export const CARD: ModelCard = {
  name: "org/fake-1",
  digest: "0123456789abcdef".repeat(4),
  scheme: "W4A8KV4, groups of 64",
  bitsPerWeight: 4.38,
  parameters: 3_600_000,
  bytes: 2_345_678,
  trainedContext: 2048,
  device: "no device",
  quality: {
    perplexity: 23.65,
    baseline: 19.13,
    kl: 0.214,
    top1: 0.776,
    protocol: "WikiText-2, 8 windows of 2,048 tokens",
  },
};

/** A request that goes on until somebody ends it. */
export const LONG_REQUEST = { prompt: "a secret prompt", max_tokens: 500, ignore_eos: true };

/** The tokenizer of the embedded model: byte-level BPE. */
export async function embeddedTokenizer(template?: string | null): Promise<ServedTokenizer> {
  const read = async (name: string) => await Deno.readTextFile(`${EMBEDDED}/${name}`);
  const config = JSON.parse(await read("tokenizer_config.json"));
  if (template !== undefined) config.chat_template = template;
  const files = { tokenizer: JSON.parse(await read("tokenizer.json")), config };
  return openServedTokenizer(
    files,
    new Map([["generation_config.json", await read("generation_config.json")]]),
  );
}

/** What makes a SentencePiece tokenizer, with `<s>` put before texts. */
export function sentencePieceFiles(): TokenizerFiles {
  const metadata = new Map(Object.entries(SENTENCE_PIECES));
  return ggufTokenizer(ggufMetadata({ metadata }, "model.gguf"))!;
}

/** Starts a server at a free port; `says` makes the engine generate texts, one for each prompt's. */
export async function serveFake(
  { options = {}, says, template, tokenizer: given, threads = false, ...engine }:
    & Partial<FakeEngineOptions>
    & {
      readonly options?: Readonly<Record<string, unknown>>;
      readonly says?: string | ((prompt: string) => string);
      readonly template?: string | null;
      /** Instead of the embedded model's, with `template`. */
      readonly tokenizer?: ServedTokenizer;
      /** Whether requests are read in threads, which takes time to start, as where a model is served. */
      readonly threads?: boolean;
    } = {},
): Promise<ServedFake> {
  const tokenizer = given ?? await embeddedTokenizer(template);
  const fake = new FakeEngine({
    size: tokenizer.size,
    ...says === undefined ? {} : {
      script: ({ prompt }) =>
        tokenizer.encode(typeof says === "string" ? says : says(tokenizer.decode(prompt))),
    },
    ...engine,
  });
  const server = await startServer({
    engine: fake,
    tokenizer,
    card: CARD,
    options: { port: 0, ...options },
    ...!threads && { readers: (rules) => readersHere(rules, fake) },
  });
  return {
    server,
    engine: fake,
    tokenizer,
    url: server.url,
    post: async (path, body, init) =>
      told(
        path,
        await fetch(`${server.url}${path}`, {
          method: "POST",
          body: typeof body === "string" ? body : JSON.stringify(body),
          ...init,
          headers: { "content-type": "application/json", ...init?.headers },
        }),
      ),
    get: async (path, init) => told(path, await fetch(`${server.url}${path}`, init)),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A response, whose status must be among those that `/openapi.json` tells of its route. */
function told(path: string, response: Response): Response {
  const route = routeOf(path.replace(/(?<=.)\/?(\?.*)?$/, ""));
  if (!route || [200, 405].includes(response.status)) return response;
  if (refusalsOf(route).includes(response.status)) return response;
  throw new Error(`${path} answers ${response.status}, of which /openapi.json does not tell`);
}

/** Reads requests in this thread. */
function readersHere(
  rules: Omit<ReadingRules, "context">,
  { context }: FakeEngine,
): RequestReaders {
  return {
    read: (kind, body) => Promise.try(() => READ[kind](body, { ...rules, context })),
    [Symbol.dispose]() {},
  };
}

/** The error of an answer, with its status. */
export async function errorOf(response: Response) {
  const { error } = await response.json();
  return { status: response.status, ...error };
}

/** The data of server-sent events, without `[DONE]`, which must be the last. */
export async function eventsOf(response: Response): Promise<Record<string, unknown>[]> {
  const lines = (await response.text()).split("\n\n").filter((line) => line.startsWith("data: "));
  const last = lines.pop();
  if (last !== "data: [DONE]") throw new Error(`The last event is ${last}`);
  return lines.map((line) => JSON.parse(line.slice("data: ".length)));
}

// Run by hand it serves the page: deno run -A tests/support/server_stub.ts 8000
if (import.meta.main) {
  const says =
    "The cat sat on the mat. 🐈 日本語です!\nIt was a good day, and the sun shone on the " +
    "garden where the old tree stood.\n\n    def cat():\n        return 1\n";
  const port = Number(Deno.args[0] ?? 8000);
  const served = await serveFake({ delay: 40, says, options: { port } });
  await Deno.stdout.write(new TextEncoder().encode(`${served.url}\n`));
  const stop = new AbortController();
  Deno.addSignalListener("SIGTERM", () => stop.abort());
  stop.signal.addEventListener("abort", async () => {
    await served.server.stop();
    Deno.exit(0);
  });
}
