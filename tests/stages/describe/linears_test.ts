import { deepStrictEqual, ok } from "node:assert/strict";
import { describePath } from "../../../stages/describe/describe.ts";
import { kvSection } from "../../../stages/describe/linears.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { PLAIN } from "../../../stages/models/model_record.ts";
import { quantize } from "../../../stages/quantize.ts";
import { StageChain } from "../../support/stage_chain.ts";

Deno.test("a map of errors has the mean of a layer's experts, and no field where nothing was measured", async () => {
  await using chain = await StageChain.open();
  const weights = { bits: 4, group: 8 };
  const model = chain.family("mixtral_window");
  const coarse = await chain.run(quantize, { model }, { method: "rtn", weights });
  const { sections } = (await describePath(coarse.path, { kind: "model" }))!;
  const [map] = sections.flatMap(({ charts = [] }) => charts.filter(({ form }) => form === "grid"));
  using files = await openModel(coarse.path);
  const { record: { measured }, architecture: { linears, layers } } = files;
  const roles = [...Map.groupBy(linears, ({ role }) => role).values()];
  deepStrictEqual(map!.series.length, roles.length);
  ok(linears.some(({ expert }) => expert !== undefined));
  for (const [at, { points }] of map!.series.entries()) {
    deepStrictEqual(points.map(([layer]) => layer), layers.map(({ index }) => index));
    for (const [layer, value] of points) {
      const errors = roles[at]!.filter((one) => one.layer === layer)
        .map(({ name }) => measured.linears[name]!.weightError);
      const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
      ok(Math.abs(value / mean - 1) < 1e-12 && mean > 0, `${value}, not ${mean}`);
    }
  }
  const { sections: plain } = (await describePath(model.path, { kind: "model" }))!;
  ok(plain.every(({ charts = [] }) => charts.every(({ form }) => form !== "grid")));
});

Deno.test("what is done to keys, and first tokens in half precision, is told with their schemes", () => {
  const scheme = { bits: 4, zero: "post_scale", group: 8 } as const;
  const held = { key: scheme, value: scheme };
  const others = { rotatedKeys: true, keyCompensation: "", sinks: 1 } as const;
  const words = "4 bits post-scale, groups of 8";
  deepStrictEqual(
    kvSection({ ...PLAIN, kv: [{ ...held, sinks: 1 }, { ...held, ...others }] }).facts,
    [
      ["layers 0", `keys ${words}; values ${words}; the first token of a sequence 16 bits`],
      [
        "layers 1",
        `keys ${words}, rotated, compensated; values ${words}; the first token of a sequence 16 bits`,
      ],
    ],
  );
  deepStrictEqual(kvSection({ ...PLAIN, kv: [{ ...held, sinks: 4 }] }).facts, [
    ["layers 0", `keys ${words}; values ${words}; the first 4 tokens of a sequence 16 bits`],
  ]);
});
