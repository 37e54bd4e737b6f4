import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { AttentionOptions } from "../../kernels/attention.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import {
  attend,
  attentionOptions,
  type KvSchemes,
  type SequenceTensors,
} from "../models/attend.ts";
import type { Architecture } from "../models/family.ts";
import type { AttentionTap } from "../models/site.ts";
import { applyHadamard, hadamardFactor } from "../quant/hadamard.ts";
import type { Stats } from "./stats.ts";

/** Queries, keys and values of a layer in the windows that calibration kept, on the device. */
export class KvProbe implements Disposable {
  readonly #device: Device;
  readonly #options: AttentionOptions;
  readonly #samples: readonly Sample[];
  readonly #owned: DisposableStack;

  private constructor(
    device: Device,
    { options, samples }: {
      readonly options: AttentionOptions;
      readonly samples: readonly Sample[];
    },
    owned: DisposableStack,
  ) {
    this.#device = device;
    this.#options = options;
    this.#samples = samples;
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
    return new KvProbe(device, { options, samples }, stack.move());
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

  /** Squared error of the attention output under schemes for keys and values, relative to it. */
  async error(kv: KvSchemes): Promise<number> {
    let [error, size] = [0, 0];
    for (const sample of this.#samples) {
      const { exact } = sample;
      using given = asCached(this.#device, sample, kv);
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

interface Sample {
  readonly q: TensorRef;
  readonly k: TensorRef;
  readonly v: TensorRef;
  /** The values of `q` and `k`. */
  readonly queries: Float32Array;
  readonly keys: Float32Array;
  readonly exact: Float32Array;
}

/** A sequence as a layer has it under schemes: keys less their center, rotated as queries are. */
function asCached(
  device: Device,
  { q, k, v, queries, keys }: Sample,
  { rotatedKeys, keyCenter }: KvSchemes,
): { readonly sequence: SequenceTensors } & Disposable {
  if (!rotatedKeys && !keyCenter) return { sequence: { q, k, v }, [Symbol.dispose]() {} };
  using stack = new DisposableStack();
  const factor = rotatedKeys && hadamardFactor(k.shape[2]!);
  const given = ({ shape }: TensorRef, values: Float32Array, center?: readonly number[]) => {
    const own = center ? values.map((x, i) => x - center[i % center.length]!) : values.slice();
    if (factor) applyHadamard(own, factor);
    return stack.use(device.upload(f32(shape, own), "queries or keys"));
  };
  const sequence = { q: given(q, queries), k: given(k, keys, keyCenter), v };
  const owned = stack.move();
  return { sequence, [Symbol.dispose]: () => owned.dispose() };
}

async function valuesOf(device: Device, tensor: Tensor): Promise<Float32Array> {
  return (await device.read(tensor)).data as Float32Array;
}
