import type { Device, HostTensor, TensorRef } from "../../kernels/device/device.ts";
import { f16, f32 } from "../../kernels/device/tensor.ts";
import { attention, matmul } from "../../kernels/mod.ts";
import type { AttentionOptions } from "../../kernels/attention.ts";
import { kvGroups } from "../../kernels/codes/kv_page.ts";
import { groupScale, kvCodes, type KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { codeOf, valueOf } from "../../kernels/codes/quantizer.ts";
import { type HeadLayout, takeKvHeads } from "./spans.ts";
import { squaredDistance } from "./search_error.ts";
import type { Matrix } from "../quant/weight_grid.ts";

/** What keys become in the KV cache: codes with a scale and a zero for each token and group. */
export type KeyScheme = Pick<KvScheme, "bits" | "zero" | "group">;

/** Queries and keys after rotary embedding, and values, of consecutive tokens: [tokens, channels]. */
export interface AttentionWindow {
  readonly queries: Matrix;
  readonly keys: Matrix;
  readonly values: Matrix;
}

/**
 * Errors of an attention layer under candidate scales, f32 [heads * head size] each, that heads of a
 * kv head share: queries are multiplied, keys divided and quantized, values left alone; for each
 * candidate the sum of squared differences of the outputs behind the output projection
 * (SmoothAttention of QServe).
 */
export async function attentionErrors(
  device: Device,
  { windows, layout, options, output, keys: scheme, scales, signal }: {
    readonly windows: readonly AttentionWindow[];
    readonly layout: HeadLayout;
    /** Which keys a query sees, and what becomes of its scores. */
    readonly options: AttentionOptions;
    /** The output projection [hidden, heads * head size], in pieces of its rows. */
    readonly output: readonly Matrix[];
    readonly keys: KeyScheme;
    readonly scales: readonly Float32Array[];
    readonly signal: AbortSignal;
  },
): Promise<Float64Array<ArrayBuffer>> {
  const { heads, kvHeads, headSize } = layout;
  const errors = new Float64Array(scales.length);
  const kvScales = scales.map((scale) => takeKvHeads(scale, layout));
  using stack = new DisposableStack();
  const projection = output.map((matrix) => stack.use(device.upload(weightOf(matrix))));
  for (const { queries, keys, values } of windows) {
    using q = device.upload(f32([queries.rows, heads, headSize], queries.values));
    using v = device.upload(f32([values.rows, kvHeads, headSize], values.values));
    const attend = async (changed: Float32Array) => {
      using k = device.upload(f32([keys.rows, kvHeads, headSize], changed));
      return await attended(device, { q, k, v }, options, projection);
    };
    const expected = await attend(keys.values);
    for (const [i, scale] of kvScales.entries()) {
      signal.throwIfAborted();
      const divided = keys.values.map((x, at) => x / scale[at % scale.length]!);
      const coded = quantizeKeys({ ...keys, values: divided }, headSize, scheme);
      // (q s) k is q (s k): the factor of the queries goes onto the fewer keys.
      const multiplied = coded.map((x, at) => x * scale[at % scale.length]!);
      errors[i]! += squaredDistance(await attend(multiplied), expected);
    }
  }
  return errors;
}

/** Keys [tokens, channels] as the KV cache gives them back; a group lies within a head. */
function quantizeKeys(
  { values }: Matrix,
  headSize: number,
  scheme: KeyScheme,
): Float32Array<ArrayBuffer> {
  const group = Math.min(scheme.group, headSize);
  const groups = kvGroups(headSize);
  if (!groups.includes(group)) {
    throw new RangeError(
      `Cannot quantize keys in groups of ${group}: heads have ${headSize} channels, expected ${
        groups.join(", ")
      }`,
    );
  }
  const codes = kvCodes(scheme);
  const quantized = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += group) {
    const part = values.subarray(start, start + group);
    const { scale, zero } = groupScale(part, scheme);
    part.forEach((x, i) => {
      quantized[start + i] = valueOf(codeOf(x, scale, zero, codes), scale, zero, codes.zero);
    });
  }
  return quantized;
}

/** A weight in half precision where that is exact, which is read faster. */
function weightOf({ rows, columns, values }: Matrix): HostTensor {
  const half = new Float16Array(values);
  const exact = half.every((value, i) => value === values[i]);
  return exact ? f16([rows, columns], half) : f32([rows, columns], values);
}

async function attended(
  device: Device,
  inputs: { readonly q: TensorRef; readonly k: TensorRef; readonly v: TensorRef },
  options: AttentionOptions,
  projection: readonly TensorRef[],
): Promise<Float32Array<ArrayBuffer>> {
  using mixed = device.run(attention, inputs, options).y;
  const [tokens = 0, heads = 0, headSize = 0] = inputs.q.shape;
  const x = mixed.view([tokens, heads * headSize]);
  const hidden = projection.reduce((sum, { shape }) => sum + shape[0]!, 0);
  using y = device.empty({ dtype: "f32", shape: [tokens, hidden] });
  let column = 0;
  for (const weight of projection) {
    device.run(matmul, { x, weight, y }, { column });
    column += weight.shape[0]!;
  }
  return (await device.read(y)).data as Float32Array<ArrayBuffer>;
}
