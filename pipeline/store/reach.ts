import { goesOn, type RunRecord, runsByManifest } from "./runs.ts";

/** What the runs that a store remembers say of its artifacts. */
export interface Reach {
  /** Keys that are in use, each with the manifest of a run that uses it. */
  readonly keys: ReadonlyMap<string, string>;
  /** When a run used a key last, in milliseconds. */
  readonly used: ReadonlyMap<string, number>;
  /** When the oldest run that goes on began; Infinity if none does. */
  readonly since: number;
  /** The manifests whose runs are remembered. */
  readonly manifests: readonly string[];
}

/**
 * Which artifacts are in use: those of the last good run of every manifest, of its last run and of
 * every run that goes on, and since the good one the last of each step.
 *
 * A run of some steps only does not stand for a run of all. So one that was stopped or failed goes on
 * from what it has made, whatever was tried and collected meanwhile.
 */
export async function findReach(
  store: string,
  forget: ReadonlySet<string> = new Set(),
): Promise<Reach> {
  const keys = new Map<string, string>();
  const used = new Map<string, number>();
  const manifests: string[] = [];
  let since = Infinity;
  for (const runs of await runsByManifest(store)) {
    const manifest = runs[0]?.manifest ?? "";
    if (forget.has(manifest)) continue;
    manifests.push(manifest);
    const isWhole = ({ selected }: RunRecord) => selected === undefined;
    const good = runs.findIndex((run) => isWhole(run) && run.state === "ok");
    const last = new Set([0, good, runs.findIndex(isWhole)]);
    const seen = new Set<string>();
    for (const [i, run] of runs.entries()) {
      const began = Date.parse(run.started);
      const alive = await goesOn(store, run);
      if (alive) since = Math.min(since, Number.isFinite(began) ? began : 0);
      for (const { name, key } of run.steps) {
        if (key === undefined) continue;
        used.set(key, Math.max(used.get(key) ?? 0, lastMoment(run)));
        const unfinished = (good < 0 || i < good) && !seen.has(name);
        if (alive || last.has(i) || unfinished) keys.set(key, manifest);
        seen.add(name);
      }
    }
  }
  return { keys, used, since, manifests };
}

function lastMoment({ started, seconds }: RunRecord): number {
  const at = Date.parse(started) + seconds * 1000;
  return Number.isFinite(at) ? at : 0;
}
