import { join } from "node:path";
import { type Inode, type Inventory, type Item, sum } from "./inventory.ts";
import { isHeld } from "./lock.ts";
import { KEY, keyIn } from "./directories.ts";
import { statedRecord } from "./record.ts";
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

/** Something of a store that nothing needs. */
export interface Garbage {
  readonly room: Item["room"] | "files";
  readonly name: string;
  readonly path: string;
  readonly key?: string;
  /** The stage that made it, where that is known. */
  readonly stage?: string;
  /** When it was used last, in milliseconds. */
  readonly used: number;
  /** Why nothing needs it, in words. */
  readonly why: string;
  readonly inodes: ReadonlySet<Inode>;
}

/** What may go. */
export interface CollectLimits {
  /** Artifacts go only until the store is no larger than this; all of them if it is not said. */
  readonly maxBytes?: number | undefined;
  /** Nothing goes that was used at this time or later, in milliseconds. */
  readonly usedSince: number;
  /** Nothing goes from `quarantine/` that came there at this time or later, in milliseconds. */
  readonly quarantinedSince: number;
  /** Keys of artifacts that stay whatever runs say. */
  readonly keep: ReadonlySet<string>;
}

/** Lists what nothing needs, in the order in which it should go; artifacts unused for longest first. */
export async function findGarbage(
  store: string,
  { inventory, reach, limits }: {
    readonly inventory: Inventory;
    readonly reach: Reach;
    readonly limits: CollectLimits;
  },
): Promise<Garbage[]> {
  const { items, shared } = inventory;
  const made = new Set(items.flatMap(({ room, name }) => room === "artifacts" ? [name] : []));
  const isBusy = async (key: string) => await isHeld(join(store, "locks", key));
  const garbage: Garbage[] = shared.filter(isOrphan).map((inode) => {
    const path = inode.places[0]!;
    const why = "no artifact has this file any more";
    return { room: "files", name: nameOf(path), path, used: 0, why, inodes: new Set([inode]) };
  });
  const artifacts: (Garbage & { readonly created: number })[] = [];
  for (const item of items) {
    const { room, name, path, changed, inodes } = item;
    const key = KEY.test(name) ? name : keyIn(name);
    if (key === undefined) continue;
    const facts = { room, name, path, key, used: changed, inodes };
    if (room === "quarantine") {
      if (changed < limits.quarantinedSince) garbage.push({ ...facts, why: "it is damaged" });
    } else if (room === "tmp") {
      const why = "a process that died has left it";
      if (!await isBusy(key)) garbage.push({ ...facts, why });
    } else if (room === "journal") {
      // One of an artifact that is there belongs to a run that makes it again, or to none.
      const old = changed < limits.usedSince && changed < reach.since;
      const useless = old && (made.has(key) || !reach.keys.has(key));
      const why = "no run goes on from it";
      if (useless && !await isBusy(key)) garbage.push({ ...facts, why });
    } else if (!limits.keep.has(key) && !reach.keys.has(key)) {
      const { stage, created } = await statedOf(item);
      const used = Math.max(reach.used.get(key) ?? 0, created);
      // What a run that goes on has made since may be in use before its record says so.
      if (used >= limits.usedSince || created >= reach.since || await isBusy(key)) continue;
      const why = "no manifest's last good run uses it";
      artifacts.push({ ...facts, used, created, why, ...stage !== undefined && { stage } });
    }
  }
  // Of one run the last goes first: what it was made from is needed to find it again.
  artifacts.sort((a, b) => a.used - b.used || b.created - a.created);
  const freed = freeing(inventory);
  let left = inventory.bytes - sum(garbage.map(freed));
  for (const { created: _, ...artifact } of artifacts) {
    if (limits.maxBytes !== undefined && left <= limits.maxBytes) break;
    garbage.push(artifact);
    left -= freed(artifact);
  }
  return garbage;
}

/**
 * Counts what removals free, one after the other.
 *
 * A file goes with the last item that holds it: its name in `files/` does not keep it, a name
 * outside the store does.
 */
export function freeing({ items }: Inventory): (garbage: Pick<Garbage, "inodes">) => number {
  const holders = new Map<Inode, number>();
  for (const { inodes } of items) {
    for (const inode of inodes) holders.set(inode, (holders.get(inode) ?? 0) + 1);
  }
  return ({ inodes }) =>
    sum([...inodes].map((inode) => {
      const left = (holders.get(inode) ?? 1) - 1;
      holders.set(inode, left);
      return left === 0 && inode.links <= inode.places.length ? inode.size : 0;
    }));
}

function isOrphan({ links, places }: Inode): boolean {
  return links === 1 && places.length === 1;
}

function nameOf(path: string): string {
  return path.split(/[\\/]/).at(-1) ?? path;
}

/** What an artifact says of itself, as far as it can be read; damage is found elsewhere. */
async function statedOf(
  { path }: Item,
): Promise<{ readonly stage: string | undefined; readonly created: number }> {
  const { recipe, created } = await statedRecord(path);
  const stage = typeof recipe?.stage === "string" ? recipe.stage : undefined;
  return { stage, created: Date.parse(created ?? "") || 0 };
}
