import { strict as assert } from "node:assert";
import { Gpu } from "../../kernels/device/gpu.ts";
import { type Choices, type Limits, USUAL_LIMITS } from "../../kernels/device/limits.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { addScaled, normQuantize } from "../../kernels/mod.ts";
import {
  bytesOfPlan,
  changesPlan,
  type Measure,
  measureApart,
  measureOn,
  QUESTIONS,
  sameBytes,
  tune,
} from "../../kernels/tune.ts";

const LIMITS: Limits = { ...USUAL_LIMITS, subgroupThreads: 32 };

/** Measures by a table of milliseconds, on a clock of its own. */
class Stopwatch {
  now = 0;
  readonly asked: Choices[] = [];
  readonly #milliseconds: (choices: Choices) => number;
  readonly #bits: (choices: Choices) => number;

  constructor(
    milliseconds: (choices: Choices) => number,
    bits: (choices: Choices) => number = () => 7,
  ) {
    this.#milliseconds = milliseconds;
    this.#bits = bits;
  }

  readonly measure: Measure = (_question, choices) => {
    this.asked.push(choices);
    const milliseconds = this.#milliseconds(choices);
    this.now += milliseconds;
    return Promise.resolve({ milliseconds, made: Uint8Array.of(this.#bits(choices)) });
  };

  tune({ limits = LIMITS, budget }: { limits?: Limits; budget?: number } = {}): Promise<Choices> {
    return tune(limits, {
      measure: this.measure,
      now: () => this.now,
      ...budget !== undefined && { budget },
    });
  }
}

Deno.test("the quickest plans are taken, and the first where another gains less than noise", async () => {
  const watch = new Stopwatch(({ subgroups, integerTile, slices }) =>
    10 - (subgroups ? 2 : 0) - (integerTile === 32 ? 3 : 0) - (slices === false ? 0.1 : 0)
  );
  assert.deepEqual(await watch.tune(), { subgroups: true, integerTile: 32 });
  // Later questions are asked under what was chosen before.
  assert.ok(watch.asked.filter(({ integerTile }) => integerTile).every((one) => one.subgroups));
});

Deno.test("a plan that makes other bits is never taken, however quick it is", async () => {
  const watch = new Stopwatch(
    ({ subgroups, integerTile }) => subgroups || integerTile === 128 ? 1 : 10,
    ({ subgroups, integerTile }) => subgroups || integerTile === 128 ? 8 : 7,
  );
  assert.deepEqual(await watch.tune(), {});
  assert.equal(watch.asked.filter(({ subgroups }) => subgroups).length, 1);
});

Deno.test("a plan that a driver refuses is not taken, and spoils no other", async () => {
  await using stack = new AsyncDisposableStack();
  let opened = 0;
  const { measure, end } = measureApart(() => {
    opened++;
    return Gpu.open();
  });
  stack.defer(end);
  const [question] = QUESTIONS.filter(({ choice }) => choice === "subgroups");
  const shaders = question!.kernel.wgsl as Readonly<Record<string, string>>;
  const bad = {
    ...question!,
    kernel: { ...question!.kernel, wgsl: { ...shaders, quads_subgroup: "fn main((" } },
  };
  await using gpu = await Gpu.open();
  assert.deepEqual(await tune(gpu.limits, { measure, questions: [bad], budget: 60_000 }), {});
  assert.equal(opened, 2);
  const { made } = await measure(question!, { subgroups: true });
  assert.ok(made.some((byte) => byte !== 0));
});

Deno.test("what the time does not reach keeps its usual plan", async () => {
  // Compiling one plan takes the whole time.
  const slow = new Stopwatch(({ subgroups }) => subgroups ? 1 : 3000);
  assert.deepEqual(await slow.tune(), {});
  assert.equal(slow.asked.length, 1);
  // Two looks at each of two values, and no more.
  const watch = new Stopwatch(({ subgroups }) => subgroups ? 100 : 300);
  assert.deepEqual(await watch.tune({ budget: 700 }), { subgroups: true });
  assert.ok(watch.now < 700 + 400);
});

Deno.test("nothing is measured where plans do not differ", async () => {
  const watch = new Stopwatch(() => 10);
  await watch.tune({ limits: { ...USUAL_LIMITS, groupBytes: 16384 } });
  const asked = watch.asked.map((choices) => JSON.stringify(choices));
  // Without subgroups, and with workgroup memory too small for the largest tile.
  assert.ok(!asked.some((one) => /true|128/.test(one)), asked.join());
  assert.ok(asked.some((one) => /32/.test(one)));
});

Deno.test("on a real adapter every value of every question is a plan of the same bits", async () => {
  await using gpu = await Gpu.open();
  for (const { case: wanted, ...question } of QUESTIONS) {
    // Software takes seconds for 512 rows of integers, which have no order; these take the same shader.
    const small = question.choice === "integerTile"
      ? { ...question, case: (of: Parameters<typeof wanted>[0]) => of.x!.shape[0] === 64 }
      : { ...question, case: wanted };
    const differ = small.values.slice(1).filter((value) => changesPlan(small, gpu.limits, value));
    assert.ok(differ.length > 0, question.choice);
    const usual = await bytesOfPlan(gpu, small, {});
    assert.ok(new Set(usual).size > 100, question.choice);
    for (const value of differ) {
      const other = await bytesOfPlan(gpu, small, { [question.choice]: value });
      assert.ok(sameBytes(other, usual), `${question.choice} ${value} makes other bits`);
    }
  }
});

Deno.test("bits are those of one launch, of all that it makes and writes, however often it is timed", async () => {
  await using gpu = await Gpu.open();
  const measure = measureOn(gpu);
  const [x, sum] = [f32([4], [1, 2, 3, 4]), f32([4], [0.5, 0, -1, 7])];
  const adding = {
    choice: "subgroups",
    values: [false, true],
    kernel: {
      ...addScaled,
      cases: [{ inputs: { x, sum }, options: { factor: 2 }, cost: { bytes: 48, flops: 8 } }],
    },
    case: () => true,
  } as const;
  const once = new Uint8Array(Float32Array.of(2.5, 4, 5, 15).buffer);
  for (let time = 0; time < 2; time++) {
    const { milliseconds, made } = await measure(adding, {});
    assert.ok(milliseconds > 0);
    assert.deepEqual(made, once);
  }
  // The residual, codes and rows of the case that is timed.
  const [rows] = QUESTIONS.filter(({ kernel }) => kernel === normQuantize);
  const { length } = await bytesOfPlan(gpu, rows!, {});
  assert.equal(length, 512 * 1536 * 4 + 512 * 1536 + 512 * 8);
});
