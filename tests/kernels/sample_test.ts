import { strict as assert } from "node:assert";
import type { Device } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { guardedCpu, guardedGpu } from "../support/guarded_pool.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { sample, topScores } from "../../kernels/mod.ts";
import { type SampleSettings, sampleSettings } from "../../kernels/sample.ts";
import { normals } from "../support/random.ts";
import { ENGINES } from "../support/devices.ts";

const LOWEST = -3.4028234663852886e38;
const PLAIN: SampleSettings = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1, step: 0 };

/** Rows that a search for bounds could stumble over. */
const ROWS: readonly (readonly [name: string, value: (i: number, normal: number) => number])[] = [
  ["plain", (_, normal) => 3 * normal],
  ["all equal", () => 0.25],
  ["zeros of both signs", (i) => i % 3 === 0 ? 0 : -0],
  ["few values", (_, normal) => Math.round(2 * normal)],
  ["two neighbours", (i) => i % 2 === 0 ? 1 : 1 + 2 ** -23],
  ["a few far above", (i, normal) => i % 101 === 0 ? 30 + normal : normal],
  ["the largest in every eighth quad", (i, normal) => (i >> 2) % 8 === 3 ? 5 + normal : normal - 4],
  ["the largest side by side", (i, normal) => i > 400 && i < 700 ? 5 + normal : normal - 4],
  ["mostly impossible", (i, normal) => i % 9 === 0 ? normal : LOWEST],
  ["rising", (i) => i / 100],
  ["enormous", (_, normal) => 1e30 * normal],
];

const ASKED: readonly Partial<SampleSettings>[] = [
  {},
  { temperature: 0 },
  { topK: 1 },
  { topK: 7, temperature: 0.5 },
  { topK: 150, topP: 0.7 },
  { topK: 900, topP: 0.97 },
  { topP: 0.9 },
  { topP: 0.05 },
  { topP: 0.999, temperature: 3 },
  { minP: 0.1 },
  { topK: 50, topP: 0.8, minP: 0.3 },
];

const GUARDED = { "the CPU engine": guardedCpu, "a GPU": guardedGpu };

for (const [on, open] of Object.entries(GUARDED)) {
  Deno.test(`sample and topScores agree with their references on awkward rows on ${on}`, async () => {
    await using guarded = await open();
    const gpu = guarded.device;
    for (const columns of [1500, 1501]) {
      for (const [name, value] of ROWS) {
        const normal = normals(`awkward ${name}`);
        const row = Float32Array.from({ length: columns }, (_, i) => value(i, normal.next().value));
        const data = new Float32Array(ASKED.length * columns);
        ASKED.forEach((_, at) => data.set(row, at * columns));
        const logits = f32([ASKED.length, columns], data);
        const rows = ASKED.map((asked, at) => ({ ...PLAIN, seed: 97 * at, ...asked }));
        await sameTokens(gpu, { logits, settings: sampleSettings(rows) }, `${name} ${columns}`);
        await sameScores(gpu, row, `${name} ${columns}`);
      }
    }
  });
}

for (const [on, open] of Object.entries(ENGINES)) {
  Deno.test(`draws follow the softmax that top-k and top-p leave of 60 tokens on ${on}`, async () => {
    await using gpu = await open();
    const normal = normals("a vocabulary of 60");
    const logits = Float32Array.from({ length: 60 }, () => 1.5 * normal.next().value);
    const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!);
    const likelihood = (temperature: number) => {
      const weights = order.map((token) => Math.exp(logits[token]! / temperature));
      const sum = weights.reduce((a, b) => a + b);
      return weights.map((weight) => weight / sum);
    };
    const checks: readonly (readonly [asked: Partial<SampleSettings>, kept: number])[] = [
      [{}, 60],
      [{ topK: 12 }, 12],
      [{ topP: 0.8, temperature: 0.7 }, nucleus(likelihood(0.7), 0.8)],
      [{ topK: 12, topP: 0.6 }, nucleus(likelihood(1).slice(0, 12), 0.6)],
    ];
    for (const [asked, kept] of checks) {
      const { temperature = 1 } = asked;
      const counts = await drawn(gpu, logits, asked);
      const shares = likelihood(temperature).slice(0, kept);
      const all = shares.reduce((a, b) => a + b);
      const expected = new Map(order.slice(0, kept).map((token, i) => [token, shares[i]! / all]));
      assert.ok(kept > 1, "one token is no distribution");
      fits(counts, expected, JSON.stringify(asked));
    }
  });
}

