import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import type { Artifact } from "../../../pipeline/artifact.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { PROVENANCE, readProvenance } from "../../../stages/exchange/provenance.ts";
import { importSources } from "../../../stages/exchange/incoming/sources.ts";
import { describeModelDirectory } from "../../../stages/describe/model.ts";
import { exportModel } from "../../../stages/export.ts";
import { load, quantize, rotate } from "../../../stages/mod.ts";
import { openAdapters } from "../../../stages/models/adapters.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { readModelRecord } from "../../../stages/models/model_record.ts";
import { writeShaped } from "../../support/packable_models.ts";
import { randomAdapter } from "../../support/random_adapter.ts";
import { StageChain } from "../../support/stage_chain.ts";

/** A format with the precision that it holds. */
const FORMS = {
  huggingface: {},
  gguf: { weights: { bits: 4, zero: "post_scale", group: 32 } },
  compressed_tensors: { weights: { bits: 4, zero: "none", group: 128 } },
  gptq: { weights: { bits: 4, zero: "pre_scale", group: 128 } },
} as const;

const REFUSED =
  /^Cannot put adapters on the model: rotate had changed its channels before it was exported .*, expected .*; put them on the model that was exported, or, .* load it without its provenance\.json$/;

/** A model as it is loaded from where it was exported to. */
async function loadedAnew(
  chain: StageChain,
  model: Artifact,
  { format, ...params }: { readonly format: string; readonly type?: string },
): Promise<{ readonly loaded: Artifact; readonly exported: string; readonly place: string }> {
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format, ...params });
  const place = format === "gguf" ? `${path}/model.gguf` : path;
  const codes = format === "huggingface" ? {} : { codes: "keep" };
  const loaded = await chain.run(load, {}, { model: place, dtype: "float32", ...codes });
  return { loaded, exported: path, place };
}

async function adapted({ path: model }: Artifact, path: string): Promise<number> {
  using files = await openModel(model);
  const [adapter] = await openAdapters([{ name: "a", path }], files);
  return adapter!.changes.size;
}

for (const [format, precision] of Object.entries(FORMS)) {
  Deno.test(`what was rotated, exported as ${format} and loaded anew takes no adapter; what was not does`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const model = await writeShaped("llama_llama3_gqa_tied", await chain.directory());
    const adapter = await randomAdapter(chain, model);
    const made = async (model: Artifact) =>
      "weights" in precision
        ? await chain.run(quantize, { model }, { method: "rtn", ...precision })
        : model;
    const plain = await loadedAnew(chain, await made(model), { format });
    equal(await adapted(plain.loaded, adapter), 14);
    const rotated = await chain.run(rotate, { model }, { transforms: [] });
    // On the artifact itself adapters are carried along.
    equal(await adapted(await made(rotated), adapter), 14);
    const { loaded, exported, place } = await loadedAnew(chain, await made(rotated), { format });
    await rejects(adapted(loaded, adapter), ({ message }: Error) => REFUSED.test(message));
    const { sections } = await describeModelDirectory(loaded.path, {});
    const facts = sections.find(({ title }) => title === "History")!.facts!;
    deepEqual(facts[0]![0], "before its export");
    match(facts[0]![1], /^rotate/);
    // It stays so in exports of what was loaded, and in what is loaded of those.
    const second = await loadedAnew(chain, loaded, { format });
    const { recipe } = (await readProvenance(second.exported))!;
    equal(recipe.stages[0]!.stage, "rotate");
    await rejects(adapted(second.loaded, adapter), ({ message }: Error) => REFUSED.test(message));
    if (format !== "huggingface") return;
    // What tells of it decides the key, and without it the model is a checkpoint like others.
    ok((await importSources(place)).includes(`${exported}/${PROVENANCE}`));
    await Deno.remove(`${exported}/${PROVENANCE}`);
    const untold = await chain.run(load, {}, { model: place, dtype: "float32" });
    equal(await adapted(untold, adapter), 14);
    equal((await readModelRecord(untold.path)).before, undefined);
  });
}

Deno.test("an export in codes that no stage made takes adapters", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await writeShaped("llama_llama3_gqa_tied", await chain.directory());
  const { loaded } = await loadedAnew(chain, model, { format: "gguf", type: "Q8_0" });
  equal(await adapted(loaded, await randomAdapter(chain, model)), 14);
});

Deno.test("what another program quantized takes no adapter, and its `provenance.json` is left alone", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await writeShaped("llama_llama3_gqa_tied", await chain.directory());
  const adapter = await randomAdapter(chain, model);
  const codes = await chain.run(quantize, { model }, { method: "rtn", ...FORMS.gptq });
  const { path } = await chain.run(exportModel, { model: codes, reports: [] }, { format: "gptq" });
  await Deno.writeTextFile(`${path}/${PROVENANCE}`, `{"version":"2.1","who":["somebody"]}`);
  const loaded = await chain.run(load, {}, { model: path });
  await rejects(
    adapted(loaded, adapter),
    /^TypeError: Cannot put adapters on the model: another program quantized it \(gptq\), .*, expected /,
  );
  ok(!(await importSources(path)).includes(`${path}/${PROVENANCE}`));
  await Deno.writeTextFile(`${path}/${PROVENANCE}`, `{"version":1,"producer":"quattuor"}`);
  await rejects(
    chain.run(load, {}, { model: path }),
    /^TypeError: Cannot load ".*": its provenance has recipe: .*, expected .*; export it anew/,
  );
});
