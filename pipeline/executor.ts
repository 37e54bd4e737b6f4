import type { Artifact, Recipe } from "./artifact.ts";
import type { Emit } from "./event.ts";
import { canonicalJson, keyOf } from "./key.ts";
import { callStage } from "./run/stage_call.ts";
import type { AnyStage, FileDigests, Registry } from "./stage.ts";
import type { Store, Stored } from "./store.ts";

/** One artifact to be made, as data: any process that shares the store can make it. */
export interface Order {
  readonly step: string;
  /** The stage's name in the registry. */
  readonly stage: string;
  readonly params: unknown;
  readonly recipe: Recipe;
  /** Artifacts by input. */
  readonly inputs: Readonly<Record<string, Artifact | readonly Artifact[]>>;
  /** Makes the artifact even if it is there. */
  readonly again: boolean;
}

/** Makes artifacts, here or elsewhere; the runner decides which, and when. */
export interface Executor {
  /** Orders it can work at together. */
  readonly width: number;
  /** The artifact of an order; `made` is false where somebody else had just made it. */
  make(
    order: Order,
    how: { readonly emit: Emit; readonly signal: AbortSignal },
  ): Promise<Stored & { readonly made: boolean }>;
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
export function inProcess({ store, stages, files, tools }: Workshop): Executor {
  return {
    width: 1,
    make: async ({ step, params, recipe, inputs, again, ...order }, { emit, signal }) => {
      const stage = stages[order.stage];
      if (stage === undefined) throw new Error(`Cannot find stage "${order.stage}" any more`);
      return await store.make(recipe, {
        kind: stage.output,
        again,
        signal,
        onWait: (holder) => {
          const text = `Waiting for process ${holder}, which makes the same artifact`;
          emit({ type: "note", step, text, replayed: false });
        },
        onQuarantine: (reason, path) =>
          emit({ type: "quarantined", step, key: keyOf(recipe), reason, path }),
        write: async (out, journal) => {
          const call = { stage, step, params, inputs, out, journal, signal, emit };
          const made = await callStage({ ...call, tools: await tools() });
          await refuseChange(step, { stage, params, recipe, files });
          return made;
        },
      });
    },
  };
}

/** Throws where what a stage read outside the store is no longer what its key says. */
async function refuseChange(
  step: string,
  { stage, params, recipe, files }: {
    readonly stage: AnyStage;
    readonly params: unknown;
    readonly recipe: Recipe;
    readonly files: FileDigests;
  },
): Promise<void> {
  if (recipe.fingerprint === undefined) return;
  const now = await stage.fingerprint?.(params, files);
  if (canonicalJson(now) === canonicalJson(recipe.fingerprint)) return;
  throw new Error(`Cannot keep step "${step}": what it reads outside the store changed meanwhile`);
}
