import { bytesOf } from "../formats/half.ts";
import type { EntryKeeper } from "../models/stream_entries.ts";

/**
 * The residual streams of windows before every layer, which the way back through a network begins
 * again with: with a keeper, or on the host where there is none.
 */
export class LayerStreams {
  readonly #held = new Map<string, Float32Array>();
  readonly #keeper: EntryKeeper | undefined;

  constructor(keeper: EntryKeeper | undefined) {
    this.#keeper = keeper;
  }

  /** Keeps the stream of a window before a layer. */
  async put(layer: number, window: number, values: Float32Array): Promise<void> {
    const name = `${layer}-${window}`;
    if (this.#keeper) await this.#keeper.write(name, bytesOf(values));
    else this.#held.set(name, values);
  }

  /** That stream; no values where a keeper keeps none. */
  async get(layer: number, window: number): Promise<Float32Array> {
    const name = `${layer}-${window}`;
    if (!this.#keeper) return this.#held.get(name)!;
    const bytes = await this.#keeper.read(name);
    return new Float32Array(bytes?.buffer ?? []);
  }
}
