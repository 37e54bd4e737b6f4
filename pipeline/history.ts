import { join, resolve } from "node:path";
import type { Recipe } from "./artifact.ts";
import { readJson, replaceFile } from "./store/durable.ts";
import { sha256 } from "./store/hash.ts";

/**
 * The last key document of every step of a manifest, to say why a step runs again.
 *
 * It is a cache beside the store: without it every reason is "not made before".
 */
export class History {
  readonly #path: string;
  readonly #manifest: string;
  readonly #last: Map<string, Recipe>;

  private constructor(path: string, manifest: string, last: Map<string, Recipe>) {
    this.#path = path;
    this.#manifest = manifest;
    this.#last = last;
  }

  /** The history of one manifest file in one store. */
  static async open(store: string, manifest: string): Promise<History> {
    const full = resolve(manifest);
    const path = join(store, "history", `${sha256(full).slice(0, 16)}.json`);
    const read = await readJson(path) as { readonly steps?: Record<string, Recipe> } | undefined;
    return new History(path, full, new Map(Object.entries(read?.steps ?? {})));
  }

  /** The key document a step had the last time it was made or reused. */
  last(step: string): Recipe | undefined {
    return this.#last.get(step);
  }

  /** Notes the key document of a step; a store that cannot be written goes without. */
  async remember(step: string, recipe: Recipe): Promise<void> {
    if (JSON.stringify(this.#last.get(step)) === JSON.stringify(recipe)) return;
    this.#last.set(step, recipe);
    const steps = Object.fromEntries(this.#last);
    const text = JSON.stringify({ manifest: this.#manifest, steps }, null, 2);
    await replaceFile(this.#path, text).catch(() => {});
  }
}
