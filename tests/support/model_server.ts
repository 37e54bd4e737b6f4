import type { SizeWishes } from "../../stages/engine/engine_sizes.ts";
import { type EngineNotes, WorkerEngine } from "../../stages/engine/worker_engine.ts";
import { EMBEDDED } from "../../stages/models/checkpoint_place.ts";
import { type Server, startServer } from "../../stages/serve/server.ts";
import { vocabularyOf } from "../../stages/serve/structured/vocabulary.ts";
import type { ServedTokenizer } from "../../stages/serve/served_tokenizer.ts";
import { CARD, embeddedTokenizer } from "./server_stub.ts";

/** A server of a model that is there, for tests. */
export interface ServedModel extends AsyncDisposable {
  readonly server: Server;
  readonly engine: WorkerEngine;
  readonly tokenizer: ServedTokenizer;
  readonly url: string;
  /** Sends JSON. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
  get(path: string): Promise<Response>;
}

/** Serves a model at a free port, once its engine is ready. */
export async function serveModel(
  { path = EMBEDDED, tokenizer: own, wishes = {}, options = {}, notes = {} }: {
    /** Directory of the model; the embedded one's unless said. */
    readonly path?: string;
    /** The embedded model's unless said. */
    readonly tokenizer?: ServedTokenizer;
    readonly wishes?: SizeWishes;
    readonly options?: Readonly<Record<string, unknown>>;
    readonly notes?: EngineNotes;
  } = {},
): Promise<ServedModel> {
  const tokenizer = own ?? await embeddedTokenizer();
  const vocabulary = vocabularyOf(tokenizer);
  const engine = new WorkerEngine({ path, memoryBytes: 1e9, wishes, vocabulary }, notes);
  await engine.started;
  const server = await startServer({
    engine,
    tokenizer,
    card: CARD,
    options: { port: 0, ...options },
  });
  return {
    server,
    engine,
    tokenizer,
    url: server.url,
    post: (path, body, init) =>
      fetch(`${server.url}${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        ...init,
        headers: { "content-type": "application/json", ...init?.headers },
      }),
    get: (path) => fetch(`${server.url}${path}`),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
    },
  };
}
