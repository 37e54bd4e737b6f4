import { type MemoryPlan, plannedBytes } from "../engine/engine_sizes.ts";
import { planEngines } from "../engine/shared_memory.ts";
import { type EngineNotes, WorkerEngine } from "../engine/worker_engine.ts";
import { peftDigest } from "../formats/peft.ts";
import { templateProblem } from "./chat_template.ts";
import type { Door } from "./door.ts";
import type { ModelCard } from "./model_card.ts";
import { servedTokenizerOf } from "./model_tokenizer.ts";
import { type ServeOptions, wishesOf } from "./options.ts";
import type { ServedParts } from "./service.ts";
import type { LogStyle } from "./request_log.ts";
import { refuseStopTokens } from "./stop_tokens.ts";
import { vocabularyOf } from "./structured/vocabulary.ts";

/** A model to be served, and how. */
export interface ModelCall {
  /** Under which requests ask for it. */
  readonly name: string;
  /** Directory of a model artifact. */
  readonly path: string;
  /** See `DeviceChoice`. */
  readonly device?: string | undefined;
  readonly options: ServeOptions;
  /** LoRA adapters that requests ask for by their names. */
  readonly adapters?: readonly { readonly name: string; readonly path: string }[];
  /** What the server tells of the model; asked for once the engine is on its way. */
  card(): Promise<ModelCard>;
}

/** Models to be served, and how. */
export interface ServeCall {
  readonly models: readonly ModelCall[];
  /** What all of them may take together. */
  readonly memoryBytes: number;
  /** Where requests come in; it is closed however this ends. */
  readonly door: Door;
  readonly log?: LogStyle;
  /** Aborts when the server is asked to stop: it then finishes what it has begun. */
  readonly signal: AbortSignal;
  /** How the models are found anew when somebody asks for that. */
  readonly again?: {
    find(): Promise<readonly ModelCall[]>;
    /** Calls back whenever it is asked for. */
    asked(listener: () => void): Disposable;
  };
}

/** Takes what happens on the way. */
export interface ServeNotes extends Required<Omit<EngineNotes, "ready">> {
  /** An engine is ready, in its worker. */
  ready(plan: MemoryPlan, device: string, model: string): void;
  /** What will not work, said before the first request. */
  warn(text: string): void;
  /** A line of the log of requests. */
  log(line: string): void;
  listening(url: string): void;
  /** Whether other models are served now, and what came of it, in a sentence. */
  replaced(text: string): void;
}

/** A model whose engine is on its way or there. */
interface OpenedModel extends ServedParts {
  readonly call: ModelCall;
  readonly engine: WorkerEngine;
}

/** Serves model artifacts over HTTP until the signal aborts. */
export async function serveModels(
  { models, memoryBytes, door, log = {}, signal, again }: ServeCall,
  notes: ServeNotes,
): Promise<void> {
  await using _door = door;
  // The server's packages are for this command alone.
  const { startServer } = await import("./server.ts");
  const { openLog } = await import("./request_log.ts");
  await using _log = await openLog((line) => notes.log(line), log);
  let current: readonly OpenedModel[] = await openModels(models, { memoryBytes, notes });
  await using _engines = { [Symbol.asyncDispose]: () => closeAll(current) };
  const [{ engine, tokenizer, card, options }, ...others] = await withAdapters(current);
  const server = await startServer({ engine, tokenizer, card, options, others, door, signal });
  notes.listening(server.url);
  try {
    await allStarted(current);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  let replacing: Promise<void> | undefined;
  const replace = async (): Promise<void> => {
    const wanted = await again!.find();
    const before = current;
    const kept = before.filter((one) => wanted.some((call) => isSame(one.call, call)));
    const gone = before.filter((one) => !kept.includes(one));
    const reopen = (left: number) =>
      openModels(wanted, { memoryBytes: left, notes, kept })
        .then((models) => started(models, kept));
    const beside = await roomBeside(wanted, { before, kept, memoryBytes });
    if (beside === undefined) {
      await server.pause();
      await closeAll(gone);
      current = kept;
    }
    try {
      const opened = await reopen(beside ?? memoryBytes - heldBytes(kept));
      current = opened;
      await server.replace(await withAdapters(opened));
      if (beside !== undefined) await closeAll(gone);
    } catch (error) {
      if (beside !== undefined) throw error;
      // There is nothing to go on with but what was there before.
      const calls = before.map(({ call }) => call);
      const left = memoryBytes - heldBytes(kept);
      current = await openModels(calls, { memoryBytes: left, notes, kept })
        .then((models) => started(models, kept));
      await server.replace(await withAdapters(current));
      throw error;
    }
    notes.replaced(`Serving ${wanted.map(({ name }) => name).join(", ")} from now on`);
  };
  using _asked = again?.asked(() => {
    replacing = (replacing ?? Promise.resolve()).then(replace).catch((error) => {
      const why = error instanceof Error ? error.message : String(error);
      notes.replaced(`Cannot serve anew, so that all stays as it was: ${why}`);
    });
  });
  await server.finished;
  await replacing;
}

/** Models, each with its adapters behind it: they share its engine and tokenizer. */
async function withAdapters(
  models: readonly OpenedModel[],
): Promise<[ServedParts, ...ServedParts[]]> {
  const all: ServedParts[] = [];
  for (const { call: { adapters = [] }, engine, tokenizer, card, options } of models) {
    all.push({ engine, tokenizer, card, options });
    for (const [at, { name, path }] of adapters.entries()) {
      const { quality: _, ...own } = card;
      const digest = await adapterDigest(path, card.digest);
      all.push({
        engine,
        tokenizer,
        card: { ...own, name, digest, parent: card.name },
        options: { ...options, names: [] },
        adapter: at + 1,
      });
    }
  }
  return all as [ServedParts, ...ServedParts[]];
}

/** What tells answers of an adapter on a model apart from others. */
async function adapterDigest(path: string, model: string): Promise<string> {
  const text = `${model} ${await peftDigest(path)}`;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)))
    .toHex();
}

