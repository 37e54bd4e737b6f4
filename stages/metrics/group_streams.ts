import { deserialize, serialize } from "node:v8";
import type { Device } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { startStream, type Stream } from "../models/stream.ts";
import { type EntryKeeper, readSum, StreamEntries } from "../models/stream_entries.ts";

/** Name of the entry that says where the kept streams stand; it is written behind them. */
const PLACE = "streams-place";

/** Windows between two layers. */
export interface GroupPlace {
  readonly windows: readonly number[];
  /** The layer they stand before. */
  readonly layer: number;
}

/**
 * Keeps the streams of the group of windows at work, so that a walk that was interrupted goes on at
 * the layer it reached. Every keeping has a number, by which two sets of entries take turns.
 */
export class GroupStreams {
  readonly #device: Device;
  readonly #keeper: EntryKeeper;
  readonly #shape: readonly [tokens: number, hidden: number];
  #number = 0;
  #kept: { readonly count: number; readonly entries: StreamEntries } | undefined;

  constructor(
    device: Device,
    keeper: EntryKeeper,
    shape: readonly [tokens: number, hidden: number],
  ) {
    this.#device = device;
    this.#keeper = keeper;
    this.#shape = shape;
  }

  /** Keeps the streams of a group's windows, in their order. */
  async keep(place: GroupPlace, streams: readonly Stream[]): Promise<void> {
    const entries = this.#entries(streams.length);
    const number = this.#number + 1;
    for (const [i, stream] of streams.entries()) {
      await readSum(this.#device, stream, entries.room(i));
      await entries.keep(i, number);
    }
    await this.#keeper.write(PLACE, serialize({ ...place, number }));
    this.#number = number;
  }

  /** The group that was at work, of the windows that are left of it; undefined if there is none. */
  async restore(
    left: readonly number[],
  ): Promise<GroupPlace & { readonly streams: Stream[] } | undefined> {
    const kept = await this.#keeper.read(PLACE);
    if (!kept) return undefined;
    const { windows, layer, number }: GroupPlace & { number: number } = deserialize(kept);
    this.#number = number;
    const streams: Stream[] = [];
    let i = 0;
    for await (const sum of this.#entries(windows.length).read(number)) {
      const wanted = left.includes(windows[i++]!);
      if (wanted) streams.push(startStream(this.#device.upload(f32(this.#shape, sum))));
    }
    const chosen = windows.filter((window) => left.includes(window));
    if (i === windows.length && chosen.length > 0) return { windows: chosen, layer, streams };
    for (const stream of streams) stream[Symbol.dispose]();
    return undefined;
  }

  /** The entries of as many windows; they hold memory, so that those of the last keeping stay. */
  #entries(count: number): StreamEntries {
    if (this.#kept?.count === count) return this.#kept.entries;
    const [tokens, hidden] = this.#shape;
    const entries = new StreamEntries(this.#keeper, { count, size: tokens * hidden });
    this.#kept = { count, entries };
    return entries;
  }
}
