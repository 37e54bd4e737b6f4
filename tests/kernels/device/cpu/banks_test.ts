import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { Banks, type Operand } from "../../../../kernels/device/cpu/banks.ts";
import { Cpu } from "../../../../kernels/device/cpu/cpu.ts";
import type { Tensor } from "../../../../kernels/device/device.ts";
import type { Region } from "../../../../kernels/device/cpu/heap.ts";
import { OutOfMemoryError } from "../../../../kernels/device/memory.ts";
import { SLACK_BYTES } from "../../../../kernels/device/cpu/protocol.ts";
import type { PooledTensor } from "../../../../kernels/device/pooled_tensor.ts";
import { f32 } from "../../../../kernels/device/tensor.ts";
import { glu, groupDot, matmul, rmsNorm } from "../../../../kernels/mod.ts";
import { spreadCpu } from "../../../support/spread_banks.ts";

const MB = 2 ** 20;
const RESERVED = 1000;
/** An eighth is staging: 1 MB. */
const BANK = 8 * MB;

function read(banks: Banks, bank: number, bytes: number): Operand {
  return { region: banks.createIn(bank, bytes, "x")!, bytes, isRead: true, isWritten: false };
}

Deno.test("a launch whose operands lie in one bank copies nothing", () => {
  const banks = new Banks(RESERVED, BANK);
  const [a, b] = [read(banks, 1, 100), read(banks, 1, 2000)];
  assert.deepEqual(banks.meet([a, undefined, b]), {
    bank: 1,
    addresses: [a.region.address, 0, b.region.address],
    before: [],
    after: [],
  });
});

Deno.test("a launch runs where fewest bytes are copied, there and back", () => {
  const banks = new Banks(RESERVED, BANK);
  const weight = read(banks, 0, 5000);
  const x = read(banks, 1, 300);
  const sum = { ...read(banks, 2, 1000), isWritten: true };
  const y = { ...read(banks, 1, 600), isRead: false, isWritten: true };
  const { bank, addresses, before, after } = banks.meet([x, weight, sum, x, y]);
  assert.equal(bank, 0);
  assert.equal(addresses[0], addresses[3]);
  assert.equal(addresses[1], weight.region.address);
  const staged = { bank: 0, address: addresses[0] };
  assert.deepEqual(before, [
    { from: x.region, to: staged, bytes: 300, region: x.region },
    { from: sum.region, to: { bank: 0, address: addresses[2] }, bytes: 1000, region: sum.region },
  ]);
  assert.deepEqual(after, [
    { from: { bank: 0, address: addresses[2] }, to: sum.region, bytes: 1000, region: sum.region },
    { from: { bank: 0, address: addresses[4] }, to: y.region, bytes: 600, region: y.region },
  ]);
  // What is written costs twice: 600 bytes of one against 2 times 400 of the other.
  const small = { ...read(banks, 1, 400), isWritten: true };
  assert.equal(banks.meet([read(banks, 0, 600), small]).bank, 1);
});

const OPERAND = fc.record({
  bank: fc.nat({ max: 2 }),
  bytes: fc.integer({ min: 0, max: 100_000 }),
  isRead: fc.boolean(),
  isWritten: fc.boolean(),
});

Deno.test("operands of a launch meet in one bank, where each has bytes of its own", () => {
  const most = { minLength: 1, maxLength: 9 };
  fc.assert(fc.property(fc.array(OPERAND, most), fc.array(fc.nat(), most), (made, chosen) => {
    const banks = new Banks(RESERVED, BANK);
    const all = made.map(({ bank, ...operand }) => ({
      ...operand,
      region: banks.createIn(bank, operand.bytes, "x")!,
    }));
    // Some tensors are several operands, some none.
    const operands = chosen.map((at) => all[at % all.length]!);
    const { bank, addresses, before, after } = banks.meet(operands);
    const places = new Map(operands.map((operand, at) => [operand, addresses[at]!]));
    const spans = [...all].flatMap((operand) => {
      const { region, bytes, isRead, isWritten } = operand;
      const address = places.get(operand);
      if (region.bank === bank) {
        assert.ok(address === undefined || address === region.address);
        return { start: region.address, end: region.address + bytes };
      }
      if (address === undefined) return [];
      const place = { bank, address };
      const [there, back] = [before, after].map((moves) =>
        moves.filter((m) => m.region === region)
      );
      assert.deepEqual(there, isRead ? [{ from: region, to: place, bytes, region }] : []);
      assert.deepEqual(back, isWritten ? [{ from: place, to: region, bytes, region }] : []);
      return { start: address, end: address + bytes };
    });
    spans.sort((a, b) => a.start - b.start);
    spans.slice(1).forEach(({ start }, at) => assert.ok(start >= spans[at]!.end + SLACK_BYTES));
    assert.ok(spans.at(-1)!.end + SLACK_BYTES <= banks.memory(bank).buffer.byteLength);
  }));
});

