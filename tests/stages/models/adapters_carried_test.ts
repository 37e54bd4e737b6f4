import { ok, rejects } from "node:assert/strict";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import type { Artifact } from "../../../pipeline/artifact.ts";
import {
  fold,
  learn_rotation,
  load,
  reorder,
  rotate,
  script,
  smooth,
} from "../../../stages/mod.ts";
import { adaptedLinears } from "../../../stages/models/adapted_linears.ts";
import { carriedAdapters, openAdapters } from "../../../stages/models/adapters.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { readBasis } from "../../../stages/models/basis_files.ts";
import { channelFiles } from "../../../stages/models/lineage.ts";
import { readModelRecord, writeModelRecord } from "../../../stages/models/model_record.ts";
import { relativeError } from "../../support/forward_pass.ts";
import { randomAdapter } from "../../support/random_adapter.ts";
import { FAMILIES, smoothable, StageChain } from "../../support/stage_chain.ts";
import { mergeChange } from "../../support/merged_change.ts";

/** A model in single precision to whose weights an adapter was added, with its record. */
async function merged(chain: StageChain, model: Artifact, adapter: string): Promise<Artifact> {
  await using device = await Cpu.open();
  using files = await openModel(model.path);
  const opened = await openAdapters([{ name: "a", path: adapter }], files);
  const [carried] = await carriedAdapters(
    device,
    opened,
    await readBasis(model.path, files.record),
  );
  const weights = new Map(
    adaptedLinears(files.architecture).map(({ weight, name }) => [weight, name]),
  );
  const whole = await chain.edited(model, (tensor, values) => {
    const change = carried!.changes.get(weights.get(tensor) ?? "");
    if (change) mergeChange(values, change);
  });
  await writeModelRecord(whole.path, files.record);
  for (const file of channelFiles(files.record)) {
    await Deno.copyFile(`${model.path}/${file}`, `${whole.path}/${file}`);
  }
  return whole;
}

type Change = (chain: StageChain, model: Artifact, family: string) => Promise<Artifact>;

const smoothed: Change = async (chain, model, family) =>
  await chain.run(smooth, { model, stats: await chain.calibrate(model) }, {
    projections: { sites: await smoothable(family), strategy: "manual", alpha: 0.5, beta: 0.5 },
    attention: { strategy: "manual", alpha: 0.5, beta: 0.3 },
  });
const ordered: Change = async (chain, model) =>
  await chain.run(reorder, { model, stats: await chain.calibrate(model) }, {
    sites: ["residual", "out_proj", "down_proj"],
  });
const turned = (params: object): Change => (chain, model) => chain.run(rotate, { model }, params);
const afterEachOther = (...changes: readonly Change[]): Change => async (chain, model, family) => {
  let last = model;
  for (const change of changes) last = await change(chain, last, family);
  return last;
};

const CHANGES: Readonly<Record<string, Change>> = {
  folded: (chain, model) => chain.run(fold, { model }, {}),
  smoothed,
  ordered,
  "ordered online": async (chain, model) =>
    await chain.run(reorder, { model, stats: await chain.calibrate(model) }, {
      sites: ["down_proj"],
      online: ["qkv_proj", "out_proj", "up_proj"],
    }),
  rotated: turned({ transforms: ["out_proj"] }),
  "rotated by random signs, with down_proj": turned({
    seed: 3,
    transforms: ["out_proj", "down_proj"],
  }),
  "rotated online": turned({ seed: 3, transforms: ["out_proj_online", "down_proj"] }),
  "rotated, ordered and smoothed, as QoQ does": afterEachOther(
    turned({ transforms: ["out_proj"] }),
    ordered,
    smoothed,
  ),
  "smoothed, then rotated twice": afterEachOther(
    smoothed,
    turned({ seed: 1, transforms: [] }),
    turned({ seed: 2, transforms: ["out_proj", "down_proj"] }),
  ),
};

for (const family of FAMILIES) {
  Deno.test(`an adapter of ${family} is carried through whatever changes its channels`, async () => {
    await using chain = await StageChain.open();
    // In single precision, in which rounding to halves hides nothing.
    const model = await chain.edited(chain.family(family), () => {});
    const adapter = await randomAdapter(chain, model);
    const plain = await chain.logits(model);
    const expected = await chain.logits(await merged(chain, model, adapter));
    ok(relativeError(expected, plain) > 0.1, "the adapter changes next to nothing");
    let carried = 0;
    for (const [words, change] of Object.entries(CHANGES)) {
      const changed = await change(chain, model, family).catch((error: Error) => error);
      if (changed instanceof Error) {
        // What a family's layers do not allow, stages refuse, as their own tests hold.
        ok(
          /^Cannot (fold|smooth|order|reorder|rotate) .*, expected/.test(changed.message),
          `${changed}`,
        );
        continue;
      }
      const error = relativeError(
        await chain.logits(await merged(chain, changed, adapter)),
        expected,
      );
      ok(error < 1e-4, `${words}: relative error is ${error}`);
      carried++;
    }
    ok(carried >= 3, `${carried} changes`);
  });
}

Deno.test("an adapter is carried through rotations that were learned", async () => {
  await using chain = await StageChain.open();
  const model = await chain.edited(chain.family("llama_llama3_gqa_tied"), () => {});
  const adapter = await randomAdapter(chain, model);
  const expected = await chain.logits(await merged(chain, model, adapter));
  const tokens = await chain.tokens(200);
  const params = { steps: 2, batch: 1, context: 32, seed: 4 };
  const learned = await chain.run(learn_rotation, { model, tokens }, params);
  const error = relativeError(
    await chain.logits(await merged(chain, learned, adapter)),
    expected,
  );
  ok(error < 1e-4, `relative error is ${error}`);
});

Deno.test("an adapter goes with a model that is loaded anew, and not behind a script", async () => {
  await using chain = await StageChain.open();
  const model = await chain.edited(chain.family("qwen2_tied"), () => {});
  const adapter = await randomAdapter(chain, model);
  const expected = await chain.logits(await merged(chain, model, adapter));
  const rotated = await turned({ seed: 3, transforms: ["out_proj"] })(chain, model, "");
  const loaded = await chain.run(load, {}, { model: rotated.path, dtype: "float32" });
  const error = relativeError(await chain.logits(await merged(chain, loaded, adapter)), expected);
  ok(error < 1e-4, `relative error is ${error}`);
  const file = `${await chain.directory()}/same.ts`;
  await Deno.writeTextFile(
    file,
    `export const inputs = ["model"];
export const output = "model";
export default () => ({ changes: () => false, change() {} });
`,
  );
  const scripted = await chain.run(script, { model: rotated }, { file });
  await rejects(
    merged(chain, scripted, adapter),
    /Cannot put adapters on the model: script has changed its channels and its model.json does not/,
  );
  // As artifacts were before records told it.
  const { basis: _, ...record } = await readModelRecord(rotated.path);
  const old = await chain.edited(rotated, () => {});
  await writeModelRecord(old.path, record);
  await rejects(merged(chain, old, adapter), /rotate has changed its channels .*, expected/);
});
