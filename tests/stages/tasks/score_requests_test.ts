import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { calibrate_kv } from "../../../stages/calibrate_kv.ts";
import { Model } from "../../../stages/models/model.ts";
import { quantize } from "../../../stages/quantize.ts";
import { requestBatches, scoreRequests } from "../../../stages/tasks/score_requests.ts";
import type { TokenRequest } from "../../../stages/tasks/token_requests.ts";
import { logitsOf } from "../../support/forward_pass.ts";
import { FAMILIES, StageChain } from "../../support/stage_chain.ts";

/** Sequences that begin alike, of several lengths; the last one alone. */
const REQUESTS: readonly TokenRequest[] = [
  [3, 17, 5, 80, 41, 9, 12],
  [3, 17, 5, 80, 41, 9, 70, 2, 64],
  [3, 17, 5, 33],
  [3, 17, 5, 80, 90, 1, 2, 3, 4, 5, 6, 7, 8],
  [55, 4],
].map((ids, at) => ({ ids: Uint32Array.from(ids), scored: Math.min(1 + at, ids.length - 1) }));

const OPTIONS = {
  name: "task",
  memoryBytes: 2 ** 28,
  signal: new AbortController().signal,
  progress() {},
};

/** A journal in memory, which counts what it is asked. */
function memory() {
  const entries = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    entries,
    read: (name: string) => Promise.resolve(entries.get(name)),
    write: (name: string, bytes: Uint8Array) => {
      entries.set(name, Uint8Array.from(bytes));
      return Promise.resolve();
    },
  };
}

/** What a sequence alone has, by its logits. */
async function alone(device: Cpu, model: Model, { ids, scored }: TokenRequest): Promise<number> {
  const { vocabulary } = model.config;
  const logits = await logitsOf(device, model, [...ids.subarray(0, -1)]);
  let sum = 0;
  for (let at = ids.length - 1 - scored; at < ids.length - 1; at++) {
    const row = logits.subarray(at * vocabulary, (at + 1) * vocabulary);
    const most = Math.max(...row);
    sum += row[ids[at + 1]!]! - most -
      Math.log(row.reduce((all, value) => all + Math.exp(value - most), 0));
  }
  return sum;
}

for (const family of FAMILIES) {
  Deno.test(`sequences of ${family} score the same together and alone`, async () => {
    await using device = await Cpu.open();
    const chain = await StageChain.open();
    await using _chain = chain;
    using model = await Model.open(chain.family(family).path, device, { weightBytes: Infinity });
    const journal = memory();
    const scores = await scoreRequests(device, model, REQUESTS, { ...OPTIONS, journal });
    for (const [at, request] of REQUESTS.entries()) {
      const wanted = await alone(device, model, request);
      const found = scores[at]!.logLikelihood;
      assert.ok(Math.abs(found - wanted) < 1e-4 * Math.abs(wanted), `${at}: ${found}, ${wanted}`);
    }
  });
}

for (const sinks of [0, 4]) {
  Deno.test(`packed codes with a KV cache of 4 bits and ${sinks} sinks give equal bits in any batch, a layer at a time too`, async () => {
    await using chain = await StageChain.open();
    const source = chain.family("llama_llama3_gqa_tied");
    const stats = await chain.calibrate(source);
    const weights = { bits: 4, zero: "post_scale", group: 32, levels: 2 };
    const w4 = await chain.run(quantize, { model: source, stats }, {
      method: "rtn",
      weights,
      uneven_group: "shrink",
      activations: "dynamic",
    });
    const kv4 = await chain.run(calibrate_kv, { model: w4, stats }, {
      bits: 4,
      zero: "post_scale",
      group: "head",
      sinks,
    });
    await using device = await Cpu.open();
    // Long enough for several pages, of which some are shared.
    const long = Array.from({ length: 150 }, (_, i) => (i * 7 + 3) % 96);
    const requests = [
      ...REQUESTS,
      ...[5, 60, 77].map((at) => ({
        ids: Uint32Array.from([...long.slice(0, 70 + at), 11, 12, 13]),
        scored: 3,
      })),
    ];
    using model = await Model.open(kv4.path, device, { weightBytes: Infinity });
    const together = await scoreRequests(device, model, requests, {
      ...OPTIONS,
      journal: memory(),
    });
    for (const [at, request] of requests.entries()) {
      const [one] = await scoreRequests(device, model, [request], {
        ...OPTIONS,
        journal: memory(),
      });
      assert.deepEqual(one, together[at], `request ${at}`);
    }
    using pieces = await Model.open(kv4.path, device, { weightBytes: 0 });
    assert.deepEqual(
      await scoreRequests(device, pieces, requests, { ...OPTIONS, journal: memory() }),
      together,
    );
  });
}

Deno.test("what was scored is not scored again, and what is scored again is the same", async () => {
  await using chain = await StageChain.open();
  await using device = await Cpu.open();
  using model = await Model.open(chain.family("qwen2_tied").path, device, {
    weightBytes: Infinity,
  });
  // More than a batch's tokens, so that there are several.
  const many = Array.from({ length: 12 }, (_, at) => ({
    ids: Uint32Array.from({ length: 200 }, (_, i) => (i * (at + 3) + at) % 96),
    scored: 5,
  }));
  const journal = memory();
  const whole = await scoreRequests(device, model, many, { ...OPTIONS, journal });
  assert.ok(journal.entries.size > 1, `${journal.entries.size} entries`);
  const kept = [...journal.entries];
  const [name] = kept[1]!;
  journal.entries.delete(name);
  assert.deepEqual(await scoreRequests(device, model, many, { ...OPTIONS, journal }), whole);
  assert.deepEqual([...journal.entries].sort(), kept.sort());
});

Deno.test("where frequencies depend on a sequence's length, all of a batch are as long", () => {
  const rope = { scaling: { type: "dynamic" } };
  const lengths = (ropes: readonly unknown[]) =>
    [...requestBatches(REQUESTS, { rows: 1024, ropes: ropes as never })]
      .map(({ places }) => places.map((place) => REQUESTS[place]!.ids.length));
  assert.deepEqual(lengths([rope]), [[2], [4], [7], [9], [13]]);
  assert.deepEqual(lengths([{ scaling: { type: "none" } }]), [[7, 9, 4, 13, 2]]);
});