Deno.test("banks are filled one after another, and room that is given back is taken again", () => {
  const banks = new Banks(RESERVED, BANK);
  const regions = Array.from({ length: 5 }, () => banks.create(3 * MB, "x"));
  assert.deepEqual(regions.map(({ bank }) => bank), [0, 0, 1, 1, 2]);
  regions[1]!.destroy();
  assert.equal(banks.create(3 * MB, "x").bank, 0);
  assert.ok(banks.largest < BANK * 7 / 8 && banks.largest > BANK * 6 / 8);
  assert.equal(banks.create(banks.largest, "x").bank, 3);
  assert.throws(
    () => banks.create(BANK, "the table"),
    /Cannot allocate 8388608 bytes for the table/,
  );
});

Deno.test("large regions of one size lie in one bank by twos: keys and values of a layer", () => {
  // A bank has room for five.
  const banks = new Banks(RESERVED, 70 * MB);
  const small = banks.create(MB, "x");
  const regions = Array.from({ length: 8 }, () => banks.create(12 * MB, "KV pages"));
  assert.deepEqual(regions.map(({ bank }) => bank), [0, 0, 0, 0, 1, 1, 1, 1]);
  assert.deepEqual([banks.create(10 * MB, "y").bank, banks.create(11 * MB, "z").bank], [2, 2]);
  assert.deepEqual([small.bank, banks.create(MB, "what is left").bank], [0, 0]);
});

Deno.test("more than a bank's staging meets in a bank of its own, as far as that goes", () => {
  const banks = new Banks(RESERVED, BANK);
  const all = [read(banks, 0, 2 * MB), read(banks, 1, 2 * MB), read(banks, 2, 3 * MB)];
  const { bank, addresses, before } = banks.meet(all);
  assert.equal(bank, 3);
  assert.deepEqual(before.map(({ from, bytes }) => [from.bank, bytes]), [
    [0, 2 * MB],
    [1, 2 * MB],
    [2, 3 * MB],
  ]);
  const ends = addresses.map((address, i) => address + all[i]!.bytes);
  assert.ok(addresses[1]! > ends[0]! && addresses[2]! > ends[1]! && ends[2]! < BANK);
  assert.equal(banks.meet(all).bank, 3);
  assert.equal(banks.create(5 * MB, "x").bank, 4, "tensors lie in no bank that is all staging");
  const more = [...all, read(banks, 4, 1.5 * MB)];
  assert.throws(() => banks.meet(more), (error) => {
    assert.ok(error instanceof OutOfMemoryError);
    assert.match(error.message, /Cannot bring 8\d+ bytes of a launch together/);
    return true;
  });
});

Deno.test("an engine without room for its threads says so", () => {
  assert.throws(
    () => new Banks(BANK, BANK),
    /Cannot open the CPU engine: its threads need 8388608/,
  );
});

