import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { u32, zeros } from "../../kernels/device/tensor.ts";
import { channelStats, copyRows, embed } from "../../kernels/mod.ts";
import { joined } from "../formats/half.ts";
import type { NamedValues, PiecedValues } from "../formats/safetensors/file.ts";
import type { ExpertRows } from "../models/layer.ts";
import { expertTap } from "../models/site.ts";
import { GramMatrix } from "../quant/gram.ts";
import { magnitudeTensors } from "./magnitudes.ts";
import { chosenRows } from "./chosen_rows.ts";

/** What is watched of the rows that go to experts at one place of a layer. */
export interface ExpertWatchOptions {
  /** What the place is called. */
  readonly name: string;
  readonly experts: number;
  readonly windows: number;
  /** Whether Gram matrices are summed, and magnitudes measured. */
  readonly gram: boolean;
  readonly magnitudes: boolean;
  /** Rows kept for each expert, on average: they are spread evenly over all. */
  readonly rows: number;
}

/** What is kept on the device of what was seen. */
export interface KeptTensors {
  readonly grams: readonly GramMatrix[];
  readonly tensors: readonly Tensor[];
}

/** Rows that were kept of a window. */
interface Kept {
  readonly window: number;
  /** Where they stood among those of the window. */
  readonly places: readonly number[];
  readonly values: Tensor;
}

/**
 * Watches what goes to each expert of a layer at one place, on the device; which rows are whose is read
 * at the end.
 */
export class ExpertWatch implements Disposable {
  readonly #device: Device;
  readonly #options: ExpertWatchOptions;
  readonly #stack = new DisposableStack();
  /** Bounds of experts u32 [windows, experts + 1]. */
  readonly #bounds: Tensor;
  readonly #magnitudes: Tensor[] = [];
  readonly #grams: GramMatrix[] = [];
  readonly #kept: Kept[] = [];
  #chosen: readonly (readonly number[])[] | undefined;

  constructor(device: Device, options: ExpertWatchOptions) {
    this.#device = device;
    this.#options = options;
    const shape = [options.windows, options.experts + 1];
    this.#bounds = this.#stack.use(
      device.upload(zeros({ dtype: "u32", shape }), "bounds of experts"),
    );
  }

  /** Looks at the rows of a window. */
  add(window: number, x: TensorRef, { bounds }: ExpertRows): void {
    const device = this.#device;
    const { experts, windows, gram, magnitudes, rows } = this.#options;
    const [count = 0, columns = 0] = x.shape;
    const source = bounds.view([1, experts + 1]);
    device.run(copyRows, { source, rows: this.#bounds }, { to: window });
    for (let expert = 0; expert < experts; expert++) {
      if (magnitudes) {
        const stats = this.#magnitudes[expert] ??= this.#stack.use(
          device.upload(zeros({ dtype: "f32", shape: [3, columns] }), "magnitudes of an expert"),
        );
        device.run(channelStats, { x, stats, bounds }, { expert });
      }
      if (!gram) continue;
      const sum = this.#grams[expert] ??= this.#stack.use(new GramMatrix(device, columns));
      sum.addExpert(x, { bounds, expert });
    }
    this.#chosen ??= chosenRows({ windows, context: count, rows: rows * experts });
    const places = this.#chosen[window] ?? [];
    if (places.length === 0) return;
    using tokens = device.upload(u32([places.length], places));
    const values = device.empty({ dtype: "f32", shape: [places.length, columns] });
    this.#stack.use(values);
    device.run(embed, { tokens, embeddings: x, y: values }, {});
    this.#kept.push({ window, places, values });
  }

  /** What it keeps. */
  get kept(): KeptTensors {
    const grams = this.#grams.filter((gram) => gram !== undefined);
    return { grams, tensors: [...this.#magnitudes, ...this.#kept.map(({ values }) => values)] };
  }

  /** How many tokens went to an expert; undefined where nothing is computed. */
  async tokens(expert: number): Promise<number | undefined> {
    const bounds = await this.#readBounds();
    return bounds[0] && this.#tokensOf(bounds, expert);
  }

  /** The whole Gram matrix of an expert's rows. */
  async gram(expert: number): Promise<Float32Array<ArrayBuffer>> {
    return await this.#grams[expert]!.read();
  }

  /** What was seen, under the names of a stats file. */
  async finish(): Promise<Map<string, NamedValues | PiecedValues>> {
    const seen = new Map<string, NamedValues | PiecedValues>();
    const bounds = await this.#readBounds();
    const kept = await this.#keptRows(bounds);
    for (let expert = 0; expert < this.#options.experts; expert++) {
      const name = expertTap(this.#options.name, expert);
      const tokens = this.#tokensOf(bounds, expert);
      seen.set(`${name}.tokens`, { shape: [1], values: Float32Array.of(tokens) });
      const magnitudes = this.#magnitudes[expert];
      if (magnitudes) {
        for (const [what, values] of magnitudeTensors(await this.#read(magnitudes), tokens)) {
          seen.set(`${name}.${what}`, { shape: [values.length], values });
        }
      }
      const gram = this.#grams[expert];
      if (gram) seen.set(`${name}.gram`, gram);
      const rows = kept[expert]!;
      if (rows.length === 0) continue;
      const shape = [rows.length, rows[0]!.length];
      seen.set(`${name}.rows`, { shape, values: joined(rows) });
    }
    return seen;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  /** The kept rows of each expert. */
  async #keptRows(bounds: readonly Uint32Array[]): Promise<Float32Array<ArrayBuffer>[][]> {
    const { experts } = this.#options;
    const rows = Array.from({ length: experts }, (): Float32Array<ArrayBuffer>[] => []);
    for (const { window, places, values } of this.#kept) {
      const read = await this.#read(values);
      const columns = values.shape[1]!;
      const ends = bounds[window]!.subarray(1);
      places.forEach((place, i) => {
        const expert = ends.findIndex((end) => place < end);
        rows[expert]!.push(read.slice(i * columns, (i + 1) * columns));
      });
    }
    return rows;
  }

  #tokensOf(bounds: readonly Uint32Array[], expert: number): number {
    return bounds.reduce((sum, each) => sum + each[expert + 1]! - each[expert]!, 0);
  }

  /** The bounds of each window; none where nothing is computed. */
  async #readBounds(): Promise<Uint32Array[]> {
    const { data } = await this.#device.read(this.#bounds);
    const width = this.#options.experts + 1;
    return Array.from(
      { length: data.length / width },
      (_, window) => (data as Uint32Array).subarray(window * width, (window + 1) * width),
    );
  }

  async #read(tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
    return (await this.#device.read(tensor)).data as Float32Array<ArrayBuffer>;
  }
}
