import { strict as assert } from "node:assert";
import { Cpu, type CpuOptions } from "../../../../kernels/device/cpu/cpu.ts";
import { SLOTS } from "../../../../kernels/device/cpu/protocol.ts";
import { keepThreads } from "../../../../kernels/device/cpu/threads.ts";
import type { Tensor } from "../../../../kernels/device/device.ts";
import { f32 } from "../../../../kernels/device/tensor.ts";
import { groupDot, matmul, rmsNorm } from "../../../../kernels/mod.ts";
import { spreadCpu } from "../../../support/spread_banks.ts";

const COLUMNS = 64;
const EPS = 0;

function rows(count: number, value: number) {
  return f32([count, COLUMNS], new Float32Array(count * COLUMNS).fill(value));
}

/** Adds `x` to `sum`, which counts launches. */
function add(cpu: Cpu, { x, gain, sum }: Readonly<Record<"x" | "gain" | "sum", Tensor>>): void {
  cpu.run(rmsNorm, { x, gain, residual: sum }, { eps: EPS }).y[Symbol.dispose]();
}

for (const commands of [0, 2 ** 31 - 100, 2 ** 32 - 100]) {
  Deno.test(`launches run in order, more than the ring has slots, counted from ${commands}`, async () => {
    await using cpu = await Cpu.open({ threads: 2, commands });
    using x = cpu.upload(rows(3, 1));
    using gain = cpu.upload(f32([COLUMNS], new Float32Array(COLUMNS).fill(1)));
    using sum = cpu.upload(rows(3, 0));
    const launches = SLOTS + 300;
    for (let launch = 0; launch < launches; launch++) add(cpu, { x, gain, sum });
    const { data } = await cpu.read(sum);
    assert.ok(data.every((value) => value === launches));
  });
}

Deno.test("threads that come late, of more than there are processors, take each task once and in order", async () => {
  await using cpu = await Cpu.open({ threads: 3 * navigator.hardwareConcurrency });
  using x = cpu.upload(rows(400, 1));
  using gain = cpu.upload(f32([COLUMNS], new Float32Array(COLUMNS).fill(1)));
  using sum = cpu.upload(rows(400, 0));
  const launches = 2 * SLOTS + 300;
  for (let launch = 0; launch < launches; launch++) add(cpu, { x, gain, sum });
  const { data } = await cpu.read(sum);
  assert.ok(data.every((value) => value === launches));
});

Deno.test("what is uploaded waits for launches that read what lay there before", async () => {
  await using cpu = await Cpu.open({ threads: 2 });
  using ones = cpu.upload(f32([1, 4], [1, 1, 1, 1]));
  for (let round = 0; round < 50; round++) {
    const a = cpu.upload(f32([512, COLUMNS], new Float32Array(512 * COLUMNS).fill(round)));
    using b = cpu.upload(f32([512, COLUMNS], new Float32Array(512 * COLUMNS).fill(1)));
    using sums = cpu.run(groupDot, { a, b }, { group: COLUMNS }).y;
    a[Symbol.dispose]();
    cpu.flush();
    // Takes the block of `a`.
    using next = cpu.upload(f32([512, COLUMNS], new Float32Array(512 * COLUMNS).fill(-1)));
    const reading = cpu.read(sums);
    // Nor does what is launched after a read change what it gives.
    cpu.write(next, f32([1, 4], [5, 5, 5, 5]));
    const { data } = await reading;
    assert.ok(data.every((value) => value === round * COLUMNS), `round ${round}: ${data[0]}`);
  }
  assert.deepEqual([...(await cpu.read(ones)).data], [1, 1, 1, 1]);
});

Deno.test("a read gives what lay there when it was asked for", async () => {
  await using cpu = await Cpu.open({ threads: 2 });
  using x = cpu.upload(rows(200, 1));
  using gain = cpu.upload(f32([COLUMNS], new Float32Array(COLUMNS).fill(1)));
  using sum = cpu.upload(rows(200, 0));
  const reads = [];
  for (let launch = 0; launch < 100; launch++) {
    add(cpu, { x, gain, sum });
    reads.push(cpu.read(sum));
  }
  for (const [launch, { data }] of (await Promise.all(reads)).entries()) {
    assert.ok(data.every((value) => value === launch + 1), `read ${launch}: ${data[0]}`);
  }
});

