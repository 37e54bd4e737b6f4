import type { Artifact, KeyDocument } from "../artifact.ts";
import type { Emit } from "../event.ts";
import { canonicalJson, keyOf } from "../store/key.ts";
import { tellsMachine } from "./lazy_tools.ts";
import { callStage } from "./stage_call.ts";
import type { AnyStage, FileDigests, Registry } from "../stage.ts";
import type { Store, Stored } from "../store/store.ts";

/** One artifact to be made, as data: any process that shares the store can make it. */
export interface Order {
  readonly step: string;
  /** The stage's name in the registry. */
  readonly stage: string;
  readonly params: unknown;
  readonly recipe: KeyDocument;
  /** Artifacts by input. */
  readonly inputs: Readonly<Record<string, Artifact | readonly Artifact[]>>;
  /** Makes the artifact even if it is there. */
  readonly again: boolean;
}

/** Whom work at an order tells what happens, and what stops it. */
export interface OrderUse {
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Goes on from the journal even if the artifact is made again: this very order left it. */
  readonly resume?: boolean;
}

/** Makes artifacts, here or elsewhere; the runner decides which, and when. */
export interface Executor {
  /** Orders it can work at together; may change while it works. */
  readonly width: number;
  /** The artifact of an order; `made` is false where somebody else had just made it. */
  make(order: Order, use: OrderUse): Promise<Stored & { readonly made: boolean }>;
}

/** What an executor in this process works with. */
export interface Workshop {
  readonly store: Store;
  readonly stages: Registry;
  readonly files: FileDigests;
  /** What stages get as `job.tools`; asked for when something is made. */
  tools(): Promise<unknown>;
}

/** Makes artifacts in this process, one at a time, since they share a device. */
export function inProcess(workshop: Workshop): Executor {
  return { width: 1, make: (order, use) => makeOrder(order, { ...workshop, ...use }) };
}

/** The artifact of an order, made in this process unless it is there. */
export async function makeOrder(
  { step, params, recipe, inputs, again, ...order }: Order,
  { store, stages, files, tools, emit, signal, resume = false }: Workshop & OrderUse,
): Promise<Stored & { readonly made: boolean }> {
  const stage = stages[order.stage];
  if (stage === undefined) throw new Error(`Cannot find stage "${order.stage}" any more`);
  return await store.make(recipe, {
    kind: stage.output,
    again,
    resume,
    signal,
    onWait: (holder) => {
      const text = `Waiting for process ${holder}, which makes the same artifact`;
      emit({ type: "note", step, text, replayed: false });
    },
    onNote: (text) => emit({ type: "note", step, text, replayed: false }),
    onQuarantine: (reason, path) =>
      emit({ type: "quarantined", step, key: keyOf(recipe), reason, path }),
    machine: async () => await tellsMachine(await tools())?.machine(),
    write: async (out, journal) => {
      const call = { stage, step, params, inputs, out, journal, signal, emit };
      const made = await callStage({ ...call, tools: await tools() });
      await refuseChange(step, { stage, params, recipe, files });
      return made;
    },
  });
}

/** Throws where what a stage read outside the store is no longer what its key says. */
async function refuseChange(
  step: string,
  { stage, params, recipe, files }: {
    readonly stage: AnyStage;
    readonly params: unknown;
    readonly recipe: KeyDocument;
    readonly files: FileDigests;
  },
): Promise<void> {
  if (recipe.fingerprint === undefined) return;
  const now = await stage.fingerprint?.(params, files);
  if (canonicalJson(now) === canonicalJson(recipe.fingerprint)) return;
  throw new Error(`Cannot keep step "${step}": what it reads outside the store changed meanwhile`);
}
