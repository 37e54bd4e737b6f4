import type { Param } from "../kernel.ts";
import type { Block } from "../memory.ts";
import type { Copy, PreparedLaunches, Queue } from "../pooled_device.ts";
import type { RecordedLaunch } from "../recording.ts";
import { assertValues, byteLength, type HostTensor } from "../tensor.ts";
import type { Banks, Move, Operand } from "./banks.ts";
import type { FunctionTable } from "./function_table.ts";
import type { Region } from "./heap.ts";
import {
  COMPLETED,
  CONTROL_BYTES,
  COPY_BYTES,
  PUBLISHED,
  REACHED,
  SENT,
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

/** A command as it lies in a slot, the bank that it runs in, and the regions it uses. */
interface Command {
  readonly words: Int32Array;
  readonly bank: number;
  readonly regions: readonly Region[];
}

/**
 * Hands launches to the threads of the CPU engine through a ring of commands in the first bank. They
 * begin at once and end in order. Every bank has such a ring at the same addresses, where functions of
 * that bank find their arguments.
 */
export class CommandRing implements Queue<Region> {
  readonly #banks: Banks;
  readonly #functions: FunctionTable;
  readonly #control: Int32Array;
  readonly #place: number;
  /** Slots by bank. */
  readonly #slots: Int32Array[] = [];
  /** Commands handed over. */
  #published: number;
  readonly #failure = Promise.withResolvers<Error>();
  #failed: Error | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** Ends the threads; called once. */
  onClose: () => Promise<void> = () => Promise.resolve();

  /** A ring at such addresses, which has counted `commands` already. */
  constructor(
    banks: Banks,
    functions: FunctionTable,
    { control, ring, commands }: Readonly<Record<"control" | "ring" | "commands", number>>,
  ) {
    this.#banks = banks;
    this.#functions = functions;
    this.#control = new Int32Array(banks.memory(0).buffer, control, CONTROL_BYTES / 4);
    this.#place = ring;
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
    for (const command of this.#commands(launch)) this.#hand(command);
  }

  prepare(launches: readonly RecordedLaunch<Region>[]): PreparedLaunches {
    const prepared = launches.map((launch) => this.#commands(launch));
    return {
      launch: (index) => {
        for (const command of prepared[index]!) this.#hand(command);
      },
      [Symbol.dispose]() {},
    };
  }

  /** Has threads hear of functions that were sent to them before they work at what comes next. */
  hear(): void {
    Atomics.add(this.#control, SENT / 4, 1);
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
    const copy = this.#banks.create(bytes, "a copy to read");
    try {
      this.#hand(this.#copy({ from: buffer, to: copy, bytes, region: buffer }));
      copy.lastUse = this.#published;
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

  #commands(
    { kernel, launch, blocks, inputs, options }: RecordedLaunch<Region>,
  ): readonly Command[] {
    const { program, tasks, args } = kernel.cpu(inputs as never, options, launch);
    if (tasks === 0) return [];
    const regions = blocks.map(({ buffer }) => buffer);
    const names = [...kernel.inputs, ...kernel.outputs];
    const specOf = (name: string) => inputs[name] ?? launch.outputs[name];
    const command = (bank: number, addresses: readonly number[]): Command => {
      const place = this.#functions.kernel(program, bank);
      const words = slotWords(place, tasks, [...addresses, ...Object.values(args).map(bitsOf)]);
      return { words, bank, regions };
    };
    if (regions.every(({ bank }) => bank === 0)) {
      return [command(0, names.map((name, i) => specOf(name) ? regions[i]!.address : 0))];
    }
    const operands = names.map((name, i): Operand | undefined => {
      const spec = specOf(name);
      if (!spec) return undefined;
      const isRead = i < kernel.inputs.length;
      const isWritten = !isRead || (kernel.mutates ?? []).includes(name);
      return { region: regions[i]!, bytes: byteLength(spec), isRead, isWritten };
    });
    const { bank, addresses, before, after } = this.#banks.meet(operands);
    const copies = (moves: readonly Move[]) => moves.map((move) => this.#copy(move));
    return [...copies(before), command(bank, addresses), ...copies(after)];
  }

  #copy({ from, to, bytes, region }: Move): Command {
    const program = this.#functions.copy(from.bank, to.bank);
    const args = [from.address, to.address, bytes, COPY_BYTES];
    const words = slotWords(program, Math.ceil(bytes / COPY_BYTES), args);
    return { words, bank: to.bank, regions: [region] };
  }

  #hand({ words, bank, regions }: Command): void {
    // The slot is free when its command before is done.
    this.#awaitNow(this.#published - SLOTS + 1);
    const at = (this.#published % SLOTS) * SLOT_WORDS;
    words[SLOT_TURN / 4] = this.#published;
    const slots = this.#slotsOf(0);
    slots.set(words, at);
    if (bank > 0) this.#slotsOf(bank).set(words, at);
    // Not before the number is there: a thread that is late must take none for an old one.
    Atomics.store(slots, at + SLOT_LEFT / 4, words[SLOT_TASKS / 4]!);
    this.#published++;
    for (const region of regions) region.lastUse = this.#published;
    Atomics.store(this.#control, PUBLISHED / 4, this.#published);
    if (Atomics.load(this.#control, SLEEPERS / 4) > 0) Atomics.notify(this.#control, PUBLISHED / 4);
  }

  #slotsOf(bank: number): Int32Array {
    return this.#slots[bank] ??= new Int32Array(
      this.#banks.memory(bank).buffer,
      this.#place,
      SLOTS * SLOT_WORDS,
    );
  }

  #bytesOf({ bank, address }: Region, bytes: number): Uint8Array<ArrayBufferLike> {
    return new Uint8Array(this.#banks.memory(bank).buffer, address, bytes);
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
