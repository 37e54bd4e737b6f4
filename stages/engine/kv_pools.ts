import type { Device, Limits, Tensor } from "../../kernels/device/device.ts";
import { appendKv, rope, ropeAppend } from "../../kernels/mod.ts";
import { pageWords } from "../../kernels/codes/kv_page.ts";
import { attendPaged, flat, type KvSchemes, type TurnAndAttend } from "../models/attend.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { ModelRecord } from "../models/model_record.ts";
import type { KvBatch } from "./kv_batch.ts";

/** The precision of each layer's keys and values; half precision where the model says nothing. */
export function kvSchemes(
  { layers, headSize }: DecoderConfig,
  { kv }: Pick<ModelRecord, "kv">,
): readonly KvSchemes[] {
  const plain = { bits: 16, zero: "none", group: headSize } as const;
  return Array.from({ length: layers }, (_, layer) => kv[layer] ?? { key: plain, value: plain });
}

/** First tokens of every sequence whose keys and values stay in half precision, in all layers. */
export function sinksOf({ kv }: Pick<ModelRecord, "kv">): number {
  return kv[0]?.sinks ?? 0;
}

/** Bytes that one page takes in all layers. */
export function pageBytes(config: DecoderConfig, schemes: readonly KvSchemes[]): number {
  const of = (scheme: KvSchemes["key"]) => 4 * pageWords(scheme, config.kvHeads, config.headSize);
  return schemes.reduce((sum, { key, value }) => sum + of(key) + of(value), 0);
}

/** The most pages whose keys or values of one layer fit into a binding. */
export function mostPages(
  { bindingBytes }: Pick<Limits, "bindingBytes">,
  config: DecoderConfig,
  schemes: readonly KvSchemes[],
): number {
  const largest = schemes.reduce((most, { key, value }) =>
    Math.max(
      most,
      4 * pageWords(key, config.kvHeads, config.headSize),
      4 * pageWords(value, config.kvHeads, config.headSize),
    ), 0);
  return Math.floor(bindingBytes / largest);
}

/** Keys and values of all layers in pages, all of them on the device from the start. */
export class KvPools implements Disposable {
  readonly #device: Device;
  readonly #config: DecoderConfig;
  readonly #schemes: readonly KvSchemes[];
  readonly #pools: readonly { readonly key: Tensor; readonly value: Tensor }[];

  /** Takes the memory of so many pages. */
  constructor(
    device: Device,
    config: DecoderConfig,
    { schemes, pages }: { readonly schemes: readonly KvSchemes[]; readonly pages: number },
  ) {
    this.#device = device;
    this.#config = config;
    this.#schemes = schemes;
    const pool = (scheme: KvSchemes["key"]) => {
      const shape = [pages, pageWords(scheme, config.kvHeads, config.headSize)];
      return device.empty({ dtype: "u32", shape }, "KV pages");
    };
    this.#pools = schemes.map(({ key, value }) => ({ key: pool(key), value: pool(value) }));
  }

  /** How a layer attends in a step: appends keys and values to the pages, then reads their codes. */
  attention(layer: number, batch: KvBatch): TurnAndAttend {
    const { kvHeads } = this.#config;
    const { key, value, sinks } = this.#schemes[layer]!;
    const pools = this.#pools[layer]!;
    return (device, { inputs, options: turn, compensation }, { options: form }) => {
      const { slots, queries, keys, ...where } = batch;
      const held = { slots, keys: pools.key, values: pools.value };
      const turned = compensation && device.run(rope, inputs, turn);
      if (turned) {
        using k = turned.k;
        using v = turned.v;
        device.run(appendKv, { k, v, compensation, ...held }, { key, value });
      }
      using q = turned?.q ??
        device.run(ropeAppend, { ...inputs, ...held }, { ...turn, key, value }).q;
      const options = { kvHeads, key, value, sinks, queries, keys, ...form };
      const reads = { q, k: pools.key, v: pools.value, ...where };
      const { stillKeys, neighbours = false } = turn;
      const still = stillKeys ? { angles: inputs.angles, neighbours } : undefined;
      return flat(attendPaged(device, reads, options, still));
    };
  }

  [Symbol.dispose](): void {
    for (const { key, value } of this.#pools) {
      key[Symbol.dispose]();
      value[Symbol.dispose]();
    }
  }
}
