import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { byteLength, u32, zeros } from "../../kernels/device/tensor.ts";
import { channelStats, embed } from "../../kernels/mod.ts";
import { joined } from "../formats/half.ts";
import type { NamedValues, PiecedValues } from "../formats/safetensors/file.ts";
import type { AttentionTap, SiteRole } from "../models/site.ts";
import type { LayerOutline } from "../models/family.ts";
import type { ExpertRows, Observe } from "../models/layer.ts";
import { GramMatrix } from "../quant/gram.ts";
import { chosenRows } from "./chosen_rows.ts";
import { ExpertWatch } from "./expert_watch.ts";
import { magnitudeTensors } from "./magnitudes.ts";

/** What is watched of a layer. */
export interface WatchOptions {
  readonly windows: number;
  readonly context: number;
  /** Sites of which Gram matrices are summed. */
  readonly gram: readonly SiteRole[];
  /** Activations kept of each site, evenly spread over all tokens. */
  readonly rows: number;
  /** Windows of which queries, keys and values are kept whole. */
  readonly attentionWindows: number;
  /** Whether channel magnitudes are measured. */
  readonly magnitudes: boolean;
}

/** A site, or one of attention's taps. */
type Watched = SiteRole | AttentionTap;

/** Watches one layer over all windows, on the device; `finish` reads what it saw. */
export class LayerWatch implements Disposable {
  readonly #device: Device;
  readonly #layer: LayerOutline;
  readonly #options: WatchOptions;
  /** Which tokens of each window are kept. */
  readonly #chosen: readonly (readonly number[])[];
  readonly #stack = new DisposableStack();
  readonly #magnitudes = new Map<Watched, Tensor>();
  readonly #grams = new Map<SiteRole, GramMatrix>();
  readonly #kept = new Map<Watched, Tensor[]>();
  readonly #experts = new Map<SiteRole, ExpertWatch>();

  constructor(device: Device, layer: LayerOutline, options: WatchOptions) {
    this.#device = device;
    this.#layer = layer;
    this.#options = options;
    this.#chosen = chosenRows(options);
  }

