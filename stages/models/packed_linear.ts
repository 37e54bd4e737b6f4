import type { Device, HostTensor, Tensor } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { matmulCodes, matmulInt8 } from "../../kernels/mod.ts";
import type { Checkpoint, RowRange } from "../formats/checkpoint.ts";
import type { PackedWeight } from "../quant/packed.ts";
import { groupColumns, type LinearScheme, type WeightScheme } from "../quant/schemes.ts";
import { readPacked } from "./packed_parts.ts";
import type { SiteInput } from "./site_input.ts";
import { loadVector } from "./weight.ts";

const HOST_BYTES = 2 ** 26;
/** Adds 8 to each nibble of a word, which turns signed codes into unsigned ones. */
const FLIP_SIGNS = 0x88888888;
/** 1 in each nibble of a word. */
const ONES = 0x11111111;

/** Consecutive rows of a quantized weight, as a kernel takes them. */
interface Part {
  readonly first: number;
  readonly codes: Tensor;
  /** f32 [rows, 2] scale and scaled zero, for 8-bit inputs. */
  readonly rows?: Tensor;
  /** Scales and zeros of groups: two f16 a word, or with two levels 16 bits a group. */
  readonly groups?: Tensor;
}

/** A linear whose weight stays in its codes on the device. */
export class PackedLinear implements Disposable {
  readonly #outputs: number;
  readonly #columns: number;
  readonly #scheme: LinearScheme;
  readonly #parts: readonly Part[];
  readonly #bias: Tensor | undefined;
  readonly #owned: DisposableStack;

  private constructor(
    shape: readonly [outputs: number, columns: number],
    scheme: LinearScheme,
    parts: readonly Part[],
    owned: { readonly bias: Tensor | undefined; readonly stack: DisposableStack },
  ) {
    [this.#outputs, this.#columns] = shape;
    this.#scheme = scheme;
    this.#parts = parts;
    this.#bias = owned.bias;
    this.#owned = owned.stack;
  }

  /** Reads the codes and scales of a linear piece by piece; `bias` names a vector of the model. */
  static async load(
    device: Device,
    checkpoint: Checkpoint,
    { name, scheme, bias }: {
      readonly name: string;
      readonly scheme: LinearScheme;
      readonly bias: string | undefined;
    },
  ): Promise<PackedLinear> {
    using stack = new DisposableStack();
    const { weights, inputs } = scheme;
    const [outputs = 0, words = 0] = checkpoint.tensors.get(`${name}.codes`)!.shape;
    const columns = words * (weights.bits <= 4 ? 8 : 4);
    const most = Math.min(device.limits.bindingBytes, HOST_BYTES);
    const step = Math.max(1, Math.floor(most / (4 * words)));
    const parts: Part[] = [];
    for (let start = 0; start < outputs; start += step) {
      const range: RowRange = { start, end: Math.min(outputs, start + step) };
      const stored = await readPacked(checkpoint, name, weights, range);
      const place = (host: HostTensor) => stack.use(device.upload(host, name));
      const rows = range.end - start;
      const shape = { rows, columns };
      parts.push({
        first: start,
        codes: place(u32([rows, words], inputs ? unsignedCodes(stored, weights) : stored.codes)),
        ...inputs && { rows: place(f32([rows, 2], rowScales(stored, weights))) },
        ...(!inputs || weights.levels === 2) &&
          { groups: place(groupWords(stored, weights, shape)) },
      });
    }
    const vector = bias ? stack.use(await loadVector(device, checkpoint, bias)) : undefined;
    const owned = { bias: vector, stack: stack.move() };
    return new PackedLinear([outputs, columns], scheme, parts, owned);
  }

  /** The linear layer, on the integer kernels where its input is quantized. */
  apply(device: Device, { x, quantized }: SiteInput): Tensor {
    const y = device.empty({ dtype: "f32", shape: [x.shape[0]!, this.#outputs] });
    const { weights, inputs } = this.#scheme;
    const bits = weights.bits <= 4 ? 4 : 8;
    const group = groupColumns(weights, this.#columns);
    const bias = this.#bias ? { bias: this.#bias } : {};
    for (const { first, codes, rows, groups } of this.#parts) {
      if (inputs) {
        const from = { x: quantized!.codes, x_rows: quantized!.rows, weight: codes, w_rows: rows! };
        const grouped = groups ? { groups } : {};
        const options = { bits, column: first, ...groups && { group } } as const;
        device.run(matmulInt8, { ...from, ...grouped, y, ...bias }, options);
      } else {
        const options = { bits, group, zero: weights.zero, column: first } as const;
        device.run(matmulCodes, { x, weight: codes, groups: groups!, y, ...bias }, options);
      }
    }
    return y;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Codes for 8-bit inputs: nibbles are unsigned there, the zero point makes up for it. */
function unsignedCodes(
  { codes }: PackedWeight,
  { bits, zero, levels }: WeightScheme,
): Uint32Array<ArrayBuffer> {
  if (bits > 4 || zero !== "none") return codes;
  // With two levels by as little as makes them unsigned, for code times scale must be a byte.
  const less = levels === 2 ? (8 - largestCode(bits)) * ONES : 0;
  return codes.map((word) => ((word ^ FLIP_SIGNS) >>> 0) - less);
}

/** The largest of signed codes. */
function largestCode(bits: number): number {
  return 2 ** (bits - 1) - 1;
}

/** Scale and scaled zero of every row: what is taken from code times scale. */
function rowScales(
  { scales, zeros }: PackedWeight,
  { bits, zero, levels }: WeightScheme,
): Float32Array<ArrayBuffer> {
  const pairs = new Float32Array(2 * scales.length);
  scales.forEach((scale, row) => {
    pairs[2 * row] = scale;
    if (levels === 2 || bits === 8) return;
    pairs[2 * row + 1] = zero === "none"
      ? 8 * scale
      : zero === "pre_scale"
      ? zeros![row]! * scale
      : zeros![row]!;
  });
  return pairs;
}

function groupWords(
  { scales, zeros, group_scales, group_zeros }: PackedWeight,
  { bits, levels }: WeightScheme,
  { rows }: { readonly rows: number },
): HostTensor {
  if (levels === 1) {
    const pairs = new Float16Array(2 * scales.length);
    scales.forEach((scale, at) => {
      pairs[2 * at] = scale;
      pairs[2 * at + 1] = zeros?.[at] ?? 0;
    });
    return u32([rows, scales.length / rows], new Uint32Array(pairs.buffer));
  }
  const groups = group_scales!.length / rows;
  const words = Math.ceil(groups / 2);
  const bytes = new Uint8Array(4 * words * rows);
  group_scales!.forEach((scale, at) => {
    const to = 4 * words * Math.floor(at / groups) + 2 * (at % groups);
    bytes[to] = scale;
    bytes[to + 1] = group_zeros ? group_zeros[at]! : largestCode(bits) * scale;
  });
  return u32([rows, words], new Uint32Array(bytes.buffer));
}
