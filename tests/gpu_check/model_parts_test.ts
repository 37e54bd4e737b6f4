import { strict as assert } from "node:assert";
import { findAdapter } from "../../kernels/device/adapter.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { Card } from "./card.ts";
import { type Findings, makeParts, type Section } from "./findings.ts";
import { modelParts } from "./model_parts.ts";

Deno.test("models run on a device with WebGPU's default limits, with PyTorch's perplexity and the CPU engine's", async () => {
  const adapter = await findAdapter();
  await using card = await Card.open(() => Gpu.open({ adapter, modest: true }), {
    software: true,
    adapter: () => Promise.resolve(adapter),
  });
  // 128 MiB a binding, and no more than eight of them a shader.
  assert.equal(card.gpu.limits.bindingBytes, 2 ** 27);
  const findings: Findings = { made: "", where: "", adapter: {}, sections: [] };
  const { embedded, llama } = modelParts(card, { modules: "/nowhere" });
  await makeParts(findings, [embedded, llama], { deadline: Infinity, keep: () => {} });
  const [model, other] = findings.sections as [Section, Section];
  assert.equal(model.state, "done", model.reason);
  assert.equal(model.rows.length, 2);
  assert.deepEqual([other.state, /npm install --prefix/.test(other.reason!)], ["skipped", true]);
});
