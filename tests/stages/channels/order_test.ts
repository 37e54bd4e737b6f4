import { strict as assert } from "node:assert";
import {
  channelOrder,
  kvOrder,
  metricKind,
  metricOf,
  ORDERINGS,
} from "../../../stages/channels/order.ts";
import { noSpans, poolSpans, spanOf } from "../../../stages/channels/spans.ts";
import { INPUTS } from "../../support/golden_smoothing.ts";

const SEQUENTIAL = { metric: "inputs_abs_max", index: "sequential" } as const;
const TRANSPOSE = { metric: "inputs_abs_max", index: "transpose" } as const;

Deno.test("orders are those of DeepCompressor, with heads as well", () => {
  const inputs = spanOf(poolSpans(noSpans(16), INPUTS), "abs_max");
  assert.deepEqual([...inputs.subarray(0, 4)], [1.5, 2.25, 3, 1.5]);
  const order = channelOrder(inputs, SEQUENTIAL, { groups: 2 });
  assert.deepEqual([...order], [0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 2, 5, 8, 11, 14]);
  const layout = { heads: 4, kvHeads: 2, headSize: 4 };
  const inHeads = channelOrder(inputs, SEQUENTIAL, { groups: 2, layout });
  assert.deepEqual([...inHeads], [0, 3, 1, 2, 4, 7, 5, 6, 9, 8, 10, 11, 13, 12, 14, 15]);
  assert.deepEqual([...kvOrder(inHeads, layout)], [0, 3, 1, 2, 5, 4, 6, 7]);
});

Deno.test("transpose deals channels out over groups, within heads over theirs", () => {
  const metric = Float32Array.of(7, 6, 5, 4, 3, 2, 1, 0);
  // Ranks 0..7 are channels 7..0; viewed [4 channels, 2 groups] and transposed.
  const order = channelOrder(metric, TRANSPOSE, { groups: 2 });
  assert.deepEqual([...order], [7, 5, 3, 1, 6, 4, 2, 0]);
  const layout = { heads: 2, kvHeads: 2, headSize: 4 };
  const two = channelOrder(metric, TRANSPOSE, { groups: 4, layout });
  assert.deepEqual([...two], [3, 1, 2, 0, 7, 5, 6, 4]);
  // Fewer groups than heads: one a head.
  const one = channelOrder(metric, TRANSPOSE, { groups: 1, layout });
  assert.deepEqual([...one], [3, 2, 1, 0, 7, 6, 5, 4]);
  assert.throws(() => channelOrder(metric, TRANSPOSE, { groups: 3 }), /8 channels to 3 groups/);
});

Deno.test("heads that share a kv head are ordered by their largest, or by their sum", () => {
  const layout = { heads: 2, kvHeads: 1, headSize: 3 };
  const metric = Float32Array.of(1, 5, 3, 6, 0, 2);
  const order = (metricName: "inputs_abs_max" | "inputs_rms") => [
    ...channelOrder(metric, { metric: metricName, index: "sequential" }, { groups: 1, layout }),
  ];
  // Largest 6, 5, 3; sums 7, 5, 5, where the earlier of equal ones comes first.
  assert.deepEqual(order("inputs_abs_max"), [2, 1, 0, 5, 4, 3]);
  assert.deepEqual(order("inputs_rms"), [1, 2, 0, 4, 5, 3]);
});

Deno.test("metrics are of inputs, of weights, or the product", () => {
  const [inputs, weights] = [Float32Array.of(2, 3), Float32Array.of(5, 7)];
  assert.deepEqual([...metricOf("inputs_rms", inputs, weights)], [2, 3]);
  assert.deepEqual([...metricOf("weights_abs_mean", inputs, weights)], [5, 7]);
  assert.deepEqual([...metricOf("abs_max_product", inputs, weights)], [10, 21]);
  assert.deepEqual(
    ["weights_abs_max", "abs_mean_product", "rms_product"].map((metric) =>
      metricKind(metric as "rms_product")
    ),
    ["abs_max", "abs_mean", "rms"],
  );
  assert.equal(ORDERINGS.length, 18);
});
