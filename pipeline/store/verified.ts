import { join } from "node:path";
import type { ArtifactRecord } from "../artifact.ts";
import { readOwnJson, replaceFile } from "./durable.ts";
import { type FileState, sameState } from "./file_state.ts";

/** States of an artifact's files by their place in the record; null where none is known. */
export type States = readonly (FileState | null)[];

/** What lies in `verified/<key>.json`. */
interface Memo {
  /** Seal of the record that lists the files. */
  readonly seal: string;
  readonly states: States;
}

/**
 * The states files had when their bytes were last known to be right.
 *
 * A memo of another record, a damaged one and a copy from elsewhere name no state that the files
 * have, so that their bytes are read again: nothing here has to be kept or trusted.
 */
export class Verified {
  readonly #directory: string;
  readonly #known = new Map<string, Memo>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What this process knows of an artifact's files; `kept` adds what earlier ones have kept. */
  async recall(
    { key, seal }: Pick<ArtifactRecord, "key" | "seal">,
    { kept }: { readonly kept: boolean },
  ): Promise<States> {
    const known = this.#known.get(key);
    if (known?.seal === seal) return known.states;
    if (!kept) return [];
    const read = await readOwnJson(this.#place(key)).catch(() => undefined) as
      | Memo
      | null
      | undefined;
    return read?.seal === seal && Array.isArray(read.states) ? read.states : [];
  }

  /** Keeps what was learned; a store that cannot be written goes without. */
  async keep(
    { key, seal }: Pick<ArtifactRecord, "key" | "seal">,
    states: States,
  ): Promise<void> {
    const memo: Memo = { seal, states };
    const before = await this.recall({ key, seal }, { kept: true });
    this.#known.set(key, memo);
    if (before.length === states.length && states.every((one, i) => same(one, before[i]))) return;
    await replaceFile(this.#place(key), JSON.stringify(memo)).catch(() => {});
  }

  /** Forgets an artifact. */
  async forget(key: string): Promise<void> {
    this.#known.delete(key);
    await Deno.remove(this.#place(key)).catch(() => {});
  }

  #place(key: string): string {
    return join(this.#directory, `${key}.json`);
  }
}

/** Whether a file is in a state that is known; states may come from anyone's JSON. */
export function same(
  one: FileState | null | undefined,
  other: FileState | null | undefined,
): boolean {
  return one ? Boolean(other && sameState(one, other)) : !other;
}
