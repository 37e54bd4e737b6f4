import type { Device, Inputs, Recording } from "./device.ts";
import type { Kernel, Launch } from "./kernel.ts";
import type { Choices, Limits } from "./limits.ts";
import { type Block, type Destroyable, LARGE_BYTES, type Pool } from "./memory.ts";
import { PooledTensor } from "./pooled_tensor.ts";
import { type RecordedLaunch, Recorder, recordingOf, Scratch } from "./recording.ts";
import {
  byteLength,
  describe,
  type HostTensor,
  hostTensor,
  type Tensor,
  type TensorRef,
  type TensorSpec,
  TensorTooLarge,
  withoutValues,
} from "./tensor.ts";

/** Most launches of one submit. */
export const MOST_LAUNCHES = 512;

/** Adds a copy to the work that is submitted. */
export type Copy = (encoder: GPUCommandEncoder) => void;

/** Where launches and data of a device go, in order: launches gather until they are submitted. */
export interface Queue<B> {
  /** Throws where nothing can be run any more. */
  check(): void;
  /** Fills the beginning of a block; comes before launches that were not submitted. */
  write(block: Block<B>, host: HostTensor): void;
  launch(launch: RecordedLaunch<B>): void;
  /** Gets launches ready for being repeated. */
  prepare(launches: readonly RecordedLaunch<B>[]): PreparedLaunches;
  submit(copy?: Copy): void;
  /** The first `bytes` of a block behind all launches, which `submit` hands over; none if unknown. */
  read(
    block: Block<B>,
    bytes: number,
    submit: (copy?: Copy) => void,
  ): Promise<ArrayBuffer | undefined>;
  close(): Promise<void>;
}

/** Launches that can be repeated, one by one. */
export interface PreparedLaunches extends Disposable {
  launch(index: number): void;
}

/**
 * A device whose tensors lie in blocks of a pool: who holds which block, and when a freed one may be
 * taken again. What launches do is for its queue to say.
 */
export class PooledDevice<B extends Destroyable> implements Device {
  limits: Limits;
  readonly name: string;
  readonly #queue: Queue<B>;
  readonly #pool: Pool<B>;
  readonly #scratch: Scratch<B>;
  readonly #live = new Set<PooledTensor<B>>();
  /** In the place of inputs that are left out: one that is read, and one that would be changed. */
  readonly #nothing: Readonly<Record<"read" | "changed", Block<B>>>;
  #recorder: Recorder<B> | undefined;
  /** Launches that are not submitted. */
  #gathered = 0;

  constructor(
    { limits, name }: { readonly limits: Limits; readonly name: string },
    { queue, pool }: { readonly queue: Queue<B>; readonly pool: Pool<B> },
  ) {
    this.limits = limits;
    this.name = name;
    this.#queue = queue;
    this.#pool = pool;
    this.#scratch = new Scratch(pool);
    const nothing = () => pool.take(16, "an input left out");
    this.#nothing = { read: nothing(), changed: nothing() };
  }

  /** Takes these plans from now on, where there is a choice. */
  choose(choices: Choices): void {
    this.limits = { ...this.limits, choices };
  }

