import { heldBits } from "../../kernels/codes/integer_codes.ts";
import {
  floatLayout,
  groupedLayout,
  integerLayout,
  twoLevelWords,
  type WeightLayout,
} from "../../kernels/codes/layout.ts";
import type { Device, HostTensor, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { matmulCodes, matmulGroups, matmulInt8 } from "../../kernels/mod.ts";
import type { MatmulOptions } from "../../kernels/parts/output_sizes.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { groupColumns, type LinearScheme, schemeKind } from "../quant/schemes.ts";
import { columnsOf, readPacked } from "../quant/stored_weight.ts";
import type { SiteInput } from "./site_input.ts";
import type { OutputColumns } from "./weight.ts";

const HOST_BYTES = 2 ** 26;

/** Consecutive rows of a quantized weight; see `WeightLayout`. */
interface Part {
  readonly first: number;
  readonly codes: Tensor;
  readonly rows?: Tensor;
  readonly groups?: Tensor;
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

  /** Whether its codes lie in one tensor. */
  get whole(): boolean {
    return this.#parts.length === 1;
  }

  /** How many rows like those of a linear one tensor holds. */
  static rowsAtOnce(device: Device, checkpoint: Checkpoint, name: string): number {
    const words = checkpoint.tensors.get(`${name}.codes`)!.shape[1]!;
    const most = Math.min(device.limits.bindingBytes, HOST_BYTES);
    return Math.max(1, Math.floor(most / (4 * words)));
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
    const step = PackedLinear.rowsAtOnce(device, checkpoint, names[0]!);
    const parts: Part[] = [];
    let held: WeightLayout[] = [];
    let [first, end] = [0, 0];
    const columns = columnsOf(weights, words);
    const inRow = columns / groupColumns(weights, columns);
    const grouped = schemeKind(weights) === "two_level" ? twoLevelWords(inRow) : inRow;
    const place = (host: Pick<HostTensor, "dtype" | "data">, width: number) =>
      stack.use(device.upload({ ...host, shape: [end - first, width] }, names[0]));
    const close = () => {
      if (end === first) return;
      const { codes, rows, groups } = stacked(held);
      parts.push({
        first,
        codes: place({ dtype: "u32", data: codes }, words),
        ...rows && { rows: place({ dtype: "f32", data: rows }, 2) },
        ...groups && { groups: place({ dtype: "u32", data: groups }, grouped) },
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
        held.push(layoutFor(scheme)(stored));
        end += count;
      }
    }
    close();
    return new PackedLinear([end, columns], scheme, parts, stack.move());
  }

  /** The linear layers, on the integer kernels where their input is quantized. */
  write(
    device: Device,
    input: SiteInput,
    { y, column, bias, experts }: OutputColumns,
  ): void {
    const added = { ...bias && { bias }, ...experts && { bounds: experts.bounds } };
    const span = experts && { experts: experts.span };
    for (const part of this.#parts) {
      this.#multiply(device, input, part, { ...added, y }, {
        column: column + part.first,
        ...span,
      });
    }
  }

  /** What `rows` outputs from `first` on make of an input, into f32 [tokens, rows]. */
  writeRows(
    device: Device,
    input: SiteInput,
    y: Tensor,
    { first, rows }: { readonly first: number; readonly rows: number },
  ): void {
    for (const part of this.#parts) {
      const start = Math.max(first, part.first);
      const count = Math.min(first + rows, part.first + part.codes.shape[0]!) - start;
      if (count <= 0) continue;
      const options = { row: start - part.first, rows: count, column: start - first };
      this.#multiply(device, input, part, { y }, options);
    }
  }

  #multiply(
    device: Device,
    { x, quantized }: SiteInput,
    { codes, rows, groups }: Part,
    to: { readonly y: Tensor; readonly bias?: TensorRef; readonly bounds?: TensorRef },
    place: MatmulOptions,
  ): void {
    const { weights, inputs } = this.#scheme;
    const bits = heldBits(weights.bits);
    const group = groupColumns(weights, this.#columns);
    if (inputs?.group !== undefined) {
      const from = { x: quantized!.codes, x_groups: quantized!.scales };
      const options = { group, outliers: weights.outlier_bits !== undefined, ...place };
      device.run(matmulGroups, { ...from, weight: codes, w_groups: groups!, ...to }, options);
    } else if (inputs) {
      const from = {
        x: quantized!.codes,
        x_rows: quantized!.scales,
        weight: codes,
        w_rows: rows!,
      };
      const grouped = groups ? { groups } : {};
      const options = { bits, ...groups && { group }, ...place };
      device.run(matmulInt8, { ...from, ...grouped, ...to }, options);
    } else {
      const options = { bits, group, zero: weights.zero, ...place };
      device.run(matmulCodes, { x: x!, weight: codes, groups: groups!, ...to }, options);
    }
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** How the kernel for a scheme takes its weights. */
function layoutFor({ inputs }: LinearScheme): typeof floatLayout {
  if (!inputs) return floatLayout;
  return inputs.group === undefined ? integerLayout : groupedLayout;
}

/** Rows one below the other. */
function stacked(held: readonly WeightLayout[]): WeightLayout {
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
  const [{ rows, groups }] = held as [WeightLayout];
  return {
    codes: words(held.map(({ codes }) => codes)),
    ...rows && {
      rows: new Float32Array(words(held.map(({ rows }) => new Uint32Array(rows!.buffer))).buffer),
    },
    ...groups && { groups: words(held.map(({ groups }) => groups!)) },
  };
}
