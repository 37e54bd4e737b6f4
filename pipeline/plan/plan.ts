import type { Manifest } from "../manifest/manifest.ts";
import { DigestMemo } from "../store/digests.ts";
import { Runs } from "../store/runs.ts";
import { type LockFile, refuseDrift } from "./lock_file.ts";
import { type Plan, Planner, type PlannerOptions } from "./planner.ts";
import { preflight, type PreflightOptions } from "./preflight.ts";

/** What a plan needs beside its manifest. */
export interface PlanOptions
  extends PreflightOptions, Pick<PlannerOptions, "force" | "selected" | "signal"> {
  /** What every artifact must be; drift from it is refused. */
  readonly locked?: LockFile | undefined;
}

/** What `run` would do now, step by step; changes nothing but the memory of file digests. */
export async function plan(manifest: Manifest, options: PlanOptions): Promise<Plan> {
  const { planner, files } = await openPlanner(manifest, options);
  const plan = await preflight(await planner.plan(manifest), manifest, options);
  refuseDrift(manifest, { ...options, plan });
  if (await Deno.stat(options.store.path).then(() => true, () => false)) await files.save();
  return plan;
}

/** Opens what a plan is made of: a planner, the memory of digests, the records of runs. */
export async function openPlanner(manifest: Manifest, options: PlanOptions) {
  const { store, signal } = options;
  const files = new DigestMemo(store.path, { signal });
  const runs = await Runs.open(store.path, manifest.path);
  return { files, runs, planner: new Planner({ ...options, files, runs }) };
}
