import type { NamedValues } from "../formats/safetensors/file.ts";
import type { CodedWeight, Rows } from "../quant/coded_weight.ts";
import {
  type CodedTensor,
  codedTensors,
  storedArray,
  storedTensors,
} from "../quant/stored_weight.ts";
import type { WeightScheme } from "../quant/schemes.ts";

/** The tensors of the weight of a linear, whose rows come in pieces. */
export class StoredPieces {
  readonly tensors = new Map<string, NamedValues>();
  readonly #name: string;
  readonly #whole: readonly CodedTensor[];

  constructor(linear: Parameters<typeof codedTensors>[0], scheme: WeightScheme) {
    this.#name = linear.name;
    this.#whole = codedTensors(linear, scheme);
  }

  /** Puts rows where they belong; a header has no values to put. */
  add({ start }: Pick<Rows, "start">, piece: CodedWeight): void {
    const parts = storedTensors(piece, this.#name);
    this.#whole.forEach(({ name, shape, dtype }, at) => {
      const { values } = parts[at]!;
      const [rows, width] = shape;
      const whole = this.tensors.get(name) ??
        { shape, values: storedArray(dtype, values.length === 0 ? 0 : rows * width) };
      this.tensors.set(name, whole);
      whole.values.set(values, whole.values.length === 0 ? 0 : start * width);
    });
  }
}