/** Bytes of what several kernels make of equal inputs, some in place, launched and on record. */
async function computed(cpu: Cpu): Promise<Uint8Array[]> {
  using stack = new DisposableStack();
  let values = 0;
  const tensor = (...shape: number[]) => {
    const data = Array.from({ length: shape.reduce((a, b) => a * b) }, () => Math.sin(values++));
    return stack.use(cpu.upload(f32(shape, data)));
  };
  const [x, first, sum, gain] = [tensor(37, 64), tensor(96, 64), tensor(37, 96), tensor(96)];
  const layer = (x: Tensor, weight: Tensor) => {
    const y = stack.use(cpu.empty({ dtype: "f32", shape: [37, 96] }));
    cpu.run(matmul, { x, weight, y }, {});
    using active = cpu.run(glu, { gate: y, up: y }, {}).y;
    return cpu.run(rmsNorm, { x: active, gain, residual: sum }, { eps: 0 }).y;
  };
  const made = [stack.use(layer(x, first))];
  for (let i = 0; i < 3; i++) made.push(stack.use(layer(made.at(-1)!, tensor(96, 96))));
  const recording = stack.use(await cpu.record(() => Promise.resolve([layer(x, first)])));
  for (let replay = 0; replay < 3; replay++) {
    cpu.write(x, f32([1, 4], [replay, 1, 2, 3]));
    recording.replay();
  }
  const read = await Promise.all(
    [...made, recording.outputs[0]!, sum].map((each) => cpu.read(each)),
  );
  return read.map(({ data }) => new Uint8Array(data.buffer));
}

for (const threads of [1, 2, 3]) {
  Deno.test(`tensors spread over banks give the bits of one bank on ${threads} threads`, async () => {
    await using one = await Cpu.open({ threads: 1 });
    await using several = await spreadCpu({ threads });
    const expected = await computed(one);
    for (const [at, bytes] of (await computed(several)).entries()) {
      assert.ok(Buffer.from(bytes).equals(expected[at]!), `tensor ${at} has other bits`);
    }
  });
}

Deno.test("an engine goes on in another bank where one is full, and reads from all", async () => {
  // Threads take a half, a tensor a megabyte.
  await using cpu = await Cpu.open({ threads: 2, bankBytes: 16 * MB });
  using stack = new DisposableStack();
  const rows = (value: number) => f32([1024, 256], new Float32Array(2 ** 18).fill(value));
  using ones = cpu.upload(rows(1));
  const tensors = Array.from({ length: 12 }, (_, i) => stack.use(cpu.upload(rows(i))));
  const sums = tensors.map((b) => stack.use(cpu.run(groupDot, { a: ones, b }, { group: 64 }).y));
  for (const [i, tensor] of tensors.entries()) {
    const [kept, dots] = await Promise.all([cpu.read(tensor), cpu.read(sums[i]!)]);
    assert.ok(kept.data.length === 2 ** 18 && kept.data.every((value) => value === i));
    assert.ok(dots.data.every((value) => value === 64 * i), `sums of tensor ${i}`);
  }
});

Deno.test("a launch that needs more than a bank is refused, and leaves nothing behind", async () => {
  await using cpu = await spreadCpu({ threads: 1, bankBytes: 16 * MB });
  using a = cpu.empty({ dtype: "f32", shape: [7 * 1024, 256] });
  using b = cpu.empty({ dtype: "f32", shape: [7 * 1024, 256] });
  const run = () => cpu.run(groupDot, { a, b }, { group: 64 });
  assert.throws(run, /Cannot bring 1\d{7} bytes of a launch together: .* holds 1\d{7} bytes/);
});

Deno.test("a weight behind four gigabytes of tensors is multiplied as any other", async () => {
  await using cpu = await Cpu.open({ threads: 2 });
  using stack = new DisposableStack();
  using x = cpu.upload(f32([3, 64], new Float32Array(192).fill(1)));
  // Nobody touches them, so that the system gives them no memory; together they leave no hole.
  for (let bytes = 2 ** 31; bytes >= MB; bytes /= 2) {
    for (let times = 0; times < 2; times++) {
      stack.use(cpu.empty({ dtype: "u32", shape: [bytes / 4] }));
    }
  }
  const held = cpu.memory.held;
  assert.ok(held > 2 ** 32, `${held} bytes`);
  const rows = Array.from({ length: 16384 }, (_, row) => new Float32Array(64).fill(row % 1000));
  using weight = cpu.upload(f32([16384, 64], rows.flatMap((row) => [...row])));
  assert.notEqual((weight as PooledTensor<Region>).block.buffer.bank, 0);
  using y = cpu.empty({ dtype: "f32", shape: [3, 16384] });
  cpu.run(matmul, { x, weight, y }, {});
  const { data } = await cpu.read(y);
  assert.ok(data.every((value, i) => value === 64 * (i % 16384 % 1000)));
});
