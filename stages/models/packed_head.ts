import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import type { Architecture } from "./family.ts";
import type { ModelRecord } from "./model_record.ts";
import { PackedLinear } from "./packed_linear.ts";
import type { LinearOutline } from "./site.ts";
import { openSiteForm, type SiteForm, type SiteInput, siteInput } from "./site_input.ts";

/** The weight of a head that stays in its codes on the device; see `Head` for what it does. */
export class PackedHead implements Disposable {
  readonly #codes: PackedLinear;
  readonly #form: SiteForm;

  private constructor(codes: PackedLinear, form: SiteForm) {
    this.#codes = codes;
    this.#form = form;
  }

  /** Reads the codes and scales of a head onto the device, piece by piece. */
  static async load(
    device: Device,
    checkpoint: Checkpoint,
    { linear, scheme }: CodedHead,
  ): Promise<PackedHead> {
    const { name, columns: channels } = linear;
    const codes = await PackedLinear.load(device, checkpoint, { names: [name], scheme });
    const { inputs } = scheme;
    return new PackedHead(codes, openSiteForm(device, { hadamard: false, channels, inputs }));
  }

  apply(device: Device, x: TensorRef): Tensor {
    return this.applyRows(device, x, { first: 0, rows: this.#codes.outputs });
  }

  applyRows(
    device: Device,
    x: TensorRef,
    range: { readonly first: number; readonly rows: number },
  ): Tensor {
    using input = siteInput(device, x, { form: this.#form, whole: false });
    return this.#rows(device, input, range);
  }

  applyInPieces(
    device: Device,
    x: TensorRef,
    most: number,
    use: (piece: TensorRef, first: number) => void,
  ): void {
    const { outputs } = this.#codes;
    using input = siteInput(device, x, { form: this.#form, whole: false });
    for (let first = 0; first < outputs; first += most) {
      using piece = this.#rows(device, input, { first, rows: Math.min(most, outputs - first) });
      use(piece, first);
    }
  }

  [Symbol.dispose](): void {
    this.#form[Symbol.dispose]();
    this.#codes[Symbol.dispose]();
  }

  #rows(
    device: Device,
    input: SiteInput,
    range: { readonly first: number; readonly rows: number },
  ): Tensor {
    const y = device.empty({ dtype: "f32", shape: [input.tokens, range.rows] });
    this.#codes.writeRows(device, input, y, range);
    return y;
  }
}

/** A head in codes. */
export interface CodedHead {
  readonly linear: LinearOutline;
  readonly scheme: LinearScheme;
}

/** The head of a model with its precision, where it is in codes. */
export function codedHead(
  { architecture: { head: { linears: [linear] } }, record: { linears } }: {
    readonly architecture: Pick<Architecture, "head">;
    readonly record: Pick<ModelRecord, "linears">;
  },
): CodedHead | undefined {
  const scheme = linears[linear.name];
  return scheme && { linear, scheme };
}
