import type { HostTensor, Tensor } from "../../kernels/device/device.ts";
import type { Device } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { appendKv } from "../../kernels/mod.ts";
import { slotOf } from "../../kernels/codes/kv_page.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";

/**
 * Appends tokens of keys and values [tokens, heads, head size], from one to before another, to pages 0 and 1,
 * the first `sinks` of them in half precision.
 */
export function append(
  gpu: Device,
  [x, y]: readonly [keys: HostTensor, values: HostTensor],
  [from, to]: readonly [number, number],
  [keys, values]: readonly [Tensor, Tensor],
  [key, value]: readonly [KvScheme, KvScheme],
  sinks = 0,
): void {
  using k = gpu.upload(cut(x, from, to));
  using v = gpu.upload(cut(y, from, to));
  const places = Array.from({ length: to - from }, (_, i) => slotOf([0, 1], from + i, sinks));
  using slots = gpu.upload(u32([to - from], places));
  gpu.run(appendKv, { k, v, slots, keys, values }, { key, value });
}

/** Rows of a tensor on the host, from one to before another. */
export function cut({ shape: [rows = 0, ...rest], data }: HostTensor, from: number, to: number) {
  const row = data.length / rows;
  return f32([to - from, ...rest], Float32Array.from(data).subarray(from * row, to * row));
}
