import { join } from "node:path";
import { statedRecord } from "../../store/record.ts";
import { allRuns } from "../../store/runs.ts";
import type { Store } from "../../store/store.ts";

/** An artifact of a store, and the steps that made or reused it, as `step in manifest`. */
export interface Maker {
  readonly key: string;
  readonly kind: string;
  readonly stage: string;
  readonly steps: readonly string[];
}

/** The artifacts of a store by digest, and the steps by key, as its records and runs tell. */
export interface Makers {
  /** Artifacts with these bytes; key documents that differ may give the same. */
  of(digest: string): readonly Maker[];
  /** Steps whose artifact has this key. */
  steps(key: string): readonly string[];
}

/** Reads who made what; records are believed, since only words come of it. */
export async function readMakers(store: Store): Promise<Makers> {
  const steps = new Map<string, Set<string>>();
  for (const run of await allRuns(store.path)) {
    for (const { name, key } of run.steps) {
      if (key === undefined) continue;
      const names = steps.get(key) ?? new Set();
      steps.set(key, names.add(`${name} in ${run.manifest}`));
    }
  }
  const makers = new Map<string, Maker[]>();
  for (const key of await store.keys()) {
    const { digest, kind, recipe } = await statedRecord(join(store.path, "artifacts", key));
    if (digest === undefined || kind === undefined || recipe === undefined) continue;
    const maker = { key, kind, stage: recipe.stage, steps: [...steps.get(key) ?? []] };
    makers.set(digest, [...makers.get(digest) ?? [], maker]);
  }
  return {
    of: (digest) => makers.get(digest) ?? [],
    steps: (key) => [...steps.get(key) ?? []],
  };
}
