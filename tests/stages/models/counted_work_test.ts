import { strict as assert } from "node:assert";
import { USUAL_LIMITS } from "../../../kernels/device/limits.ts";
import { f16, f32 } from "../../../kernels/device/tensor.ts";
import { matmul } from "../../../kernels/mod.ts";
import { rooflineSeconds, WorkCounter } from "../../../stages/models/counted_work.ts";
import { factorPanels } from "../../../stages/quant/gptq_factor.ts";

Deno.test("products count the part of a weight that they take, and what is taken begins anew", async () => {
  await using device = new WorkCounter(USUAL_LIMITS);
  using x = device.upload(f32([4, 64]));
  using weight = device.upload(f16([32, 64]));
  using y = device.empty({ dtype: "f32", shape: [4, 32] });
  device.run(matmul, { x, weight, y }, {});
  device.run(matmul, { x, weight, y }, { row: 8, rows: 16 });
  device.run(matmul, { x, weight, y }, { begin: 8, end: 24 });
  const [work] = device.taken();
  // A multiplication and an addition for every weight of every row.
  assert.equal(work!.operations, 2 * 4 * (64 * 32 + 64 * 16 + 16 * 32));
  assert.equal(work!.largest, 2 * 4 * 64 * 32);
  assert.equal(work!.launches, 3);
  assert.deepEqual(device.taken(), []);
});

Deno.test("a Cholesky factorization is a third of the columns cubed", async () => {
  await using device = new WorkCounter(USUAL_LIMITS);
  const columns = 2048;
  const panels = await factorPanels(device, { columns, block: 128 }, () => new Float32Array(0));
  for (const panel of panels ?? []) panel[Symbol.dispose]();
  const operations = device.taken().reduce((sum, work) => sum + work.operations, 0);
  // Golub and Van Loan, Matrix Computations, 4.2.5: n^3 / 3.
  const ratio = operations / (columns ** 3 / 3);
  assert.ok(Math.abs(ratio - 1) < 0.01, `${ratio} of it`);
});

Deno.test("the roofline is the longer of moving bytes and of computing, for integers at their own rate", () => {
  const rates = { bandwidth: 10, float: 0.1, integer: 0.4 };
  const seconds = (kernel: string, bytes: number, operations: number) =>
    rooflineSeconds([{ kernel, bytes, operations }], rates);
  assert.equal(seconds("matmul", 1e9, 0), 0.1);
  assert.equal(seconds("matmul", 1e9, 2e10), 0.2);
  assert.equal(seconds("matmulInt8", 1e9, 2e10), 0.1);
  assert.equal(seconds("matmulInt8", 1e9, 8e10), 0.2);
});
