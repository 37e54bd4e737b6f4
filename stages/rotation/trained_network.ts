import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import type { ModelFiles } from "../models/family.ts";
import { Model } from "../models/model.ts";
import { openPlaces, type Places, settle } from "../models/places.ts";
import { hadamardFactor, leftFactor } from "../quant/hadamard.ts";
import type { LayerStreams } from "./layer_streams.ts";
import type { LearnedRotations } from "./learned_rotations.ts";
import { crossEntropy, type LastStream } from "./loss.ts";
import { addCross, Products } from "./products.ts";
import { TrainedLayer } from "./trained_layer.ts";
import type { TrainingPass, TrainingSchemes, TurnMatrix } from "./training_pass.ts";

/** How a network is trained. */
export interface TrainingOptions {
  readonly schemes: TrainingSchemes;
  /** Layers stay on the device if the weights of all, and their transposes, fit in so many bytes. */
  readonly weightBytes: number;
  readonly streams: LayerStreams;
  readonly signal: AbortSignal;
  /** Told after every layer of every window, on the way there and back. */
  passed?(): void;
}

/** The mean cross-entropy of a token, and what it loses by the entries of each rotation. */
export interface LossAndGradients {
  readonly loss: number;
  readonly gradients: LearnedRotations;
}

/**
 * A model through which rotations are learned, a layer at a time: windows go through it together, their
 * streams before every layer are kept, and each layer runs again on the way back.
 */
export class TrainedNetwork implements Disposable {
  readonly #device: Device;
  readonly #files: ModelFiles;
  readonly #options: TrainingOptions;
  readonly #kept = new Map<number, TrainedLayer>();
  readonly #resident: boolean;

  constructor(device: Device, files: ModelFiles, options: TrainingOptions) {
    this.#device = device;
    this.#files = files;
    this.#options = options;
    const { linears } = files.architecture;
    const values = linears.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
    this.#resident = 2 * 4 * values <= options.weightBytes;
  }

