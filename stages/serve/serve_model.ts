import type { StartOptions } from "../engine/messages.ts";
import { type EngineNotes, WorkerEngine } from "../engine/worker_engine.ts";
import { architectureOf } from "../models/architecture.ts";
import { openCheckpoint } from "../models/open_checkpoint.ts";
import type { Door } from "./door.ts";
import type { ModelCard } from "./model_card.ts";
import { templateProblem } from "./chat_template.ts";
import { openServedTokenizer } from "./served_tokenizer.ts";
import { vocabularyOf } from "./structured/vocabulary.ts";

/** A model to be served, and how. */
export interface ServeCall extends StartOptions {
  /** What the server tells of the model; asked for once the engine is on its way. */
  card(): Promise<ModelCard>;
  /** Where requests come in; it is closed however this ends. */
  readonly door: Door;
  /** Aborts when the server is asked to stop: it then finishes what it has begun. */
  readonly signal: AbortSignal;
}

/** Takes what happens on the way. */
export interface ServeNotes extends Required<EngineNotes> {
  /** What will not work, said before the first request. */
  warn(text: string): void;
  /** A line of the log of requests. */
  log(line: string): void;
  listening(url: string): void;
}

/** Serves a model artifact over HTTP until the signal aborts. */
export async function serveModel(
  { path, card, memoryBytes, wishes, device, door, signal }: ServeCall,
  notes: ServeNotes,
): Promise<void> {
  await using _door = door;
  // The server's packages are for this command alone.
  const { startServer } = await import("./server.ts");
  const { openLog } = await import("./request_log.ts");
  await using _log = await openLog((line) => notes.log(line));
  const tokenizer = await servedTokenizerOf(path);
  const problem = templateProblem(tokenizer);
  if (problem !== undefined) notes.warn(problem);
  const choices = tokenizer.usable;
  await using engine = new WorkerEngine({
    path,
    memoryBytes,
    wishes,
    device,
    choices,
    vocabulary: vocabularyOf(tokenizer),
    grammarSeconds: door.options.readTime,
  }, notes);
  const server = await startServer({ engine, tokenizer, card: await card(), door, signal });
  notes.listening(server.url);
  try {
    await engine.started;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  await server.finished;
}

/** The tokenizer of a model artifact; throws where it has none. */
export async function servedTokenizerOf(path: string) {
  using checkpoint = await openCheckpoint(path);
  const { tokenizer, files, config } = checkpoint;
  const rows = architectureOf(config).config.vocabulary;
  if (tokenizer) return openServedTokenizer(tokenizer, files, config, rows);
  throw new TypeError(
    `Cannot serve "${path}": it has no tokenizer, expected tokenizer.json; load it from a checkpoint that has one`,
  );
}
