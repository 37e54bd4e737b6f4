import { collect, type Collected } from "./collect.ts";
import { takeInventory } from "./inventory.ts";
import { freeBytes } from "./trouble.ts";

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
