import type { Device, HostTensor, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { AttentionOptions } from "../../kernels/attention.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import {
  attend,
  attentionOptions,
  type KvSchemes,
  type SequenceTensors,
} from "../models/attend.ts";
import type { Architecture } from "../models/family.ts";
import { type Rope, ropeAngles } from "../models/rope.ts";
import type { AttentionTap } from "../models/site.ts";
import { compensationOf, packedCompensation, unpackedCompensation } from "../quant/compensation.ts";
import { applyHadamard, hadamardFactor } from "../quant/hadamard.ts";
import type { Stats } from "./stats.ts";

/** Queries, keys and values of a layer in the windows that calibration kept, on the device. */
export class KvProbe implements Disposable {
  readonly #device: Device;
  readonly #options: AttentionOptions;
  readonly #samples: readonly Sample[];
  readonly #turn: Turn;
  readonly #owned: DisposableStack;

  private constructor(
    device: Device,
    { options, samples, turn }: {
      readonly options: AttentionOptions;
      readonly samples: readonly Sample[];
      readonly turn: Turn;
    },
    owned: DisposableStack,
  ) {
    this.#device = device;
    this.#options = options;
    this.#samples = samples;
    this.#turn = turn;
    this.#owned = owned;
  }

  /** Reads a layer's windows and attends once in full precision. */
  static async open(
    device: Device,
    stats: Stats,
    { architecture, layer }: { readonly architecture: Architecture; readonly layer: number },
  ): Promise<KvProbe> {
    using stack = new DisposableStack();
    const { config, layers } = architecture;
    const { taps } = layers[layer]!;
    const options = attentionOptions(config, layer);
    const samples: Sample[] = [];
    for (let at = 0; at < stats.record.attentionWindows; at++) {
      const tensor = async (tap: AttentionTap, heads: number) => {
        const { rows, values } = await stats.window(layer, taps[tap].name, at);
        const shape = [rows, heads, config.headSize];
        return { tensor: stack.use(device.upload(f32(shape, values), tap)), values };
      };
      const { tensor: q, values: queries } = await tensor("queries", config.heads);
      const { tensor: k, values: keys } = await tensor("keys", config.kvHeads);
      const { tensor: v } = await tensor("values", config.kvHeads);
      using exact = attend(device, { q, k, v }, { options, kv: undefined });
      samples.push({ q, k, v, queries, keys, exact: await valuesOf(device, exact) });
    }
    const turn = { rope: config.ropes[config.ropeOf[layer]!]!, neighbours: config.neighbours };
    return new KvProbe(device, { options, samples, turn }, stack.move());
  }

  /** The mean of all keys, [kv heads * head size], to four digits. */
  keyCenter(): number[] {
    const [{ k } = {}] = this.#samples;
    const [, kvHeads = 0, headSize = 0] = k?.shape ?? [];
    const width = kvHeads * headSize;
    const sums = new Float64Array(width);
    let rows = 0;
    for (const { keys } of this.#samples) {
      keys.forEach((value, i) => sums[i % width]! += value);
      rows += keys.length / width;
    }
    return Array.from(sums, (sum) => rows === 0 ? 0 : Number((sum / rows).toPrecision(4)));
  }

  /**
   * How codes of keys make up for those before them, by the queries that read them, as the record keeps it:
   * behind the Hadamard transform of a head where keys are `rotated`.
   */
  keyCompensation({ rotated }: { readonly rotated: boolean }): string {
    const [{ q, k } = {}] = this.#samples;
    const [, heads = 0, size = 0] = q?.shape ?? [];
    const [, kvHeads = 0] = k?.shape ?? [];
    const grams = Array.from({ length: kvHeads }, () => new Float64Array(size * size));
    for (const { queries } of this.#samples) {
      const own = rotated ? mixed(queries, size) : queries;
      for (let from = 0; from < own.length; from += size) {
        const head = Math.floor(from / size % heads * kvHeads / heads);
        addSquares(grams[head]!, own.subarray(from, from + size));
      }
    }
    const shares = new Float32Array(kvHeads * size * size);
    grams.forEach((gram, head) => shares.set(compensationOf(gram, size), head * size * size));
    return packedCompensation(shares, size);
  }

