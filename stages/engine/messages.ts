import type { EngineError, EngineState, GenerationRequest } from "./engine.ts";
import type { Vocabulary } from "./grammar.ts";
import type { EngineEvent } from "./engine_loop.ts";
import type { MemoryPlan, SizeWishes } from "./engine_sizes.ts";

/** What an engine in a worker is started with. */
export interface StartOptions {
  /** Directory of a model artifact. */
  readonly path: string;
  /** LoRA adapters that requests may go through, by their numbers from 1 on. */
  readonly adapters?: readonly { readonly name: string; readonly path: string }[];
  readonly memoryBytes: number;
  /** See `DeviceChoice`. */
  readonly device?: string | undefined;
  readonly wishes: SizeWishes;
  /** Tokens are drawn below this id; any that the head has a row for unless said. */
  readonly choices?: number | undefined;
  /** What grammars are matched with; without it none are taken. */
  readonly vocabulary?: Vocabulary | undefined;
  /** Seconds that a grammar may take until its first tokens are known; 10 unless said. */
  readonly grammarSeconds?: number | undefined;
}

/** What the worker is told. */
export type ToWorker =
  | { readonly type: "start"; readonly options: StartOptions }
  | { readonly type: "add"; readonly id: number; readonly request: GenerationRequest }
  | { readonly type: "abort"; readonly id: number }
  /** Asks it to close its device; it says so. */
  | { readonly type: "close" }
  /** Makes the device fail as it does when it is lost, so that recovery can be tried. */
  | { readonly type: "lose device" };

/** What the worker tells. */
export type FromWorker =
  | { readonly type: "ready"; readonly plan: MemoryPlan; readonly device: string }
  | {
    readonly type: "events";
    readonly events: readonly EngineEvent[];
    readonly stats: EngineState;
  }
  | {
    readonly type: "refused";
    readonly id: number;
    readonly why: EngineError["why"];
    readonly message: string;
  }
  /** The device is closed, nothing is left to be done. */
  | { readonly type: "closed" }
  /** Nothing works any more; the worker ends. */
  | { readonly type: "failed"; readonly message: string };
