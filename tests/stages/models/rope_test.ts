import { strict as assert } from "node:assert";
import { Model } from "../../../stages/models/model.ts";
import { attentionScale, ropeFrequencies } from "../../../stages/models/rope.ts";
import { readRopes } from "../../../stages/models/rope_config.ts";
import { DEVICES } from "../../support/devices.ts";
import { writeFilled } from "../../support/filled_llama.ts";
import { logitsOf, relativeError } from "../../support/forward_pass.ts";
import { assertWithin } from "../../support/tolerance.ts";
import golden from "../../testdata/rope.json" with { type: "json" };

/** A power in single precision, which PyTorch computes to one unit in the last place. */
const UNIT = 2.5e-7;
/** Sums in another order, through two layers. */
const TOLERANCE = 2e-5;

for (const { name, tokens, frequencies, attention, ...one } of golden.cases) {
  const config = { architectures: ["LlamaForCausalLM"], ...golden.base, ...one.config };

  Deno.test(`${name}: frequencies and the scale of attention are those of transformers`, () => {
    const partial = "partial" in one;
    const { ropes, ropeOf } = readRopes(config, { headSize: config.head_dim, partial });
    const layers = frequencies.length > 1 ? frequencies : [...ropeOf.map(() => frequencies[0]!)];
    layers.forEach((expected, layer) => {
      const rope = ropes[ropeOf[layer]!]!;
      const got = ropeFrequencies(rope, tokens);
      assert.equal(got.length, expected.length);
      expected.forEach((value, i) => assertWithin(got[i]!, value, UNIT * value));
      assert.equal(attentionScale(rope), Math.fround(attention));
    });
  });

  if (!("logits" in one)) continue;
  const { logits } = one as { readonly logits: readonly number[] };
  for (const [on, open] of Object.entries(DEVICES)) {
    Deno.test(`${name}: logits are those of transformers on ${on}`, async () => {
      const path = await Deno.makeTempDir();
      try {
        await writeFilled(path, config);
        await using device = await open();
        using model = await Model.open(path, device, { weightBytes: Infinity });
        const ids = Array.from({ length: tokens }, (_, i) => (7 * i + i * i) % config.vocab_size);
        const got = (await logitsOf(device, model, ids)).slice(-config.vocab_size);
        const error = relativeError(got, Float32Array.from(logits));
        assert.ok(error < TOLERANCE, `relative error is ${error}, expected below ${TOLERANCE}`);
      } finally {
        await Deno.remove(path, { recursive: true });
      }
    });
  }
}