  /** Squared error of the attention output under schemes for keys and values, relative to it. */
  async error(kv: KvSchemes): Promise<number> {
    let [error, size] = [0, 0];
    for (const sample of this.#samples) {
      const { exact } = sample;
      using given = asCached(this.#device, sample, kv, this.#turn);
      using mixed = attend(this.#device, given.sequence, { options: this.#options, kv });
      const got = await valuesOf(this.#device, mixed);
      for (let i = 0; i < exact.length; i++) {
        error += (got[i]! - exact[i]!) ** 2;
        size += exact[i]! ** 2;
      }
    }
    return size === 0 ? 0 : error / size;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Values behind the Hadamard transform of each head. */
function mixed(values: Float32Array, size: number): Float32Array {
  const own = values.slice();
  const factor = hadamardFactor(size);
  if (factor) applyHadamard(own, factor);
  return own;
}

/** Adds x x^T to a matrix, on and above its diagonal. */
function addSquares(gram: Float64Array, x: Float32Array): void {
  for (let row = 0; row < x.length; row++) {
    for (let column = row; column < x.length; column++) {
      gram[row * x.length + column]! += x[row]! * x[column]!;
    }
  }
}

interface Sample {
  readonly q: TensorRef;
  readonly k: TensorRef;
  readonly v: TensorRef;
  /** The values of `q` and `k`. */
  readonly queries: Float32Array;
  readonly keys: Float32Array;
  readonly exact: Float32Array;
}

/** How the keys of a layer turn. */
interface Turn {
  readonly rope: Rope;
  readonly neighbours: boolean;
}

/**
 * A sequence as a layer has it under schemes: keys less their center, rotated as queries are; or as they are
 * before they turn; and how their codes make up for those before them.
 */
function asCached(
  device: Device,
  { q, k, v, queries, keys }: Sample,
  { rotatedKeys, keyCenter, keysBeforeRope, keyCompensation: text }: KvSchemes,
  { rope, neighbours }: Turn,
): { readonly sequence: SequenceTensors } & Disposable {
  if (!rotatedKeys && !keyCenter && !keysBeforeRope && text === undefined) {
    return { sequence: { q, k, v }, [Symbol.dispose]() {} };
  }
  using stack = new DisposableStack();
  if (keysBeforeRope) {
    const table = ropeAngles(rope, k.shape[0]!);
    const still = turnedBack(keys, k.shape, { table, neighbours });
    const own = stack.use(device.upload(f32(k.shape, still), "keys before they turn"));
    const angles = stack.use(device.upload(table, "rope angles"));
    const sequence = { q, k: own, v, turn: { angles, neighbours } };
    const owned = stack.move();
    return { sequence, [Symbol.dispose]: () => owned.dispose() };
  }
  const [, kvHeads = 0, size = 0] = k.shape;
  const given = ({ shape }: TensorRef, values: Float32Array, center?: readonly number[]) => {
    const less = center ? values.map((x, i) => x - center[i % center.length]!) : values;
    const own = rotatedKeys ? mixed(less, size) : less.slice();
    return stack.use(device.upload(f32(shape, own), "queries or keys"));
  };
  const shares = text !== undefined && unpackedCompensation(text, { heads: kvHeads, size });
  const compensation = shares
    ? stack.use(device.upload(f32([kvHeads, size, size], shares), "compensation of keys"))
    : undefined;
  const sequence = { q: given(q, queries), k: given(k, keys, keyCenter), v, compensation };
  const owned = stack.move();
  return { sequence, [Symbol.dispose]: () => owned.dispose() };
}

/** Keys [tokens, kv heads, head size] as they were before they turned by the places of their tokens. */
function turnedBack(
  keys: Float32Array,
  [, kvHeads = 0, headSize = 0]: readonly number[],
  { table: { data, shape: [, channels = 0] }, neighbours }: {
    readonly table: HostTensor;
    readonly neighbours: boolean;
  },
): Float32Array<ArrayBuffer> {
  const still = Float32Array.from(keys);
  const pairs = channels / 2;
  for (let from = 0; from < keys.length; from += headSize) {
    const angles = Math.floor(from / (kvHeads * headSize)) * channels;
    for (let pair = 0; pair < pairs; pair++) {
      const [a, b] = neighbours ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
      const [cosine, sine] = [data[angles + pair]!, data[angles + pairs + pair]!];
      // Some scalings make both longer.
      const size = cosine ** 2 + sine ** 2;
      const [x, y] = [keys[from + a]!, keys[from + b]!];
      still[from + a] = (x * cosine + y * sine) / size;
      still[from + b] = (y * cosine - x * sine) / size;
    }
  }
  return still;
}

async function valuesOf(device: Device, tensor: Tensor): Promise<Float32Array> {
  return (await device.read(tensor)).data as Float32Array;
}
