import { join } from "node:path";
import { type CollectLimits, findGarbage, findReach, freeing, type Garbage } from "./garbage.ts";
import { type Inventory, takeInventory } from "./inventory.ts";
import { move } from "./durable.ts";
import { type Lock, tryLock } from "./lock.ts";
import { entriesOf, isThere, KEY, openDirectories, removeAll } from "./directories.ts";
import { freeBytes, storing } from "./trouble.ts";

/** Artifacts that are taken away before the runs are asked again; each holds a file open. */
const BATCH = 64;

/** Something that went, or would go. */
export interface Removal extends Omit<Garbage, "inodes"> {
  /** What is free now that was not before. */
  readonly bytes: number;
}

/** What a collection did, or would do. */
export interface Collected {
  readonly removals: readonly Removal[];
  /** Size of the store's files before and after, those with several names once. */
  readonly before: number;
  readonly after: number;
  /** Artifacts that are left. */
  readonly artifacts: number;
  /** Of those, the ones that runs use. */
  readonly reachable: number;
  /** The manifests whose runs were asked. */
  readonly manifests: readonly string[];
}

/** How a store is collected. */
export interface CollectOptions extends CollectLimits {
  /** Says what would go and changes nothing. */
  readonly dryRun: boolean;
  /** The store's files, where they were looked at already. */
  readonly inventory?: Inventory;
  /** Manifests whose runs count for nothing. */
  readonly forget?: ReadonlySet<string>;
}

/**
 * Garbage collection, by `gc` or as eviction: removes what nothing needs from a store that others may be
 * using.
 *
 * Whoever makes or fetches an artifact holds its lock, and whoever reuses one notes its key in the
 * record of the run before looking at it. So each artifact is taken away under its lock, the records
 * are read once more, and what has come into use meanwhile is put back.
 */
export async function collect(store: string, options: CollectOptions): Promise<Collected> {
  const inventory = options.inventory ?? await takeInventory(store);
  const reach = await findReach(store, options.forget);
  const garbage = await findGarbage(store, { inventory, reach, limits: options });
  const gone = options.dryRun ? garbage : await storing(store, () => removeGarbage(store, garbage));
  const freed = freeing(inventory);
  const removals = gone.map(({ inodes, ...one }) => ({ ...one, bytes: freed({ inodes }) }));
  if (!options.dryRun) {
    await removeOrphans(join(store, "files"), gone);
    await removeTraces(store);
  }
  const isGone = new Set(gone.map(({ path }) => path));
  const left = inventory.items.filter(({ room, name, path }) =>
    room === "artifacts" && KEY.test(name) && !isGone.has(path)
  );
  return {
    removals,
    before: inventory.bytes,
    after: inventory.bytes - removals.reduce((sum, { bytes }) => sum + bytes, 0),
    artifacts: left.length,
    reachable: left.filter(({ name }) => reach.keys.has(name)).length,
    manifests: reach.manifests,
  };
}

/** Removes what can be locked; gives what is gone. */
async function removeGarbage(store: string, garbage: readonly Garbage[]): Promise<Garbage[]> {
  if (garbage.length > 0) await openDirectories(store);
  const gone: Garbage[] = [];
  for (let at = 0; at < garbage.length; at += BATCH) {
    gone.push(...await removeBatch(store, garbage.slice(at, at + BATCH)));
  }
  return gone;
}

async function removeBatch(store: string, batch: readonly Garbage[]): Promise<Garbage[]> {
  using held = new DisposableStack();
  const locks = new Map<string, Lock>();
  const takeAway: { readonly one: Garbage; readonly path: string }[] = [];
  for (const one of batch) {
    const { room, key, path } = one;
    if (key !== undefined && room !== "quarantine") {
      const lock = locks.get(key) ?? await tryLock(join(store, "locks", key));
      if (lock === undefined) continue;
      if (!locks.has(key)) held.use(lock);
      locks.set(key, lock);
    }
    if (room !== "artifacts") {
      takeAway.push({ one, path });
      continue;
    }
    const away = join(store, "tmp", `${key}.${Deno.pid}.${crypto.randomUUID().slice(0, 8)}`);
    await move(path, away);
    takeAway.push({ one, path: away });
  }
  const { keys } = await findReach(store);
  const gone: Garbage[] = [];
  for (const { one, path } of takeAway) {
    const { room, key = "" } = one;
    if (keys.has(key) && room === "artifacts") await move(path, one.path);
    else if (keys.has(key) && room === "journal" && !await isThere(join(store, "artifacts", key))) {
      continue;
    } else {
      await removeAll(path);
      gone.push(one);
    }
  }
  return gone;
}

/** Removes names in `files/` that were left without an artifact. */
async function removeOrphans(directory: string, gone: readonly Garbage[]): Promise<void> {
  const inodes = new Set(gone.flatMap(({ inodes }) => [...inodes]));
  for (const { places } of inodes) {
    for (const place of places.filter((place) => place.startsWith(join(directory, "/")))) {
      const info = await Deno.lstat(place).catch(() => undefined);
      if (info?.nlink === 1) await removeAll(place);
    }
  }
}

/** Removes locks, memos and debts of artifacts that are not there. */
async function removeTraces(store: string): Promise<void> {
  const isGone = async (key: string) =>
    KEY.test(key) && !await isThere(join(store, "artifacts", key)) &&
    !await isThere(join(store, "journal", key));
  for (const { name } of await entriesOf(join(store, "locks"))) {
    if (!await isGone(name)) continue;
    using lock = await tryLock(join(store, "locks", name)).catch(() => undefined);
    // Nobody begins to make it while the lock is held.
    if (lock && await isGone(name)) await lock.remove();
  }
  for (const room of ["verified", "owed"]) {
    for (const { name } of await entriesOf(join(store, room))) {
      if (await isGone(name.replace(/\.json$/, ""))) await removeAll(join(store, room, name));
    }
  }
}

/** The largest size a store keeps to by itself. */
const LARGEST = 100e9;
/** How long something damaged is left for its owner to look at. */
const QUARANTINE_MS = 24 * 3600 * 1000;

/** What an eviction removed from a store that had grown too large. */
export interface Evicted extends Collected {
  readonly maxBytes: number;
}

/**
 * How large a store may be where nobody says: 100 GB, and no more than half of what its disk has for
 * it, which is what is free and what the store has.
 *
 * A share of the whole disk would say nothing of a disk that others have filled.
 */
export async function usualCap(store: string, bytes: number): Promise<number> {
  const free = await freeBytes(store);
  return free === undefined ? LARGEST : Math.min(LARGEST, Math.floor((free + bytes) / 2));
}

/**
 * Eviction: removes artifacts that no run uses, the least recently used first, until a store is within
 * its cap.
 *
 * Gives undefined where it is. It may stay above where all that is left is in use.
 */
export async function evict(
  store: string,
  { maxBytes, keep }: {
    /** The cap; the usual one unless said. */
    readonly maxBytes?: number | undefined;
    /** Keys that stay. */
    readonly keep: ReadonlySet<string>;
  },
): Promise<Evicted | undefined> {
  const inventory = await takeInventory(store);
  const cap = maxBytes ?? await usualCap(store, inventory.bytes);
  if (inventory.bytes <= cap) return undefined;
  const collected = await collect(store, {
    dryRun: false,
    maxBytes: cap,
    usedSince: Infinity,
    quarantinedSince: Date.now() - QUARANTINE_MS,
    keep,
    inventory,
  });
  return { ...collected, maxBytes: cap };
}
