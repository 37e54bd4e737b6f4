import { strict as assert } from "node:assert";
import { findAdapter } from "../../kernels/device/adapter.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { Card } from "./card.ts";
import { type Findings, isFine, makeParts, type Making, type Section } from "./findings.ts";
import { kernelParts } from "./kernel_parts.ts";
import { chainOperations, multiplyChain } from "./multiply_chain.ts";

async function openCard(): Promise<Card> {
  const adapter = await findAdapter();
  return await Card.open(() => Gpu.open({ adapter }), {
    software: true,
    adapter: () => Promise.resolve(adapter),
  });
}

Deno.test("what one case ends fails none of the others, and is told by its name", async () => {
  await using card = await openCard();
  const findings: Findings = { made: "", where: "", adapter: {}, sections: [] };
  card.gpu.lose();
  await makeParts(findings, [kernelParts(card).exact], { deadline: Infinity, keep: () => {} });
  const [{ state, reason, rows }] = findings.sections as [Section];
  assert.deepEqual([state, reason], ["wrong", `1 of ${rows.length} rows are not as expected`]);
  assert.match(String(rows[0]!.faults), /^matmulInt8 case \d+: Cannot go on with the GPU: .*lost/);
  assert.ok(rows.length > 10 && rows.slice(1).every(({ faults }) => faults === undefined));
  assert.ok(!isFine(findings));
});

Deno.test("ceilings are those of the arithmetic that is counted", async () => {
  await using card = await openCard();
  const { gpu } = card;
  for (const { options } of multiplyChain.cases) {
    using y = gpu.run(multiplyChain, {}, options).y;
    assert.deepEqual((await gpu.read(y)).data, multiplyChain.reference({}, options).y.data);
  }
  // 256 threads of 8 chains of 512 turns; a product of four bytes is four of each.
  assert.equal(chainOperations({ groups: 1, integer: true }), 256 * 8 * 512 * 8);
  assert.equal(chainOperations({ groups: 1, integer: false }), 256 * 8 * 512 * 2);
  const findings: Findings = { made: "", where: "", adapter: {}, sections: [] };
  await makeParts(findings, [kernelParts(card).ceilings], { deadline: Infinity, keep: () => {} });
  assert.equal(findings.sections[0]!.state, "done", findings.sections[0]!.reason);
  const { bandwidth, integer, float } = card.ceilings!;
  const units = new Map(findings.sections[0]!.rows.map(({ value, unit }) => [unit, Number(value)]));
  assert.ok(Math.abs(units.get("GB/s")! / bandwidth - 1) < 0.06);
  assert.ok(Math.abs(units.get("GOP/s")! / integer / 1000 - 1) < 0.06);
  const half = (await findAdapter()).features.has("shader-f16");
  assert.equal(units.get("GFLOP/s f16")! > 0, half);
  // No driver gives in half precision a hundred times what it gives in single precision.
  if (half) assert.ok(units.get("GFLOP/s f16")! < 1e5 * float);
  assert.ok(Math.abs(units.get("GFLOP/s")! / float / 1000 - 1) < 0.06);
});

Deno.test("plans and timings that the time has no room for are left out by name", async () => {
  await using card = await openCard();
  const { plans, speeds } = kernelParts(card);
  const findings: Findings = { made: "", where: "", adapter: {}, sections: [] };
  // The first plan is begun in time, and nothing else.
  const only = {
    ...plans,
    run: (making: Making) => {
      let looks = 0;
      return plans.run({ ...making, late: () => looks++ > 0 });
    },
  };
  await makeParts(findings, [only], { deadline: Infinity, keep: () => {} });
  const [some] = findings.sections as [Section];
  assert.deepEqual([some.state, some.rows.length], ["cut off", 1]);
  assert.deepEqual([some.rows[0]!.choice, some.rows[0]!.bits], ["subgroups", "the same"]);
  assert.match(some.reason!, /^no time was left for subgroups true, rowSubgroups false, .*slices/);
  // A card on which nothing ends within an hour.
  card.ceilings = { bandwidth: 1e-9, float: 1e-9, integer: 1e-9 };
  await makeParts(findings, [speeds], { deadline: performance.now() + 3_600_000, keep: () => {} });
  const slow = findings.sections[1]!;
  assert.deepEqual([slow.state, slow.rows], ["cut off", []]);
  assert.match(slow.reason!, /^no time was left for matmulInt8 case \d+, .* and \d+ more$/);
});
