import type { Block } from "./memory.ts";
import { type Pipeline, Pipelines } from "./pipelines.ts";
import { type Copy, MOST_LAUNCHES, type PreparedLaunches, type Queue } from "./pooled_device.ts";
import type { Readback } from "./readback.ts";
import type { RecordedLaunch } from "./recording.ts";
import { assertValues, type HostTensor } from "./tensor.ts";
import type { Param } from "./kernel.ts";

/** Bytes of the params of a launch: what the offset of a uniform binding has to be a multiple of. */
const SLOT = 256;
const MOST_BIND_GROUPS = 8192;

/** A launch with all that the device needs of it. */
interface ReadyLaunch {
  /** Its shaders, one behind the other. */
  readonly passes: readonly {
    readonly pipeline: GPUComputePipeline;
    readonly grid: readonly [x: number, y: number, z: number];
  }[];
  readonly group: GPUBindGroup;
  /** Where its params begin. */
  readonly offset: number;
}

/** What the shaders of a launch see beside its params. */
type Bound = Pick<RecordedLaunch<GPUBuffer>, "blocks" | "scratch">;

/** Gathers launches in one compute pass a submit; their params lie in one arena. */
export class LaunchQueue implements Queue<GPUBuffer> {
  readonly #device: GPUDevice;
  readonly #bindingBytes: number;
  readonly #readback: Readback;
  readonly #pipelines: Pipelines;
  readonly #arena: GPUBuffer;
  readonly #params = new DataView(new ArrayBuffer(SLOT * MOST_LAUNCHES));
  readonly #groups = new Map<string, GPUBindGroup>();
  /** Slots of the arena in use. */
  #slots = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #failure: Error | undefined;
  #closed = false;

