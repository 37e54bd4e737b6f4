import { strict as assert } from "node:assert";
import type { Artifact } from "../../pipeline/artifact.ts";
import { reorder } from "../../stages/reorder.ts";
import { rotate } from "../../stages/rotate.ts";
import { smooth } from "../../stages/smooth.ts";
import { relativeError } from "../support/forward_pass.ts";
import { FAMILIES, smoothable, StageChain } from "../support/stage_chain.ts";

const STAGES = { rotate, reorder, smooth } as const;
const PARAMS = {
  rotate: { seed: 7 },
  reorder: { sites: ["residual", "out_proj", "down_proj"] },
  smooth: {
    projections: { alpha: 0.4, beta: 0.6 },
    attention: { alpha: 0.5, beta: 0 },
  },
} as const;

type Name = keyof typeof STAGES;

for (const family of FAMILIES) {
  Deno.test(`${family} computes the same after rotate, reorder and smooth in any order`, async () => {
    await using chain = await StageChain.open();
    const original = chain.family(family);
    const before = await chain.logits(original);
    const { projections, ...smoothing } = PARAMS.smooth;
    const params = {
      ...PARAMS,
      smooth: { ...smoothing, projections: { ...projections, sites: await smoothable(family) } },
    };
    for (const order of orders(Object.keys(STAGES) as Name[])) {
      let model: Artifact = original;
      let stats = await chain.calibrate(model);
      for (const name of order) {
        const inputs = name === "rotate" ? { model } : { model, stats };
        model = await chain.run(STAGES[name], inputs, params[name]);
        // Rotated channels are mixtures of the earlier ones; the others' statistics follow them.
        if (name === "rotate") stats = await chain.calibrate(model);
      }
      const error = relativeError(await chain.logits(model), before);
      assert.ok(error < 1e-4, `${order.join(", ")}: relative error is ${error}`);
    }
  });
}

function orders(names: readonly Name[]): Name[][] {
  if (names.length === 0) return [[]];
  return names.flatMap((first) =>
    orders(names.filter((name) => name !== first)).map((rest) => [first, ...rest])
  );
}