  /** Bytes of device memory held now and at most. */
  get memory(): { readonly held: number; readonly peak: number } {
    return { held: this.#pool.held, peak: this.#pool.peak };
  }

  upload(host: HostTensor, label = describe(host)): Tensor {
    this.#mustNotRecord("upload");
    const tensor = this.#take(host, label);
    try {
      this.#queue.write(tensor.block, host);
    } catch (error) {
      tensor[Symbol.dispose]();
      throw error;
    }
    return tensor;
  }

  write(tensor: TensorRef, host: HostTensor): void {
    this.#mustNotRecord("write");
    const block = this.#blockOf("tensor", tensor);
    const { data } = host;
    if (
      host.dtype !== tensor.dtype || data.byteLength > byteLength(tensor) || data.byteLength % 4 > 0
    ) {
      throw new RangeError(
        `Cannot write ${describe(host)} into ${
          describe(tensor)
        }: expected as many elements of its type at most, in whole words`,
      );
    }
    // Launches before it read what was there.
    this.flush();
    this.#queue.write(block, host);
  }

  empty(spec: TensorSpec, label = describe(spec)): Tensor {
    return this.#take(spec, label);
  }

  run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor> {
    this.#queue.check();
    const launch = kernel.plan(inputs as never, options, this.limits);
    this.#checkTurns(launch);
    const given = inputs as Readonly<Record<string, TensorRef | undefined>>;
    const mutates: readonly string[] = kernel.mutates ?? [];
    const read = kernel.inputs.map((name) =>
      given[name] === undefined
        ? this.#nothing[mutates.includes(name) ? "changed" : "read"]
        : this.#blockOf(name, given[name])
    );
    const outputs: Record<string, PooledTensor<B>> = {};
    try {
      for (const name of kernel.outputs) outputs[name] = this.#take(launch.outputs[name], name);
      const blocks = [...read, ...kernel.outputs.map((name) => outputs[name]!.block)];
      if (launch.grid.every((count) => count > 0)) {
        using between = launch.scratch && this.#take(launch.scratch, "scratch");
        const scratch = between?.block;
        this.#launch({ kernel, launch, blocks, scratch, inputs: given, options });
      }
    } catch (error) {
      // Where a launch is refused, no output is left behind.
      for (const output of Object.values(outputs)) output[Symbol.dispose]();
      throw error;
    }
    return outputs as Record<Out, Tensor>;
  }

  async record(make: () => Promise<readonly Tensor[]>): Promise<Recording> {
    this.#mustNotRecord("record");
    const recorder = this.#recorder = new Recorder(this.#scratch);
    this.#scratch.open();
    let outputs: readonly Tensor[];
    let ready: PreparedLaunches;
    try {
      outputs = await make();
      recorder.check();
      ready = this.#queue.prepare(recorder.launches);
    } catch (error) {
      this.#scratch.close();
      throw error;
    } finally {
      this.#recorder = undefined;
    }
    return recordingOf({
      outputs,
      launches: recorder.launches.length,
      replay: ({ from = 0, to = recorder.launches.length, after } = {}) => {
        this.#queue.check();
        recorder.check();
        for (let at = from; at < to; at++) {
          ready.launch(at);
          this.#gather();
          after?.(at);
        }
      },
      end: () => {
        this.flush();
        ready[Symbol.dispose]();
        this.#scratch.close();
        this.#pool.submitted();
      },
    });
  }

  async read(tensor: TensorRef): Promise<HostTensor> {
    this.#mustNotRecord("read");
    const block = this.#blockOf("tensor", tensor);
    const submit = (copy?: Copy) => this.#submit(copy);
    const bytes = await this.#queue.read(block, byteLength(tensor), submit);
    return bytes ? hostTensor(tensor, bytes) : withoutValues(tensor);
  }

  /** Hands the gathered launches to the device. */
  flush(): void {
    if (this.#gathered > 0) this.#submit();
  }

  /** Gives memory that no tensor holds back to the driver. */
  trim(): void {
    this.flush();
    this.#pool.trim();
  }

  /** Ends the device; throws where tensors were left undisposed, and lists them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.flush();
    const leaks = [...this.#live].map((tensor) => `${tensor.label} ${describe(tensor)}`);
    await this.#queue.close();
    if (leaks.length > 0) {
      throw new Error(
        `Cannot close the device cleanly: ${leaks.length} tensors were not disposed (${
          leaks.slice(0, 8).join("; ")
        })`,
      );
    }
  }

  #take(spec: TensorSpec, label: string): PooledTensor<B> {
    const bytes = byteLength(spec);
    if (bytes > this.limits.bindingBytes) {
      throw new TensorTooLarge(
        `Cannot place ${label} (${
          describe(spec)
        }): it takes ${bytes} bytes, expected at most ${this.limits.bindingBytes}, which a shader of this device can see of one; split it by rows, or take a shorter context`,
      );
    }
    const recorder = this.#recorder;
    if (bytes >= LARGE_BYTES && !recorder && this.#pool.waits(bytes)) this.flush();
    const block = (recorder ?? this.#pool).take(bytes, label);
    const tensor = new PooledTensor<B>(spec, block, label, () => {
      if (this.#live.delete(tensor)) (recorder ? this.#scratch : this.#pool).give(block);
      if (this.#gathered === 0) this.#pool.submitted();
    });
    this.#live.add(tensor);
    return tensor;
  }

  #blockOf(name: string, tensor: TensorRef): Block<B> {
    if (!(tensor instanceof PooledTensor)) {
      throw new TypeError(`Cannot use ${name}: it lives on another device, expected this one`);
    }
    if (tensor.disposed) throw new TypeError(`Cannot use ${name}: it was disposed`);
    this.#recorder?.use(tensor);
    return tensor.block;
  }

  #launch(launch: RecordedLaunch<B>): void {
    if (this.#recorder) {
      this.#recorder.launches.push(launch);
      return;
    }
    this.#queue.launch(launch);
    this.#gather();
  }

  /** Throws where the driver would end loops early, which no error tells. */
  #checkTurns({ turns = 0 }: Launch<string>): void {
    const { turns: most = Infinity } = this.limits;
    if (turns <= most) return;
    throw new RangeError(
      `Cannot compute on ${this.name}: sums of this size take ${turns} loop turns, expected at most ${most}, behind which this driver leaves values out without a word; leave --device out to run on the CPU`,
    );
  }

  #gather(): void {
    if (++this.#gathered === MOST_LAUNCHES) this.flush();
  }

  #submit(copy?: Copy): void {
    this.#queue.submit(copy);
    this.#gathered = 0;
    this.#pool.submitted();
  }

  #mustNotRecord(what: string): void {
    if (this.#recorder) {
      throw new TypeError(
        `Cannot ${what} while launches are put on record: expected only launches`,
      );
    }
  }
}
