import type { Param } from "../kernel.ts";
import type { Block } from "../memory.ts";
import type { Copy, PreparedLaunches, Queue } from "../pooled_device.ts";
import type { RecordedLaunch } from "../recording.ts";
import { assertValues, type HostTensor } from "../tensor.ts";
import type { Region } from "./heap.ts";
import {
  COMPLETED,
  PUBLISHED,
  REACHED,
  SLEEPERS,
  SLOT_ARGS,
  SLOT_ARRIVED,
  SLOT_BYTES,
  SLOT_PROGRAM,
  SLOT_TAKEN,
  SLOT_TASKS,
  SLOTS,
  STOP,
  WANTED,
} from "./protocol.ts";

const SLOT_WORDS = SLOT_BYTES / 4;

/** A launch as it lies in a slot, and the regions it uses. */
interface Command {
  readonly words: Int32Array;
  readonly regions: readonly Region[];
}

/**
 * Hands launches to the threads of the CPU engine through a ring of commands in their memory. They
 * begin at once and end in order.
 */
export class CommandRing implements Queue<Region> {
  readonly #memory: WebAssembly.Memory;
  readonly #control: Int32Array;
  readonly #slots: Int32Array;
  readonly #programs: ReadonlyMap<string, number>;
  #published = 0;
  #failure: Error | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** Ends the threads; called once. */
  onClose: () => Promise<void> = () => Promise.resolve();

  constructor(
    memory: WebAssembly.Memory,
    places: { readonly control: number; readonly ring: number },
    programs: readonly string[],
  ) {
    this.#memory = memory;
    this.#control = new Int32Array(memory.buffer, places.control, 128);
    this.#slots = new Int32Array(memory.buffer, places.ring, SLOTS * SLOT_WORDS);
    this.#programs = new Map(programs.map((name, at) => [name, at]));
  }

  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Ends the work for good: whatever is run or read from now on throws. */
  fail(reason: string): void {
    this.#failure ??= new Error(`Cannot go on with the CPU engine: ${reason}`);
    this.#stop();
  }

  write({ buffer }: Block<Region>, host: HostTensor): void {
    assertValues(host);
    // What was handed over may still read what lies there.
    this.#awaitNow(buffer.lastUse);
    const { data } = host;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    new Uint8Array(this.#memory.buffer, buffer.address, bytes.length).set(bytes);
  }

  launch(launch: RecordedLaunch<Region>): void {
    this.#hand(this.#command(launch));
  }

  prepare(launches: readonly RecordedLaunch<Region>[]): PreparedLaunches {
    const commands = launches.map((launch) => this.#command(launch));
    return { launch: (index) => this.#hand(commands[index]!), [Symbol.dispose]() {} };
  }

  submit(): void {}

  async read(
    { buffer }: Block<Region>,
    bytes: number,
    submit: (copy?: Copy) => void,
  ): Promise<ArrayBuffer> {
    submit();
    const wanted = buffer.lastUse;
    await (this.#turn = this.#turn.then(() => this.#await(wanted)));
    this.check();
    return new Uint8Array(this.#memory.buffer, buffer.address, bytes).slice().buffer;
  }

  async close(): Promise<void> {
    if (!this.#failure) await this.#await(this.#published);
    this.#stop();
    await this.onClose();
  }

  #command({ kernel, launch, blocks, inputs, options }: RecordedLaunch<Region>): Command {
    if (!kernel.cpu) throw new TypeError("Cannot launch: the kernel has no assembly yet");
    const { program, tasks, args } = kernel.cpu(inputs as never, options, launch);
    const at = this.#programs.get(program);
    if (at === undefined) {
      throw new TypeError(`Cannot launch ${program}: there is no such assembly`);
    }
    const given = [...kernel.inputs, ...kernel.outputs].map((name, i) =>
      inputs[name] || launch.outputs[name] ? blocks[i]!.buffer.address : 0
    );
    return {
      words: slotWords(at, tasks, [...given, ...Object.values(args).map(bitsOf)]),
      regions: blocks.map(({ buffer }) => buffer),
    };
  }

  #hand({ words, regions }: Command): void {
    if (words[SLOT_TASKS / 4] === 0) return;
    // The slot is free when its command before is done.
    this.#awaitNow(this.#published - SLOTS + 1);
    this.#slots.set(words, (this.#published & (SLOTS - 1)) * SLOT_WORDS);
    this.#published = this.#published + 1 | 0;
    for (const region of regions) region.lastUse = this.#published;
    Atomics.store(this.#control, PUBLISHED / 4, this.#published);
    if (Atomics.load(this.#control, SLEEPERS / 4) > 0) Atomics.notify(this.#control, PUBLISHED / 4);
  }

  /** Whether so many commands are done, or none will be any more. */
  #reached(turn: number): boolean {
    const completed = Atomics.load(this.#control, COMPLETED / 4);
    return (completed - turn | 0) >= 0 || this.#failure !== undefined;
  }

  #awaitNow(turn: number): void {
    while (!this.#reached(turn)) {
      const seen = this.#want(turn);
      if (!this.#reached(turn)) Atomics.wait(this.#control, REACHED / 4, seen);
    }
  }

  async #await(turn: number): Promise<void> {
    while (!this.#reached(turn)) {
      const seen = this.#want(turn);
      if (!this.#reached(turn)) await Atomics.waitAsync(this.#control, REACHED / 4, seen).value;
    }
  }

  /** Asks to be woken when so many commands are done; gives the word that will then change. */
  #want(turn: number): number {
    const seen = Atomics.load(this.#control, REACHED / 4);
    Atomics.store(this.#control, WANTED / 4, turn);
    return seen;
  }

  #stop(): void {
    Atomics.store(this.#control, STOP / 4, 1);
    Atomics.add(this.#control, REACHED / 4, 1);
    for (const at of [PUBLISHED, COMPLETED, REACHED]) Atomics.notify(this.#control, at / 4);
  }
}

function slotWords(program: number, tasks: number, args: readonly number[]): Int32Array {
  const words = new Int32Array(SLOT_ARGS / 4 + args.length);
  if (words.length > SLOT_WORDS) {
    throw new RangeError(`Cannot launch with ${args.length} arguments: expected fewer`);
  }
  words[SLOT_PROGRAM / 4] = program;
  words[SLOT_TASKS / 4] = tasks;
  words[SLOT_TAKEN / 4] = words[SLOT_ARRIVED / 4] = 0;
  words.set(args, SLOT_ARGS / 4);
  return words;
}

const BITS = new DataView(new ArrayBuffer(4));

function bitsOf(param: Param): number {
  if ("u32" in param) BITS.setUint32(0, param.u32);
  else BITS.setFloat32(0, param.f32);
  return BITS.getInt32(0);
}