Deno.test("no loop of a row of 2^18 columns is cut short, whatever is asked of it", async () => {
  await using gpu = await Gpu.open();
  const columns = 2 ** 18;
  // Neighbouring floats in each search's way to its bound, more of them than a workgroup keeps.
  const data = Float32Array.from({ length: columns }, (_, i) => 4 + 2 ** -21 * (i * 7 % 5));
  data[columns - 3] = LOWEST;
  const logits = f32([1, columns], data);
  for (const asked of [{ topK: 90_000, topP: 0.6, minP: 0.5 }, { topP: 0.4 }, { topK: 200_000 }]) {
    const settings = sampleSettings([{ ...PLAIN, ...asked, seed: 5 }]);
    await sameTokens(gpu, { logits, settings }, JSON.stringify(asked));
  }
  await sameScores(gpu, data, "neighbours");
});

async function sameTokens(
  gpu: Device,
  hosts: Parameters<typeof sample.reference>[0],
  label: string,
): Promise<void> {
  using logits = gpu.upload(hosts.logits);
  using settings = gpu.upload(hosts.settings);
  using tokens = gpu.run(sample, { logits, settings }, {}).tokens;
  assert.deepEqual(
    (await gpu.read(tokens)).data,
    sample.reference(hosts, {}).tokens.data,
    label,
  );
}

async function sameScores(gpu: Device, row: Float32Array, label: string): Promise<void> {
  const hosts = { logits: f32([1, row.length], row), tokens: u32([1], [row.length - 1]) };
  using logits = gpu.upload(hosts.logits);
  using tokens = gpu.upload(hosts.tokens);
  const made = gpu.run(topScores, { logits, tokens }, { count: 20 });
  using scores = made.scores;
  using likeliest = made.likeliest;
  using norms = made.norms;
  const expected = topScores.reference(hosts, { count: 20 });
  assert.deepEqual((await gpu.read(likeliest)).data, expected.likeliest.data, label);
  // Both zeros are zero.
  const plain = (values: Iterable<number>) => Array.from(values, (value) => value + 0);
  assert.deepEqual(plain((await gpu.read(scores)).data), plain(expected.scores.data), label);
  const [most, sum] = (await gpu.read(norms)).data;
  assert.equal(most! + 0, expected.norms.data[0]! + 0, label);
  assert.ok(Math.abs(sum! / expected.norms.data[1]! - 1) < 1e-5, `${label}: ${sum}`);
}

/** How often each token is drawn. */
async function drawn(
  gpu: Device,
  logits: Float32Array,
  asked: Partial<SampleSettings>,
): Promise<number[]> {
  // Workgroups of many threads take a software driver 1 ms each.
  const draws = gpu.limits.adapter === "gpu" ? 500 : 2000;
  const rows = Array.from({ length: draws }, (_, step) => ({ ...PLAIN, ...asked, seed: 11, step }));
  const data = new Float32Array(draws * logits.length);
  rows.forEach((_, at) => data.set(logits, at * logits.length));
  using all = gpu.upload(f32([draws, logits.length], data));
  using settings = gpu.upload(sampleSettings(rows));
  using tokens = gpu.run(sample, { logits: all, settings }, {}).tokens;
  const counts = new Array<number>(logits.length).fill(0);
  for (const token of (await gpu.read(tokens)).data) counts[token]!++;
  return counts;
}

/** How many of the likeliest make so much of all. */
function nucleus(shares: readonly number[], share: number): number {
  const all = shares.reduce((a, b) => a + b);
  let sum = 0;
  return 1 + shares.findIndex((each) => (sum += each) >= share * all);
}

/** Pearson's test; tokens that are expected fewer than five times count as one. */
function fits(counts: readonly number[], shares: ReadonlyMap<number, number>, label: string): void {
  const draws = counts.reduce((a, b) => a + b);
  let [chi, cells, rare, seen] = [0, 0, 0, 0];
  counts.forEach((count, token) => {
    const expected = draws * (shares.get(token) ?? 0);
    if (expected === 0) assert.equal(count, 0, `${label}: token ${token} was left out`);
    if (expected < 5) {
      rare += expected;
      seen += count;
      return;
    }
    chi += (count - expected) ** 2 / expected;
    cells++;
  });
  if (rare > 0) chi += (seen - rare) ** 2 / rare;
  // Mean and deviation of chi squared: three deviations above are rarer than 1 in 100; seeds are fixed.
  const freedom = cells - (rare > 0 ? 0 : 1);
  assert.ok(chi < freedom + 3 * Math.sqrt(2 * freedom), `${label}: ${chi} of ${freedom}`);
}
