import { Gpu } from "../../kernels/device/gpu.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import type { Choices } from "../../kernels/device/limits.ts";

/** The device that a check runs on, and what was found of it; opened anew where something ended it. */
export class Card implements AsyncDisposable {
  /** What memory and arithmetic of the card give at best, once that was measured. */
  ceilings?: Ceilings;
  readonly software: boolean;
  /** Gives the adapter, for a device of another kind. */
  readonly adapter: () => Promise<GPUAdapter>;
  readonly #open: () => Promise<Gpu>;
  #gpu: Gpu;
  #choices: Choices | undefined;

  private constructor(gpu: Gpu, open: () => Promise<Gpu>, options: CardOptions) {
    this.#gpu = gpu;
    this.#open = open;
    this.software = options.software;
    this.adapter = options.adapter;
  }

  /** Opens a card by what opens its device. */
  static async open(open: () => Promise<Gpu>, options: CardOptions): Promise<Card> {
    return new Card(await open(), open, options);
  }

  /** The device: another one behind `renew`. */
  get gpu(): Gpu {
    return this.#gpu;
  }

  /** Takes plans, also for devices to come. */
  choose(choices: Choices): void {
    this.#choices = choices;
    this.#gpu.choose(choices);
  }

  /** Opens the device anew if it runs nothing any more. */
  async renew(): Promise<void> {
    try {
      using word = this.#gpu.upload(u32([1]));
      await this.#gpu.read(word);
    } catch {
      await this.#gpu[Symbol.asyncDispose]().catch(() => {});
      this.#gpu = await this.#open();
      if (this.#choices) this.#gpu.choose(this.#choices);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gpu[Symbol.asyncDispose]();
  }
}

/** What is known of a card before it is opened. */
export interface CardOptions {
  /** A driver made of software is given less to do. */
  readonly software: boolean;
  adapter(): Promise<GPUAdapter>;
}

/** What a card gives at best. */
export interface Ceilings {
  /** GB/s of memory. */
  readonly bandwidth: number;
  /** 10^12 operations a second of `dot4I8Packed`. */
  readonly integer: number;
  /** 10^12 operations a second in f32. */
  readonly float: number;
}
