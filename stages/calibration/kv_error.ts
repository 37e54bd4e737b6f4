import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { AttentionOptions } from "../../kernels/attention.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { hadamard } from "../../kernels/mod.ts";
import {
  attend,
  attentionOptions,
  type KvSchemes,
  type SequenceTensors,
} from "../models/attend.ts";
import type { Architecture } from "../models/family.ts";
import type { AttentionTap } from "../models/site.ts";
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
        return stack.use(device.upload(f32(shape, values), tap));
      };
      const q = await tensor("queries", config.heads);
      const k = await tensor("keys", config.kvHeads);
      const v = await tensor("values", config.kvHeads);
      using exact = attend(device, { q, k, v }, { options, kv: undefined });
      samples.push({ q, k, v, exact: await valuesOf(device, exact) });
    }
    return new KvProbe(device, { options, samples }, stack.move());
  }

  /** Squared error of the attention output under schemes for keys and values, relative to it. */
  async error(kv: KvSchemes): Promise<number> {
    let [error, size] = [0, 0];
    for (const { q, k, v, exact } of this.#samples) {
      using given = asCached(this.#device, { q, k, v }, kv);
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
  readonly exact: Float32Array;
}

/** A sequence as a layer has it under schemes: queries and keys rotated where keys are. */
function asCached(
  device: Device,
  { q, k, v }: SequenceTensors,
  { rotatedKeys }: KvSchemes,
): { readonly sequence: SequenceTensors } & Disposable {
  if (!rotatedKeys) return { sequence: { q, k, v }, [Symbol.dispose]() {} };
  using stack = new DisposableStack();
  const rotated = (tensor: TensorRef) => {
    const { shape: [tokens = 0, heads = 0, size = 0] } = tensor;
    const x = tensor.view([tokens * heads, size]);
    return stack.use(device.run(hadamard, { x }, {}).y).view(tensor.shape);
  };
  const sequence = { q: rotated(q), k: rotated(k), v };
  const owned = stack.move();
  return { sequence, [Symbol.dispose]: () => owned.dispose() };
}

async function valuesOf(device: Device, tensor: Tensor): Promise<Float32Array> {
  return (await device.read(tensor)).data as Float32Array;
}
