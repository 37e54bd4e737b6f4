import type { Device } from "../../kernels/device/device.ts";
import type { Observe } from "../models/layer.ts";
import type { SiteRole } from "../models/site.ts";
import { CrossGram, transposed, type TransposedRows } from "../quant/cross_gram.ts";

/**
 * Compares the inputs of a site behind quantized linears with those of the full-precision model, a window
 * at a time: first as the exact model has it, then the other.
 */
export class ShiftWatch implements Disposable {
  readonly #device: Device;
  readonly #site: SiteRole;
  #sum: CrossGram | undefined;
  /** The exact inputs of the window at work. */
  #exact: TransposedRows | undefined;

  constructor(device: Device, site: SiteRole) {
    this.#device = device;
    this.#site = site;
  }

  /** Keeps the inputs of a window in the exact model. */
  exact(): Observe {
    return (tap, x) => {
      if (tap === this.#site) this.#exact = transposed(this.#device, x);
    };
  }

  /** Compares those of the same window behind quantized linears with them. */
  quantized(): Observe {
    return (tap, x) => {
      if (tap !== this.#site) return;
      using others = this.#exact!;
      this.#exact = undefined;
      this.#sum ??= new CrossGram(this.#device, x.shape[1]!);
      this.#sum.add(x, others);
    };
  }

  /** Sum of x d^T of the site's inputs x, where d is what the exact ones exceed them by. */
  cross(): Promise<Float32Array<ArrayBuffer>> {
    return this.#sum!.read();
  }

  [Symbol.dispose](): void {
    this.#exact?.[Symbol.dispose]();
    this.#sum?.[Symbol.dispose]();
  }
}