  /** Runs windows of one length there and back; each gives a token less than it has. */
  async gradients(
    rotations: LearnedRotations,
    windows: readonly Uint32Array[],
  ): Promise<LossAndGradients> {
    const device = this.#device;
    const { config } = this.#files.architecture;
    const { hidden, layers } = config;
    using work = new Products(device);
    using places = openPlaces(device, config, windows[0]!.length - 1);
    const pass = this.#pass(work, { places, rotations });
    const gradient = work.upload(f32([hidden, hidden]));
    await this.#climb(windows, { pass, rotations });
    using stack = new DisposableStack();
    const { mean, gradients } = await this.#lose(windows, { pass, gradient, stack });
    const heads: Float32Array<ArrayBuffer>[] = [];
    for (let layer = layers - 1; layer >= 0; layer--) {
      heads.unshift(await this.#backward(layer, rotations, { pass, gradient, gradients }));
    }
    await this.#embed(windows, { pass, back: { gradient, gradients } });
    const { data } = await device.read(gradient);
    return { loss: mean, gradients: { residual: data as Float32Array<ArrayBuffer>, heads } };
  }

  /** Runs windows of one length there alone; gives the mean cross-entropy of a token. */
  async loss(rotations: LearnedRotations, windows: readonly Uint32Array[]): Promise<number> {
    const device = this.#device;
    using work = new Products(device);
    using places = openPlaces(device, this.#files.architecture.config, windows[0]!.length - 1);
    const pass = this.#pass(work, { places, rotations });
    await this.#climb(windows, { pass, rotations });
    using stack = new DisposableStack();
    return (await this.#lose(windows, { pass, stack })).mean;
  }

  [Symbol.dispose](): void {
    for (const layer of this.#kept.values()) layer[Symbol.dispose]();
    this.#kept.clear();
  }

  #pass(
    work: Products,
    { places, rotations }: { readonly places: Places; readonly rotations: LearnedRotations },
  ): TrainingPass {
    const { config } = this.#files.architecture;
    const { hidden, inner } = config;
    const left = leftFactor(hadamardFactor(inner, "inner size"));
    const factor = left && work.upload(left);
    return {
      config,
      schemes: this.#options.schemes,
      residual: turnOf(work, rotations.residual, hidden),
      places,
      ones: work.upload(f32([hidden], new Float32Array(hidden).fill(1))),
      left: factor,
      leftInverse: left &&
        work.upload(f32(left.shape, transposedSquare(left.data, left.shape[0]!))),
    };
  }

  /** Takes windows behind the last layer. */
  async #climb(
    windows: readonly Uint32Array[],
    { pass, rotations }: { readonly pass: TrainingPass; readonly rotations: LearnedRotations },
  ): Promise<void> {
    await this.#embed(windows, { pass });
    for (let layer = 0; layer < pass.config.layers; layer++) {
      await this.#forward(layer, rotations, { pass, windows });
    }
  }

  /** Puts windows before the first layer, or adds what the loss loses there by R1. */
  async #embed(
    windows: readonly Uint32Array[],
    { pass: { residual }, back }: { readonly pass: TrainingPass; readonly back?: Return },
  ): Promise<void> {
    const device = this.#device;
    using model = Model.of(device, this.#files, { weightBytes: 0 });
    using embeddings = await model.embeddings();
    for (const [window, ids] of windows.entries()) {
      this.#options.signal.throwIfAborted();
      const count = ids.length - 1;
      using work = new Products(device);
      using e = embeddings.embed(device, work.upload(u32([count], ids.subarray(0, count))));
      if (back) addCross(device, back.gradient, e, back.gradients[window]!);
      else await this.#keep(0, window, work.times(e, residual.inverse));
    }
  }

  async #forward(
    layer: number,
    { heads }: LearnedRotations,
    { pass, windows }: { readonly pass: TrainingPass; readonly windows: readonly Uint32Array[] },
  ): Promise<void> {
    const device = this.#device;
    const { headSize } = pass.config;
    using work = new Products(device);
    const head = turnOf(work, heads[layer]!, headSize);
    await this.#with(layer, async (weights) => {
      for (const window of windows.keys()) {
        this.#options.signal.throwIfAborted();
        using x = await this.#load(layer, window, windows[window]!.length - 1);
        using y = weights.forward(device, x, { pass, head });
        await this.#keep(layer + 1, window, y);
        await settle(device, pass.places);
        this.#options.passed?.();
      }
    });
  }

  async #lose(
    windows: readonly Uint32Array[],
    { pass, gradient, stack }: {
      readonly pass: TrainingPass;
      readonly gradient?: Tensor;
      readonly stack: DisposableStack;
    },
  ) {
    const device = this.#device;
    const { layers } = pass.config;
    using work = new DisposableStack();
    const streams: LastStream[] = [];
    for (const [window, ids] of windows.entries()) {
      const x = work.use(await this.#load(layers, window, ids.length - 1));
      const targets = work.use(device.upload(u32([ids.length - 1], ids.subarray(1))));
      streams.push({ x, targets });
    }
    const loss = await crossEntropy(device, this.#files, { windows: streams, pass, gradient });
    for (const tensor of loss.gradients) stack.use(tensor);
    return loss;
  }

  /** Takes gradients of streams before the next layer to this one; gives that of its R2. */
  async #backward(
    layer: number,
    { heads }: LearnedRotations,
    { pass, gradient, gradients }: Return & { readonly pass: TrainingPass },
  ): Promise<Float32Array<ArrayBuffer>> {
    const device = this.#device;
    const { headSize } = pass.config;
    using work = new Products(device);
    const head = turnOf(work, heads[layer]!, headSize);
    const own = work.upload(f32([headSize, headSize]));
    await this.#with(layer, async (weights) => {
      for (const [window, d] of gradients.entries()) {
        this.#options.signal.throwIfAborted();
        using x = await this.#load(layer, window, d.shape[0]!);
        const turns = { pass, head, gradients: { residual: gradient, head: own } };
        weights.backward(device, { x, d }, turns);
        await settle(device, pass.places);
        this.#options.passed?.();
      }
    });
    return (await device.read(own)).data as Float32Array<ArrayBuffer>;
  }

  async #with(layer: number, use: (weights: TrainedLayer) => Promise<void>): Promise<void> {
    const held = this.#kept.get(layer);
    const weights = held ?? await TrainedLayer.load(this.#device, this.#files, layer);
    if (this.#resident) this.#kept.set(layer, weights);
    try {
      await use(weights);
    } finally {
      if (!this.#resident) weights[Symbol.dispose]();
    }
  }

  async #keep(layer: number, window: number, x: Tensor): Promise<void> {
    const { data } = await this.#device.read(x);
    await this.#options.streams.put(layer, window, data as Float32Array);
  }

  async #load(layer: number, window: number, tokens: number): Promise<Tensor> {
    const { hidden } = this.#files.architecture.config;
    const values = await this.#options.streams.get(layer, window);
    return this.#device.upload(f32([tokens, hidden], values));
  }
}

/** The way back: the gradient of R1, and those of the streams of windows. */
interface Return {
  readonly gradient: Tensor;
  readonly gradients: readonly Tensor[];
}

function turnOf(work: Products, values: Float32Array, size: number): TurnMatrix {
  const matrix = work.upload(f32([size, size], values), "rotation");
  return { matrix, inverse: work.transposed(matrix) };
}

function transposedSquare(values: ArrayLike<number>, size: number): Float32Array {
  return Float32Array.from(values, (_, at) => values[at % size * size + Math.floor(at / size)]!);
}