Deno.test("an engine that lost a thread says so wherever it is used, and closes", async () => {
  const cpu = await Cpu.open({ threads: 2 });
  using x = cpu.upload(rows(1, 1));
  using gain = cpu.upload(f32([COLUMNS], new Float32Array(COLUMNS).fill(1)));
  cpu.lose();
  assert.throws(() => cpu.run(rmsNorm, { x, gain }, { eps: EPS }), /one of its threads died/);
  await assert.rejects(() => cpu.read(x), /one of its threads died/);
  await assert.rejects(() => cpu[Symbol.asyncDispose](), /2 tensors were not disposed/);
});

Deno.test("a thread that traps ends the work in a sentence", async () => {
  const cpu = await Cpu.open({ threads: 2 });
  await assert.rejects(() => trap(cpu), /Cannot go on with the CPU engine: .*divide by zero/);
  await cpu[Symbol.asyncDispose]();
});

Deno.test("tensors left over are listed when the engine closes, and memory has a limit", async () => {
  const cpu = await Cpu.open({ threads: 1, memoryBytes: 2 ** 20 });
  assert.throws(() => cpu.upload(rows(10_000, 1)), /1048576 bytes are in use, expected room/);
  cpu.upload(rows(2, 1), "left over");
  await assert.rejects(() => cpu[Symbol.asyncDispose](), /left over f32\[2, 64\]/);
});

Deno.test("threads that are kept work for one engine after another, and those that trapped do not", async () => {
  keepThreads();
  const { postMessage, terminate } = Worker.prototype;
  /** Workers by the engine that they were started for, and those that were ended. */
  const engines: Set<Worker>[] = [];
  const ended = new Set<Worker>();
  Worker.prototype.postMessage = function (this: Worker, ...said: [unknown]) {
    if ("control" in (said[0] as object)) engines.at(-1)!.add(this);
    postMessage.apply(this, said);
  } as typeof postMessage;
  Worker.prototype.terminate = function () {
    ended.add(this);
    terminate.call(this);
  };
  const open = (options: CpuOptions, opened: (options: CpuOptions) => Promise<Cpu> = Cpu.open) => {
    engines.push(new Set());
    return opened(options);
  };
  try {
    for (const threads of [3, 2, 3, 1, 3]) {
      await using cpu = await open({ threads });
      assert.equal(await sumOfRows(cpu, 100 * threads), 100 * threads);
    }
    // Of twelve starts; some of other tests may have come to their last one.
    const distinct = engines.reduce((all, one) => all.union(one), new Set());
    assert.ok(distinct.size <= 6, `${distinct.size} workers`);
    // Functions of other banks, which were sent to them for one engine, are not there for the next.
    for (let round = 0; round < 2; round++) {
      await using cpu = await open({ threads: 3 }, spreadCpu);
      assert.equal(await sumOfRows(cpu, 7), 7);
    }
    const lost = await open({ threads: 3 });
    await assert.rejects(() => trap(lost), /divide by zero/);
    await lost[Symbol.asyncDispose]();
    assert.notEqual(engines.at(-1)!.intersection(ended).size, 0);
    const before = new Set(ended);
    await using cpu = await open({ threads: 3 });
    assert.equal(await sumOfRows(cpu, 5), 5);
    assert.equal(engines.at(-1)!.intersection(before).size, 0);
  } finally {
    Object.assign(Worker.prototype, { postMessage, terminate });
  }
});

/** How often a row of ones is added, by launches that all threads work at. */
async function sumOfRows(cpu: Cpu, launches: number): Promise<number> {
  using x = cpu.upload(rows(50, 1));
  using gain = cpu.upload(f32([COLUMNS], new Float32Array(COLUMNS).fill(1)));
  using sum = cpu.upload(rows(50, 0));
  for (let launch = 0; launch < launches; launch++) add(cpu, { x, gain, sum });
  const values = new Set((await cpu.read(sum)).data);
  assert.equal(values.size, 1);
  return [...values][0]!;
}

/** Runs what a thread can not. */
async function trap(cpu: Cpu): Promise<void> {
  using x = cpu.upload(rows(1, 1));
  using weight = cpu.upload(rows(8, 1));
  using y = cpu.upload(f32([1, 8]));
  const trapping = {
    ...matmul,
    cpu: (...call: Parameters<typeof matmul.cpu>) => {
      const launch = matmul.cpu(...call);
      // A number is divided by it.
      return { ...launch, args: { ...launch.args, task_columns: { u32: 0 } } };
    },
  };
  cpu.run(trapping, { x, weight, y }, {});
  await cpu.read(y);
}
