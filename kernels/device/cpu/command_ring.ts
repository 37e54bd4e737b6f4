import type { Param } from "../kernel.ts";
import type { Block } from "../memory.ts";
import type { Copy, PreparedLaunches, Queue } from "../pooled_device.ts";
import type { RecordedLaunch } from "../recording.ts";
import { assertValues, type HostTensor } from "../tensor.ts";
import type { Heap, Region } from "./heap.ts";
import {
  COMPLETED,
  CONTROL_BYTES,
  COPY_BYTES,
  PUBLISHED,
  REACHED,
  SLEEPERS,
  SLOT_ARGS,
  SLOT_BYTES,
  SLOT_DONE,
  SLOT_LEFT,
  SLOT_PROGRAM,
  SLOT_TASKS,
  SLOT_TURN,
  SLOTS,
  WANTED,
} from "./protocol.ts";
import { isStopped, stopWork } from "./stop.ts";

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
  readonly #heap: Heap;
  readonly #control: Int32Array;
  readonly #slots: Int32Array;
  readonly #programs: ReadonlyMap<string, number>;
  /** Commands handed over. */
  #published: number;
  readonly #failure = Promise.withResolvers<Error>();
  #failed: Error | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** Ends the threads; called once. */
  onClose: () => Promise<void> = () => Promise.resolve();

  /** A ring in a heap, which has counted `commands` already. */
  constructor(
    heap: Heap,
    places: { readonly control: number; readonly ring: number },
    { programs, commands }: { readonly programs: readonly string[]; readonly commands: number },
  ) {
    const { buffer } = heap.memory;
    this.#heap = heap;
    this.#control = new Int32Array(buffer, places.control, CONTROL_BYTES / 4);
    this.#slots = new Int32Array(buffer, places.ring, SLOTS * SLOT_WORDS);
    this.#programs = new Map(programs.map((name, at) => [name, at]));
    this.#published = commands;
    for (const at of [PUBLISHED, COMPLETED]) Atomics.store(this.#control, at / 4, commands);
  }

  check(): void {
    if (this.#failed) throw this.#failed;
    if (isStopped(this.#control)) throw failureOf("one of its threads died");
  }

  /** Ends the work for good: whatever is run or read from now on throws. */
  fail(reason: string): void {
    this.#failed ??= failureOf(reason);
    this.#failure.resolve(this.#failed);
    stopWork(this.#control);
  }

  write({ buffer }: Block<Region>, host: HostTensor): void {
    assertValues(host);
    // What was handed over may still read what lies there.
    this.#awaitNow(buffer.lastUse);
    const { data } = host;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#bytesOf(buffer, bytes.length).set(bytes);
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
    // Why it was stopped is heard a little later.
    if (isStopped(this.#control)) throw await this.#failure.promise;
    if (this.#reached(buffer.lastUse)) return this.#bytesOf(buffer, bytes).slice().buffer;
    // What is handed over next may overwrite it.
    const copy = this.#heap.create(bytes, "a copy to read");
    try {
      const words = this.#words("copy", Math.ceil(bytes / COPY_BYTES), [
        buffer.address,
        copy.address,
        bytes,
      ]);
      this.#hand({ words, regions: [buffer, copy] });
      const wanted = this.#published;
      await (this.#turn = this.#turn.then(() => this.#await(wanted)));
      if (isStopped(this.#control)) throw await this.#failure.promise;
      return this.#bytesOf(copy, bytes).slice().buffer;
    } finally {
      copy.destroy();
    }
  }

  async close(): Promise<void> {
    await this.#await(this.#published);
    stopWork(this.#control);
    await this.onClose();
  }

  #command({ kernel, launch, blocks, inputs, options }: RecordedLaunch<Region>): Command {
    const { program, tasks, args } = kernel.cpu(inputs as never, options, launch);
    const given = [...kernel.inputs, ...kernel.outputs].map((name, i) =>
      inputs[name] || launch.outputs[name] ? blocks[i]!.buffer.address : 0
    );
    return {
      words: this.#words(program, tasks, [...given, ...Object.values(args).map(bitsOf)]),
      regions: blocks.map(({ buffer }) => buffer),
    };
  }

  #words(program: string, tasks: number, args: readonly number[]): Int32Array {
    const at = this.#programs.get(program);
    if (at === undefined) {
      throw new TypeError(`Cannot launch ${program}: there is no such assembly`);
    }
    return slotWords(at, tasks, args);
  }

  #hand({ words, regions }: Command): void {
    if (words[SLOT_TASKS / 4] === 0) return;
    // The slot is free when its command before is done.
    this.#awaitNow(this.#published - SLOTS + 1);
    const at = (this.#published % SLOTS) * SLOT_WORDS;
    words[SLOT_TURN / 4] = this.#published;
    this.#slots.set(words, at);
    // Not before the number is there: a thread that is late must take none for an old one.
    Atomics.store(this.#slots, at + SLOT_LEFT / 4, words[SLOT_TASKS / 4]!);
    this.#published++;
    for (const region of regions) region.lastUse = this.#published;
    Atomics.store(this.#control, PUBLISHED / 4, this.#published);
    if (Atomics.load(this.#control, SLEEPERS / 4) > 0) Atomics.notify(this.#control, PUBLISHED / 4);
  }

  #bytesOf({ address }: Region, bytes: number): Uint8Array<ArrayBufferLike> {
    return new Uint8Array(this.#heap.memory.buffer, address, bytes);
  }

  /** Whether so many commands are done, or none will be any more. */
  #reached(turn: number): boolean {
    // The counter has 32 bits, of which the difference needs few.
    const open = this.#published - Atomics.load(this.#control, COMPLETED / 4) | 0;
    return this.#published - open >= turn || isStopped(this.#control);
  }

  #awaitNow(turn: number): void {
    if (this.#reached(turn)) return;
    while (!this.#reached(turn)) {
      const seen = this.#want(turn);
      if (!this.#reached(turn)) Atomics.wait(this.#control, REACHED / 4, seen);
    }
    // Who waits for another turn asks for it again.
    Atomics.add(this.#control, REACHED / 4, 1);
    Atomics.notify(this.#control, REACHED / 4);
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
}

function failureOf(reason: string): Error {
  return new Error(
    `Cannot go on with the CPU engine: ${reason}, expected its threads to stay; run the command again, finished steps are kept`,
  );
}

function slotWords(program: number, tasks: number, args: readonly number[]): Int32Array {
  const words = new Int32Array(SLOT_ARGS / 4 + args.length);
  if (words.length > SLOT_WORDS) {
    throw new RangeError(`Cannot launch with ${args.length} arguments: expected fewer`);
  }
  words[SLOT_PROGRAM / 4] = program;
  words[SLOT_TASKS / 4] = tasks;
  words[SLOT_LEFT / 4] = words[SLOT_DONE / 4] = 0;
  words.set(args, SLOT_ARGS / 4);
  return words;
}

const BITS = new DataView(new ArrayBuffer(4));

function bitsOf(param: Param): number {
  if ("u32" in param) BITS.setUint32(0, param.u32);
  else BITS.setFloat32(0, param.f32);
  return BITS.getInt32(0);
}