  constructor(
    device: GPUDevice,
    { bindingBytes, readback, subgroupLine }: {
      readonly bindingBytes: number;
      readonly readback: Readback;
      readonly subgroupLine: string;
    },
  ) {
    this.#device = device;
    this.#bindingBytes = bindingBytes;
    this.#readback = readback;
    this.#pipelines = new Pipelines(device, {
      subgroupLine,
      onRefused: (name, message) => {
        // Comes before what launches of it say, which is that they are of no use.
        this.#failure = failed(
          `its driver does not take the shader of ${name} (${message.trim()}), expected every driver to; leave --device out to run on the CPU, and report it with what deno task gpu-check says`,
        );
      },
    });
    this.#arena = this.#paramsBuffer("params", SLOT * MOST_LAUNCHES);
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const { error } = event as GPUUncapturedErrorEvent;
      this.#fail(
        error instanceof GPUOutOfMemoryError
          ? `it has no memory left (${error.message}), expected room for what is asked; lower --memory or the context, or end what else uses it`
          : error.message,
      );
    });
    device.lost.then(({ message, reason }) => {
      if (this.#closed) return;
      this.#fail(
        `the device was lost (${
          message || reason
        }), expected it to stay; run the command again, finished steps are kept`,
      );
    });
  }

  check(): void {
    if (this.#failure) throw this.#failure;
  }

  write({ buffer }: Block<GPUBuffer>, host: HostTensor): void {
    assertValues(host);
    const { data } = host;
    let whole: ArrayBufferView = data;
    if (data.byteLength % 4 !== 0) {
      const padded = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
      padded.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      whole = padded;
    }
    this.#device.queue.writeBuffer(buffer, 0, whole as BufferSource);
  }

  launch(recorded: RecordedLaunch<GPUBuffer>): void {
    const { first, passes } = this.#passesOf(recorded);
    const group = this.#groupOf(first, recorded);
    const offset = this.#slots * SLOT;
    writeParams(this.#params, offset, Object.values(recorded.launch.params));
    this.#slots++;
    this.#dispatch({ passes, group, offset });
  }

  /** Makes the bind groups of launches, and a buffer with their params. */
  prepare(launches: readonly RecordedLaunch<GPUBuffer>[]): PreparedLaunches {
    // Layers are alike: of the params of hundreds of launches only a few differ.
    const all = launches.map(({ launch }) => Object.values(launch.params));
    const slots = new Map(all.map((params) => [JSON.stringify(params), params]));
    const offsets = new Map([...slots.keys()].map((key, i) => [key, i * SLOT]));
    const values = new DataView(new ArrayBuffer(SLOT * Math.max(1, slots.size)));
    for (const [key, params] of slots) writeParams(values, offsets.get(key)!, params);
    const buffer = this.#paramsBuffer("params of a recording", values.byteLength);
    this.#device.queue.writeBuffer(buffer, 0, values.buffer);
    const ready = launches.map((recorded, i): ReadyLaunch => {
      const { first, passes } = this.#passesOf(recorded);
      const group = this.#bind(first, recorded, buffer);
      return { passes, group, offset: offsets.get(JSON.stringify(all[i]))! };
    });
    return {
      launch: (index) => this.#dispatch(ready[index]!),
      [Symbol.dispose]: () => buffer.destroy(),
    };
  }

  submit(copy?: Copy): void {
    const encoder = this.#encoder ?? this.#device.createCommandEncoder();
    this.#pass?.end();
    copy?.(encoder);
    if (this.#slots > 0) {
      this.#device.queue.writeBuffer(this.#arena, 0, this.#params.buffer, 0, this.#slots * SLOT);
    }
    this.#device.queue.submit([encoder.finish()]);
    this.#encoder = undefined;
    this.#pass = undefined;
    this.#slots = 0;
  }

  async read(
    { buffer }: Block<GPUBuffer>,
    bytes: number,
    submit: (copy?: Copy) => void,
  ): Promise<ArrayBuffer> {
    try {
      const data = await this.#readback.read(buffer, bytes, submit);
      await this.#pipelines.settled();
      // An error that stems from the work arrives in a task of its own.
      await Promise.resolve();
      this.check();
      return data;
    } catch (error) {
      // What ended the read may be told behind it.
      await new Promise((resolve) => setTimeout(resolve, 0));
      this.check();
      const reason = error instanceof Error ? error.message : String(error);
      throw failed(
        `its memory could not be read (${reason}), expected it to be; run the command again, finished steps are kept`,
        error,
      );
    }
  }

  /** Lets go of bind groups, for a buffer of theirs is gone. */
  forgetGroups(): void {
    this.#groups.clear();
  }

  /** Ends the device as if the driver had lost it. */
  lose(): void {
    this.#device.destroy();
    this.#fail("the device was lost, expected it to stay");
  }

  async close(): Promise<void> {
    await this.#device.queue.onSubmittedWorkDone();
    this.#closed = true;
    this.#device.destroy();
  }

  #fail(reason: string): void {
    this.#failure ??= failed(reason);
  }

  #passesOf({ kernel, launch, inputs, options }: RecordedLaunch<GPUBuffer>) {
    const name = () => kernel.cpu(inputs, options, launch).program;
    const first = this.#pipelines.find(kernel, launch, name);
    const passes = [{ pipeline: first.pipeline, grid: launch.grid }];
    if (launch.then) {
      const { pipeline } = this.#pipelines.find(kernel, { ...launch, ...launch.then }, name);
      passes.push({ pipeline, grid: launch.then.grid });
    }
    return { first, passes };
  }

  #dispatch({ passes, group, offset }: ReadyLaunch): void {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    for (const { pipeline, grid } of passes) {
      this.#pass.setPipeline(pipeline);
      this.#pass.setBindGroup(0, group, [offset]);
      this.#pass.dispatchWorkgroups(...grid);
    }
  }

  #groupOf(pipeline: Pipeline, bound: Bound): GPUBindGroup {
    const ids = [...bound.blocks, ...bound.scratch ? [bound.scratch] : []].map(({ id }) => id);
    const key = `${pipeline.id}:${ids.join(",")}`;
    let group = this.#groups.get(key);
    if (!group) {
      if (this.#groups.size >= MOST_BIND_GROUPS) this.#groups.clear();
      this.#groups.set(key, group = this.#bind(pipeline, bound, this.#arena));
    }
    return group;
  }

  #bind({ layout }: Pipeline, { blocks, scratch }: Bound, params: GPUBuffer): GPUBindGroup {
    const whole = ({ buffer, size }: Block<GPUBuffer>) => ({
      buffer,
      size: Math.min(size, this.#bindingBytes),
    });
    const resources = [
      ...blocks.map(whole),
      { buffer: params, size: SLOT },
      ...scratch ? [whole(scratch)] : [],
    ];
    return this.#device.createBindGroup({
      layout,
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
  }

  #paramsBuffer(label: string, size: number): GPUBuffer {
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    return this.#device.createBuffer({ label, size, usage });
  }
}

function failed(reason: string, cause?: unknown): Error {
  return new Error(`Cannot go on with the GPU: ${reason}`, { cause });
}

/** Writes the params of a launch as its shader reads them; throws where one is no 32-bit number. */
function writeParams(view: DataView, offset: number, params: readonly Param[]): void {
  params.forEach((param, index) => {
    const at = offset + 4 * index;
    if ("f32" in param) return view.setFloat32(at, param.f32, true);
    if (!Number.isInteger(param.u32) || param.u32 < 0 || param.u32 > 0xffffffff) {
      throw new RangeError(
        `Cannot launch: param ${index} is ${param.u32}, expected a 32-bit count`,
      );
    }
    view.setUint32(at, param.u32, true);
  });
}
