import { strict as assert } from "node:assert";
import { PROMISED_LIMITS, USUAL_LIMITS } from "../../kernels/device/limits.ts";
import { PRECISIONS } from "../../stages/benchmark/precisions.ts";
import { SHAPES } from "../../stages/benchmark/shapes.ts";
import { workOf } from "./roofline.ts";

/** Parameters of Llama 2 7B's linears: all 6,738,415,616 but embeddings and norms. */
const LINEARS = 6_738_415_616 - 32_000 * 4096 - 65 * 4096;

Deno.test("the work of a step follows from the parameters of Llama 2 7B", async () => {
  const json = SHAPES["llama-2-7b"];
  const step = { queries: 1, keys: 1024, batch: 2 };
  const f16 = new Map((await workOf(json, PRECISIONS.f16, USUAL_LIMITS, step)).map(byKernel));
  assert.equal(f16.get("matmul")!.operations, 2 * 2 * LINEARS);
  // A query meets 1,024 keys of 32 heads of 128 in 32 layers: a product for scores, one for values.
  assert.equal(f16.get("attentionPaged")!.operations, 2 * 4 * 1024 * 4096 * 32);
  const weights = f16.get("matmul")!.bytes;
  assert.ok(weights > 2 * LINEARS && weights < 2.02 * LINEARS, `${weights} bytes`);
  const w4a8 = new Map((await workOf(json, PRECISIONS.w4a8kv4, USUAL_LIMITS, step)).map(byKernel));
  const head = 32_000 * 4096;
  const packed = w4a8.get("matmulInt8")!;
  assert.equal(packed.operations, 2 * 2 * (LINEARS - head));
  // Four bits a weight, and two bytes a group of 128.
  const ratio = packed.bytes / ((LINEARS - head) * (4 + 16 / 128) / 8);
  assert.ok(ratio > 1 && ratio < 1.02, `${ratio} times what the weights take`);
});

Deno.test("the bytes of Llama 3 8B in W4A8KV4 are those that a hand counts", async () => {
  const json = SHAPES["llama-3-8b"];
  const count = async (queries: number, batch: number) => {
    const step = { queries, keys: 1024, batch };
    return new Map(
      (await workOf(json, PRECISIONS.w4a8kv4, USUAL_LIMITS, step)).map(byKernel),
    );
  };
  // Rows and columns of queries, keys and values; of what follows attention; of gate and up; of down.
  const weights = [[6144, 4096], [4096, 4096], [28672, 4096], [4096, 14336]] as const;
  const products = (tokens: number) =>
    32 * weights.reduce((sum, [rows, columns]) => {
      // Nibbles; a byte of scale and one of zero a group of 128; half a word of scale a row.
      const weight = rows * columns / 2 + rows * columns / 128 * 2 + rows * 2;
      // Bytes in with a scale and a sum a row, and single precision out.
      return sum + weight + tokens * (columns + 8) + tokens * rows * 4;
    }, 0);
  for (const [queries, batch] of [[1, 4], [1024, 1]] as const) {
    const { bytes, launches } = (await count(queries, batch)).get("matmulInt8")!;
    const ratio = bytes / products(queries * batch);
    assert.ok(ratio >= 1 && ratio < 1.004, `${ratio} times the bytes of ${queries} queries`);
    assert.equal(launches, 4 * 32);
  }
  const { bytes, launches } = (await count(1, 4)).get("attentionPaged")!;
  // Eight kv heads of 128 channels: 64 bytes of nibbles, a scale and a zero of two bytes.
  const pages = 32 * 4 * 1024 * 2 * 8 * (64 + 4);
  const ratio = bytes / (pages + 32 * 4 * 2 * 4096 * 4);
  assert.ok(ratio >= 1 && ratio < 1.001, `${ratio} times the bytes of keys and values`);
  assert.equal(launches, 32);
});

Deno.test("a decode step in W4A8KV4 takes ten launches a layer", async () => {
  const json = SHAPES["llama-2-7b"];
  for (const batch of [1, 64]) {
    const counted = async (layers: number) => {
      const step = { queries: 1, keys: 1024, batch };
      const shape = { ...json, num_hidden_layers: layers };
      return new Map(
        (await workOf(shape, PRECISIONS.w4a8kv4, USUAL_LIMITS, step)).map((
          { kernel, launches },
        ) => [kernel, launches]),
      );
    };
    const [three, two] = [await counted(3), await counted(2)];
    const layer = [...three].map(([kernel, count]) => [kernel, count - (two.get(kernel) ?? 0)]);
    assert.deepEqual(Object.fromEntries(layer.filter(([, count]) => count !== 0)), {
      normQuantize: 2,
      matmulInt8: 4,
      ropeAppend: 1,
      attentionPaged: 1,
      quantizeRows: 1,
      gluQuantize: 1,
    });
  }
});

Deno.test("no launch of a step at 70B sizes is so large that a card's system would end it", async () => {
  const json = SHAPES["llama-2-70b"];
  const precisions = [PRECISIONS.f16, PRECISIONS.w4a8kv4];
  const steps = [
    { queries: 2048, keys: 4096, batch: 1 },
    { queries: 1, keys: 4096, batch: 256 },
  ];
  for (const limits of [USUAL_LIMITS, PROMISED_LIMITS]) {
    for (
      const [precision, step] of precisions.flatMap((one) =>
        steps.map((step) => [one, step] as const)
      )
    ) {
      // As engines do where bindings hold no more.
      const queries = limits === PROMISED_LIMITS ? Math.min(512, step.queries) : step.queries;
      for (
        const { kernel, largest } of await workOf(json, precision, limits, { ...step, queries })
      ) {
        // Two seconds, which Windows gives, at half a TOP/s: less than any card of the last ten years.
        assert.ok(largest < 1e12, `${kernel} takes ${largest} operations in a launch`);
      }
    }
  }
});

function byKernel<T extends { readonly kernel: string }>(work: T): [string, T] {
  return [work.kernel, work];
}
