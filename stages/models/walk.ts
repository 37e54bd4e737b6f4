import type { Device } from "../../kernels/device/device.ts";
import type { Layer, Observe } from "./layer.ts";
import type { Model } from "./model.ts";
import { openPlaces, type Places, settle } from "./places.ts";
import type { SiteRole } from "./site.ts";
import type { Stream } from "./stream.ts";
import { Streams, type StreamsOptions } from "./streams.ts";

/** How windows go through layers. */
export interface PassOptions {
  /** Gives what watches the layer at work over a window. */
  observe?(window: number): Observe;
  /** Gives what stands in the place of a layer of the model; it is disposed behind the last window. */
  replace?(layer: number): Promise<Layer>;
  /** The last site that is observed, where nobody goes on with what the layer makes. */
  readonly until?: SiteRole;
  /** Windows that go through another layer than all others, which nothing stands in the place of. */
  readonly apart?: {
    has(window: number): boolean;
    /** It is disposed behind the last window. */
    layer(layer: number): Promise<Layer>;
  };
  /** Called as soon as the device is through with a window; what it throws ends the walk. */
  passed?(step: { readonly layer: number; readonly window: number }): void;
}

/** Takes windows through a model, all of them through a layer before any meets the next one. */
export class Walk implements Disposable {
  readonly #device: Device;
  readonly #model: Model;
  readonly #places: Places;
  readonly #streams: Streams;
  readonly #owned: Disposable;

  private constructor(
    device: Device,
    model: Model,
    { places, streams, owned }: {
      readonly places: Places;
      readonly streams: Streams;
      readonly owned: Disposable;
    },
  ) {
    this.#device = device;
    this.#model = model;
    this.#places = places;
    this.#streams = streams;
    this.#owned = owned;
  }

  /**
   * Begins with windows where the journal has them, else at their embeddings. Places may be given to
   * several walks.
   */
  static async open(
    device: Device,
    model: Model,
    texts: readonly Uint32Array[],
    { places: given, ...options }: StreamsOptions & { readonly places?: Places },
  ): Promise<Walk> {
    using stack = new DisposableStack();
    const places = given ?? stack.use(openPlaces(device, model.config, texts[0]?.length ?? 0));
    const streams = stack.use(await Streams.open(device, model, texts, options));
    return new Walk(device, model, { places, streams, owned: stack.move() });
  }

  /** The layer that comes next. */
  get layer(): number {
    return this.#streams.layer;
  }

  /** The windows that take part, in their order. */
  get windows(): readonly number[] {
    return this.#streams.windows;
  }

  /** Goes on until a layer comes next. */
  async reach(layer: number, options: PassOptions): Promise<void> {
    while (this.layer < layer) await this.pass(options);
  }

  /** Takes all windows through the next layer. */
  async pass(options: PassOptions): Promise<void> {
    await this.#run(options, async (window, run) => {
      await this.#streams.put(window, run(await this.#streams.take(window)));
    });
  }

  /** Lets copies of all windows through the next layer, and stays where it is. */
  async look(options: PassOptions): Promise<void> {
    await this.#run(options, async (window, run) => {
      run(await this.#streams.copy(window))[Symbol.dispose]();
    });
  }

  /** Takes a window's stream out; it is the caller's. */
  take(window: number): Promise<Stream> {
    return this.#streams.take(window);
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }

  async #run(
    { observe, replace, apart, until, passed }: PassOptions,
    each: (window: number, run: (stream: Stream) => Stream) => Promise<void>,
  ): Promise<void> {
    const { layer } = this;
    const [device, places] = [this.#device, this.#places];
    const weights = await (replace ? replace(layer) : this.#model.layer(layer));
    let others: Layer | undefined;
    try {
      others = await apart?.layer(layer);
      for (const window of this.windows) {
        const watch = observe?.(window);
        await each(window, (stream) => {
          using stack = new DisposableStack();
          // Whatever a failing layer has used up of it, the rest leaves the device.
          stack.use(stream);
          const of = others && apart?.has(window) ? others : weights;
          const next = of.run(device, { stream, places, observe: watch, until });
          stack.move();
          return next;
        });
        await settle(device, places);
        passed?.({ layer, window });
      }
    } finally {
      // Also where a window failed, since the device must not be left with it.
      others?.[Symbol.dispose]();
      if (replace) weights[Symbol.dispose]();
      else this.#model.release(weights);
    }
  }
}
