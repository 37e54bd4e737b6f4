import { chooseTunedDevice } from "../../kernels/tuned_device.ts";
import { millions } from "../../pipeline/words.ts";
import { type Checkpoint, headerCheckpoint } from "../formats/checkpoint.ts";
import { openAdapters } from "../models/adapters.ts";
import { architectureOf, openModel } from "../models/architecture.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { EngineError } from "./engine.ts";
import { EngineMemory } from "./engine_memory.ts";
import { type MemoryPlan, planMemory, type SizeWishes } from "./engine_sizes.ts";
import { pagesOfLongest } from "./kv_batch.ts";

/** An engine that is to be started. */
export interface PlannedEngine {
  readonly name: string;
  /** Directory of a model artifact. */
  readonly path: string;
  readonly adapters?: readonly { readonly name: string; readonly path: string }[];
  /** See `DeviceChoice`. */
  readonly device?: string | undefined;
  readonly wishes: SizeWishes;
}

/** What is known of a model that may not be there yet. */
export interface ModelHeaders {
  readonly config: unknown;
  readonly tensors: Checkpoint["tensors"];
  readonly record: ModelRecord;
}

/** Throws where no engine could run a model with its adapters in so much memory, from headers alone. */
export async function refuseEngine(
  { config, tensors, record }: ModelHeaders,
  { adapters: wanted = [], device, wishes }: Omit<PlannedEngine, "name" | "path">,
  memoryBytes: number,
): Promise<void> {
  const checkpoint = headerCheckpoint({ config, tensors });
  const headers = { checkpoint, record, architecture: architectureOf(config) };
  const adapters = await openAdapters(wanted, headers);
  const files = adapters.length > 0 ? { ...headers, adapters } : headers;
  const { limits } = await chooseTunedDevice(device);
  await planMemory(new EngineMemory(limits, files), { memoryBytes, wishes });
}

/** What engines of model artifacts would take together, from headers alone; see `shareMemory()`. */
export async function planEngines(
  engines: readonly PlannedEngine[],
  memoryBytes: number,
): Promise<readonly MemoryPlan[]> {
  const sharers: Sharer[] = [];
  for (const { name, path, adapters: wanted = [], device, wishes } of engines) {
    using opened = await openModel(path);
    const adapters = await openAdapters(wanted, opened);
    const files = adapters.length > 0 ? { ...opened, adapters } : opened;
    const { limits } = await chooseTunedDevice(device);
    sharers.push({ name, memory: new EngineMemory(limits, files), wishes });
  }
  return await shareMemory(sharers, memoryBytes);
}

/** A model that shares memory with others. */
export interface Sharer {
  readonly name: string;
  readonly memory: EngineMemory;
  readonly wishes: SizeWishes;
}

/** What a model takes at least and at most. */
interface Need {
  readonly name: string;
  readonly weightBytes: number;
  readonly workspaceBytes: number;
  /** Bytes of the pages of one sequence of the longest context, and of all that could be filled. */
  readonly least: number;
  readonly most: number;
}

/**
 * Divides memory among engines: each has its weights, what its steps need and the pages of one sequence;
 * what is left goes to pages, by what each could fill. Throws an `EngineError` with the numbers where
 * that does not fit.
 */
export async function shareMemory(
  sharers: readonly Sharer[],
  memoryBytes: number,
): Promise<readonly MemoryPlan[]> {
  const needs = await Promise.all(sharers.map(needOf));
  const fixed = needs.map(({ weightBytes, workspaceBytes, least }) =>
    weightBytes + workspaceBytes + least
  );
  const taken = fixed.reduce((a, b) => a + b, 0);
  if (taken > memoryBytes) throw new EngineError("unavailable", refusal(needs, memoryBytes));
  const more = needs.reduce((sum, { least, most }) => sum + most - least, 0);
  const share = more === 0 ? 0 : Math.min(1, (memoryBytes - taken) / more);
  return await Promise.all(sharers.map(({ memory, wishes }, at) => {
    const { least, most } = needs[at]!;
    const own = fixed[at]! + Math.floor(share * (most - least));
    return planMemory(memory, { memoryBytes: own, wishes });
  }));
}

async function needOf({ name, memory, wishes }: Sharer): Promise<Need> {
  const { weightBytes, workspaceBytes, kvBytes, sizes } = await planMemory(memory, {
    memoryBytes: Number.MAX_SAFE_INTEGER,
    wishes,
  });
  const least = wishes.pages === undefined
    ? memory.pageBytes(pagesOfLongest(sizes.context, memory.sinks))
    : kvBytes;
  return { name, weightBytes, workspaceBytes, least, most: kvBytes };
}

function refusal(needs: readonly Need[], memoryBytes: number): string {
  const megabytes = (bytes: number) => `${millions(bytes, 0)} MB`;
  const parts = needs.map(({ name, weightBytes, workspaceBytes, least }) =>
    `"${name}" takes ${megabytes(weightBytes)} of weights, ${
      megabytes(workspaceBytes)
    } for a step and ${megabytes(least)} for its longest context`
  );
  const all = needs.reduce(
    (sum, need) => sum + need.weightBytes + need.workspaceBytes + need.least,
    0,
  );
  return `Cannot serve ${needs.length} models in ${megabytes(memoryBytes)}: ${
    parts.join("; ")
  }, expected all of it to fit, ${
    megabytes(all)
  }; set --context or --sequences lower, or give them more with --memory`;
}