  /** The observer for a run of the layer over a window. */
  observe(window: number): Observe {
    return (tap, x, rows) => {
      if (rows && !this.#attends(tap)) {
        this.#expertsAt(tap, rows).add(window, x, rows);
        return;
      }
      if (this.#options.magnitudes) this.#measure(tap, x);
      if (this.#attends(tap)) {
        const whole = window < this.#options.attentionWindows;
        if (whole) this.#keep(tap, x, Array.from({ length: x.shape[0]! }, (_, i) => i));
        return;
      }
      if (this.#options.gram.includes(tap)) this.#addGram(tap, x);
      this.#keep(tap, x, this.#chosen[window] ?? []);
    };
  }

  /** Bytes of all that it keeps, and the most that `finish` and who writes it have of that at once. */
  get bytes(): { readonly kept: number; readonly read: number } {
    const own = {
      grams: [...this.#grams.values()],
      tensors: [...this.#magnitudes.values(), ...[...this.#kept.values()].flat()],
    };
    const all = [own, ...this.#experts.values().map(({ kept }) => kept)];
    const grams = all.flatMap(({ grams }) => grams);
    const sum = (sizes: readonly number[]) => sizes.reduce((sum, bytes) => sum + bytes, 0);
    const others = sum(all.flatMap(({ tensors }) => tensors).map(byteLength));
    return {
      kept: others + sum(grams.map(({ bytes }) => bytes)),
      read: others + grams.reduce((most, { pieceBytes }) => Math.max(most, pieceBytes), 0),
    };
  }

  /** What was seen, under the names of a stats file. */
  async finish(): Promise<Map<string, NamedValues | PiecedValues>> {
    const seen = new Map<string, NamedValues | PiecedValues>();
    const tokens = this.#options.windows * this.#options.context;
    const nameOf = (tap: Watched) =>
      this.#attends(tap) ? this.#layer.taps[tap].name : this.#layer.site(tap).name;
    for (const [tap, tensor] of this.#magnitudes) {
      for (const [what, values] of magnitudeTensors(await this.#read(tensor), tokens)) {
        seen.set(`${nameOf(tap)}.${what}`, { shape: [values.length], values });
      }
    }
    for (const [tap, gram] of this.#grams) seen.set(`${nameOf(tap)}.gram`, gram);
    for (const [tap, tensors] of this.#kept) {
      const read = await Promise.all(tensors.map((tensor) => this.#read(tensor)));
      const columns = tensors[0]!.shape[1]!;
      const entries = this.#attends(tap)
        ? read.map((values, window) => [`${nameOf(tap)}.${window}`, values] as const)
        : [[`${nameOf(tap)}.rows`, joined(read)] as const];
      for (const [name, values] of entries) {
        seen.set(name, { shape: [values.length / columns, columns], values });
      }
    }
    for (const watch of this.#experts.values()) {
      for (const [name, tensor] of await watch.finish()) seen.set(name, tensor);
    }
    return seen;
  }

  /** The whole Gram matrix of a site, or of what goes to one expert there, f32 [channels, channels]. */
  async gram(site: SiteRole, expert?: number): Promise<Float32Array<ArrayBuffer>> {
    if (expert !== undefined) return await this.#experts.get(site)!.gram(expert);
    return await this.#grams.get(site)!.read();
  }

  /** How many tokens went to an expert; undefined where nothing is computed. */
  async tokens(site: SiteRole, expert: number): Promise<number | undefined> {
    return await this.#experts.get(site)!.tokens(expert);
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  /** What watches the rows of experts before them, or inside each. */
  #expertsAt(tap: SiteRole, { bounds }: ExpertRows): ExpertWatch {
    const found = this.#experts.get(tap);
    if (found) return found;
    const inside = tap === "mlp.out";
    const { windows, gram, magnitudes, rows } = this.#options;
    const watch = new ExpertWatch(this.#device, {
      name: `layers.${this.#layer.index}.${tap}`,
      experts: bounds.shape[0]! - 1,
      windows,
      gram: gram.includes(tap),
      // Before experts the site as a whole has these.
      magnitudes: magnitudes && inside,
      rows: inside ? rows : 0,
    });
    this.#experts.set(tap, this.#stack.use(watch));
    return watch;
  }

  #attends(tap: Watched): tap is AttentionTap {
    return tap in this.#layer.taps;
  }

  #measure(tap: Watched, x: TensorRef): void {
    let stats = this.#magnitudes.get(tap);
    if (!stats) {
      stats = this.#stack.use(this.#device.upload(
        zeros({ dtype: "f32", shape: [3, x.shape[1]!] }),
        `magnitudes of ${tap}`,
      ));
      this.#magnitudes.set(tap, stats);
    }
    this.#device.run(channelStats, { x, stats }, {});
  }

  #addGram(tap: SiteRole, x: TensorRef): void {
    let sum = this.#grams.get(tap);
    if (!sum) {
      sum = this.#stack.use(new GramMatrix(this.#device, x.shape[1]!));
      this.#grams.set(tap, sum);
    }
    sum.add(x);
  }

  /** Copies some rows of an activation. */
  #keep(tap: Watched, x: TensorRef, rows: readonly number[]): void {
    if (rows.length === 0) return;
    using tokens = this.#device.upload(u32([rows.length], rows));
    const y = this.#device.empty({ dtype: "f32", shape: [rows.length, x.shape[1]!] });
    this.#stack.use(y);
    this.#device.run(embed, { tokens, embeddings: x, y }, { first: 0 });
    const kept = this.#kept.get(tap);
    if (kept) kept.push(y);
    else this.#kept.set(tap, [y]);
  }

  async #read(tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
    return (await this.#device.read(tensor)).data as Float32Array<ArrayBuffer>;
  }
}
