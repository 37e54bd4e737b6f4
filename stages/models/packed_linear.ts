import type { Device, Tensor } from "../../kernels/device/device.ts";
import { matmulCodes, matmulInt8 } from "../../kernels/mod.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { PackedWeight } from "../quant/packed.ts";
import { groupColumns, type LinearScheme, type WeightScheme } from "../quant/schemes.ts";
import { readPacked } from "./packed_parts.ts";
import type { SiteInput } from "./site_input.ts";
import type { OutputColumns } from "./weight.ts";

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

/** What of consecutive rows goes onto the device. */
interface HostRows {
  readonly codes: Uint32Array<ArrayBuffer>;
  readonly rows?: Float32Array<ArrayBuffer>;
  readonly groups?: Uint32Array<ArrayBuffer>;
}

/** Linears of one scheme whose weights stay in their codes on the device, one below the other. */
export class PackedLinear implements Disposable {
  readonly outputs: number;
  readonly #columns: number;
  readonly #scheme: LinearScheme;
  readonly #parts: readonly Part[];
  readonly #owned: DisposableStack;

  private constructor(
    shape: readonly [outputs: number, columns: number],
    scheme: LinearScheme,
    parts: readonly Part[],
    owned: DisposableStack,
  ) {
    [this.outputs, this.#columns] = shape;
    this.#scheme = scheme;
    this.#parts = parts;
    this.#owned = owned;
  }

  /** Reads the codes and scales of linears of as many columns, piece by piece. */
  static async load(
    device: Device,
    checkpoint: Checkpoint,
    { names, scheme }: { readonly names: readonly string[]; readonly scheme: LinearScheme },
  ): Promise<PackedLinear> {
    using stack = new DisposableStack();
    const { weights } = scheme;
    const words = checkpoint.tensors.get(`${names[0]}.codes`)!.shape[1]!;
    const most = Math.min(device.limits.bindingBytes, HOST_BYTES);
    const step = Math.max(1, Math.floor(most / (4 * words)));
    const parts: Part[] = [];
    let held: HostRows[] = [];
    let [first, end] = [0, 0];
    const place = (data: Uint32Array | Float32Array, dtype: "u32" | "f32") => {
      const shape = [end - first, data.length / (end - first)];
      return stack.use(device.upload({ dtype, shape, data }, names[0]));
    };
    const close = () => {
      if (end === first) return;
      const { codes, rows, groups } = stacked(held);
      parts.push({
        first,
        codes: place(codes, "u32"),
        ...rows && { rows: place(rows, "f32") },
        ...groups && { groups: place(groups, "u32") },
      });
      held = [];
      first = end;
    };
    for (const name of names) {
      const outputs = checkpoint.tensors.get(`${name}.codes`)!.shape[0]!;
      for (let start = 0; start < outputs; start += step) {
        const count = Math.min(step, outputs - start);
        if (end - first + count > step) close();
        const stored = await readPacked(checkpoint, name, weights, { start, end: start + count });
        held.push(hostRows(stored, scheme, count));
        end += count;
      }
    }
    close();
    const columns = words * (weights.bits <= 4 ? 8 : 4);
    return new PackedLinear([end, columns], scheme, parts, stack.move());
  }

  /** The linear layers, on the integer kernels where their input is quantized. */
  write(device: Device, { x, quantized }: SiteInput, { y, column, bias }: OutputColumns): void {
    const { weights, inputs } = this.#scheme;
    const bits = weights.bits <= 4 ? 4 : 8;
    const group = groupColumns(weights, this.#columns);
    const added = bias ? { bias } : {};
    for (const { first, codes, rows, groups } of this.#parts) {
      const to = column + first;
      if (inputs) {
        const from = { x: quantized!.codes, x_rows: quantized!.rows, weight: codes, w_rows: rows! };
        const grouped = groups ? { groups } : {};
        const options = { bits, column: to, ...groups && { group } } as const;
        device.run(matmulInt8, { ...from, ...grouped, y, ...added }, options);
      } else {
        const options = { bits, group, zero: weights.zero, column: to } as const;
        device.run(matmulCodes, { x: x!, weight: codes, groups: groups!, y, ...added }, options);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Rows of a stored weight as the kernels take them. */
function hostRows(stored: PackedWeight, scheme: LinearScheme, rows: number): HostRows {
  const { weights, inputs } = scheme;
  return {
    codes: inputs ? unsignedCodes(stored, weights) : stored.codes,
    ...inputs && { rows: rowScales(stored, weights) },
    ...(!inputs || weights.levels === 2) && { groups: groupWords(stored, weights, rows) },
  };
}

/** Rows one below the other. */
function stacked(held: readonly HostRows[]): HostRows {
  if (held.length === 1) return held[0]!;
  const words = (parts: readonly Uint32Array[]) => {
    const all = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  };
  const [{ rows, groups }] = held as [HostRows];
  return {
    codes: words(held.map(({ codes }) => codes)),
    ...rows && {
      rows: new Float32Array(words(held.map(({ rows }) => new Uint32Array(rows!.buffer))).buffer),
    },
    ...groups && { groups: words(held.map(({ groups }) => groups!)) },
  };
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
  rows: number,
): Uint32Array<ArrayBuffer> {
  if (levels === 1) {
    const pairs = new Float16Array(2 * scales.length);
    scales.forEach((scale, at) => {
      pairs[2 * at] = scale;
      pairs[2 * at + 1] = zeros?.[at] ?? 0;
    });
    return new Uint32Array(pairs.buffer);
  }
  const groups = group_scales!.length / rows;
  const words = Math.ceil(groups / 2);
  const bytes = new Uint8Array(4 * words * rows);
  group_scales!.forEach((scale, at) => {
    const to = 4 * words * Math.floor(at / groups) + 2 * (at % groups);
    bytes[to] = scale;
    bytes[to + 1] = group_zeros ? group_zeros[at]! : largestCode(bits) * scale;
  });
  return new Uint32Array(bytes.buffer);
}
