import { strict as assert } from "node:assert";
import type { Artifact } from "../../pipeline/artifact.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { openStats } from "../../stages/calibration/stats.ts";
import { quantize } from "../../stages/quantize.ts";
import { StageChain } from "../support/stage_chain.ts";
import { type WeightPair, weightPairs } from "../support/weight_error.ts";

const FAMILY = "llama_llama3_gqa_tied";
const FEW = { windows: 4, context: 32 };
const TOKENS = FEW.windows * FEW.context;
const SCHEMES = [
  { weights: { group: 8 } },
  { weights: { group: 8, levels: 2 }, activations: "dynamic" },
  { method: "rtn", weights: { group: "row", bits: 3 } },
];

Deno.test("shifted weights bring outputs nearer to those of the full-precision model", async () => {
  await using chain = await StageChain.open();
  const plain = chain.family(FAMILY);
  const tokens = await chain.tokens(TOKENS);
  const watched = await chain.calibrate(plain);
  // Keys and values in codes too, which the exact inputs know nothing of.
  const model = await chain.run(calibrate_kv, { model: plain, stats: watched }, { group: 8 });
  const exact = await inputsOf(chain, plain, tokens);
  for (const scheme of SCHEMES) {
    const run = (more: object) =>
      chain.run(quantize, { model, tokens }, { ...scheme, ...FEW, inputs: "quantized", ...more });
    const [still, shifted] = [await run({}), await run({ shift: {} })];
    const [before, after] = [
      await weightPairs(chain, plain, still),
      await weightPairs(chain, plain, shifted),
    ];
    // The first inputs of all are those of the full-precision model, so that nothing moves there.
    before.forEach(({ site, name, after: codes }, i) => {
      if (site !== "layers.0.attention.in") return;
      assert.deepEqual(after[i]!.after, codes, name);
    });
    const [kept, moved] = [
      await errorsOf(chain, { pairs: before, quantized: still, tokens, exact }),
      await errorsOf(chain, { pairs: after, quantized: shifted, tokens, exact }),
    ];
    assert.ok(moved < 0.5 * kept, `${JSON.stringify(scheme)}: ${moved} of ${kept}`);
  }
});

Deno.test("weights of experts are not shifted", async () => {
  await using chain = await StageChain.open();
  const inputs = { model: chain.family("mixtral_window"), tokens: await chain.tokens(TOKENS) };
  const params = { weights: { group: 8 }, ...FEW, inputs: "quantized", shift: {} };
  const message = /shift weights of "layers.0.mlp.in": its tokens go to experts.*leave shift out/;
  await chain.refuses(quantize, { inputs, params, message });
});

/** Inputs of all sites, a row a token. */
async function inputsOf(
  chain: StageChain,
  model: Artifact,
  tokens: Artifact,
): Promise<(site: string, layer: number) => Promise<Float32Array>> {
  const stats = await chain.run(calibrate, { model, tokens }, { ...FEW, rows: TOKENS });
  return async (site, layer) => {
    using opened = await openStats(stats, model as Artifact<"model">);
    return (await opened.rows(layer, site)).values;
  };
}

/** Mean over the second layer's linears of the squared error of outputs, relative to them. */
async function errorsOf(
  chain: StageChain,
  { pairs, quantized, tokens, exact }: {
    readonly pairs: readonly WeightPair[];
    readonly quantized: Artifact;
    readonly tokens: Artifact;
    readonly exact: Awaited<ReturnType<typeof inputsOf>>;
  },
): Promise<number> {
  const got = await inputsOf(chain, quantized, tokens);
  const errors: number[] = [];
  for (const { site, layer, columns, before, after } of pairs) {
    if (site !== "layers.1.attention.in" && site !== "layers.1.mlp.in") continue;
    const [x, y] = [await exact(site, layer), await got(site, layer)];
    assert.equal(x.length, TOKENS * columns);
    let [error, size] = [0, 0];
    for (let t = 0; t < x.length; t += columns) {
      for (let row = 0; row < before.length; row += columns) {
        let [wanted, made] = [0, 0];
        for (let c = 0; c < columns; c++) {
          wanted += before[row + c]! * x[t + c]!;
          made += after[row + c]! * y[t + c]!;
        }
        error += (wanted - made) ** 2;
        size += wanted ** 2;
      }
    }
    errors.push(error / size);
  }
  return errors.reduce((sum, one) => sum + one) / errors.length;
}