/** Opens tokenizers and starts engines, but for those that are kept. */
async function openModels(
  calls: readonly ModelCall[],
  { memoryBytes, notes, kept = [] }: {
    readonly memoryBytes: number;
    readonly notes: ServeNotes;
    readonly kept?: readonly OpenedModel[];
  },
): Promise<readonly OpenedModel[]> {
  const opening = calls.filter((call) => !kept.some((one) => isSame(one.call, call)));
  // One alone plans for itself, in its worker.
  const plans = opening.length > 1 ? await planEngines(opening.map(engineOf), memoryBytes) : [];
  const opened: OpenedModel[] = [];
  const engines: WorkerEngine[] = [];
  try {
    for (const call of calls) {
      const { name, path, options, device } = call;
      const same = kept.find((one) => isSame(one.call, call));
      if (same) {
        opened.push({ ...same, call, card: await call.card(), options });
        continue;
      }
      const tokenizer = await servedTokenizerOf(path, options.chatTemplate);
      refuseStopTokens(options, tokenizer.usable);
      const problem = templateProblem(tokenizer);
      if (problem !== undefined) notes.warn(problem);
      const plan = plans[opening.indexOf(call)];
      const engine = new WorkerEngine({
        path,
        adapters: call.adapters ?? [],
        memoryBytes: plan ? plannedBytes(plan) : memoryBytes,
        wishes: wishesOf(options),
        device,
        choices: tokenizer.usable,
        vocabulary: vocabularyOf(tokenizer),
        grammarSeconds: options.readTime,
      }, { ...notes, ready: (plan, device) => notes.ready(plan, device, name) });
      engines.push(engine);
      opened.push({ call, engine, tokenizer, card: await call.card(), options });
    }
  } catch (error) {
    await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
    throw error;
  }
  return opened;
}

/**
 * Memory for new models beside those that answer now, where they get as many pages there as without
 * these; undefined where they have to go first.
 */
async function roomBeside(
  wanted: readonly ModelCall[],
  { before, kept, memoryBytes }: {
    readonly before: readonly OpenedModel[];
    readonly kept: readonly OpenedModel[];
    readonly memoryBytes: number;
  },
): Promise<number | undefined> {
  const opening = wanted.filter((call) => !kept.some((one) => isSame(one.call, call)))
    .map(engineOf);
  const left = memoryBytes - heldBytes(before);
  if (opening.length === 0) return left;
  const alone = await planEngines(opening, memoryBytes - heldBytes(kept));
  const beside = await planEngines(opening, left).catch(() => undefined);
  const fits = beside?.every(({ sizes: { pages } }, at) => pages === alone[at]!.sizes.pages);
  return fits ? left : undefined;
}

function engineOf({ name, path, adapters = [], device, options }: ModelCall) {
  return { name, path, adapters, device, wishes: wishesOf(options) };
}

/** Whether two calls ask for one engine; what else they say holds for requests that come. */
function isSame(one: ModelCall, other: ModelCall): boolean {
  const parts = ({ path, adapters = [], device, options }: ModelCall) =>
    JSON.stringify([
      path,
      adapters,
      device,
      wishesOf(options),
      options.chatTemplate,
      options.readTime,
    ]);
  return parts(one) === parts(other);
}

function heldBytes(models: readonly OpenedModel[]): number {
  return models.reduce((sum, { engine }) => sum + engine.plannedBytes, 0);
}

/** Models once their engines are ready; where one cannot be, those that were not there before are closed. */
async function started(
  models: readonly OpenedModel[],
  kept: readonly OpenedModel[],
): Promise<readonly OpenedModel[]> {
  try {
    await allStarted(models);
  } catch (error) {
    await closeAll(models.filter(({ engine }) => !kept.some((one) => one.engine === engine)));
    throw error;
  }
  return models;
}

async function allStarted(models: readonly OpenedModel[]): Promise<void> {
  await Promise.all(models.map(({ engine }) => engine.started));
}

async function closeAll(models: readonly OpenedModel[]): Promise<void> {
  await Promise.all(models.map(({ engine }) => engine[Symbol.asyncDispose]()));
}
