import { strict as assert } from "node:assert";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import type { Artifact } from "../../../pipeline/artifact.ts";
import { FORMATS } from "../../../stages/exchange/find_format.ts";
import { readProvenance } from "../../../stages/exchange/provenance.ts";
import { openSource, type Source, without } from "../../../stages/exchange/subject.ts";
import { verifyReading } from "../../../stages/exchange/verify.ts";
import { exportModel } from "../../../stages/export.ts";
import { quantize } from "../../../stages/quantize.ts";
import { rotate } from "../../../stages/rotate.ts";
import { hasLikeLayers, SHAPED, writeShaped } from "../../support/packable_models.ts";
import { StageChain } from "../../support/stage_chain.ts";

/** What `quantize` is told for every precision, by its words; full precision where nothing. */
const SCHEMES: Readonly<Record<string, object | undefined>> = {
  "W16": undefined,
  ...weightsOnly({ bits: 4, zero: "none", group: 32 }),
  ...weightsOnly({ bits: 4, zero: "none", group: "row" }),
  ...weightsOnly({ bits: 4, zero: "pre_scale", group: 64 }),
  ...weightsOnly({ bits: 4, zero: "post_scale", group: 64 }),
  ...weightsOnly({ bits: 4, zero: "post_scale", group: 128 }),
  ...weightsOnly({ bits: 3, zero: "pre_scale", group: 32 }),
  ...weightsOnly({ bits: 2, zero: "none", group: 32 }),
  ...weightsOnly({ bits: 8, zero: "none", group: 32 }),
  ...weightsOnly({ bits: 8, zero: "pre_scale", group: 128 }),
  ...withInputs({ bits: 4, zero: "none", group: "row" }),
  ...withInputs({ bits: 4, zero: "pre_scale", group: "row" }),
  ...withInputs({ bits: 4, zero: "post_scale", group: "row" }),
  ...withInputs({ bits: 4, zero: "pre_scale", group: 32, levels: 2 }),
  ...withInputs({ bits: 4, zero: "pre_scale", group: 128, levels: 2 }),
  ...withInputs({ bits: 4, zero: "post_scale", group: 128, levels: 2 }),
  ...withInputs({ bits: 4, zero: "none", group: 64, levels: 2 }),
  ...withInputs({ bits: 8, zero: "none", group: "row" }),
  ...withInputs({ bits: 8, zero: "none", group: "tensor" }),
  ...withHead(weightsOnly({ bits: 4, zero: "none", group: 32 }), "w8a16"),
  ...withHead(withInputs({ bits: 4, zero: "none", group: 64, levels: 2 }), "w8a8"),
  ...withHead(withInputs({ bits: 8, zero: "none", group: "row" }), "w8a8"),
  "W4 row none A4": {
    method: "rtn",
    weights: { bits: 4, zero: "none", group: "row" },
    activations: { bits: 4, clip: 0.9 },
  },
  "W4 g32 none A4 g32": {
    method: "rtn",
    weights: { bits: 4, zero: "none", group: 32 },
    activations: { bits: 4, clip: 0.9, group: 32 },
  },
  "W4 g32 none full with outliers A8 g32": {
    method: "rtn",
    weights: { bits: 4, zero: "none", group: 32, full: true, outlier_bits: 8 },
    activations: { group: 32 },
  },
  "W4 g32 none full": {
    method: "rtn",
    weights: { bits: 4, zero: "none", group: 32, full: true },
  },
};

/**
 * Those in which a family is written with two layers, among them one or more that each format takes, and
 * a head in codes. Others are told by what a linear's codes are, of which a layer has all there are:
 * they are written with one where both hold the same tensors.
 */
const DEEP: readonly string[] = [
  "W16",
  "W4 g32 none",
  "W4 g128 post_scale",
  "W3 g32 pre_scale",
  "W4 row pre_scale A8",
  "W4 g128 two-level post_scale A8",
  "W8 row none A8, head w8a8",
];

/** Those with a head in codes. */
const WITH_HEAD = Object.keys(SCHEMES).filter((words) => words.includes("head"));

/** Which of them each format must take on a rotated Llama: what it is made for. */
const MUST: Readonly<Record<string, readonly string[]>> = {
  auto_awq: ["W4 g32 none", "W4 row none", "W4 g64 pre_scale"],
  compressed_tensors: [
    "W4 g32 none",
    "W4 row none",
    "W4 g64 pre_scale",
    "W3 g32 pre_scale",
    "W2 g32 none",
    "W8 g32 none",
    "W8 g128 pre_scale",
    "W4 row none A8",
    "W4 row pre_scale A8",
    "W4 g32 two-level pre_scale A8",
    "W4 g128 two-level pre_scale A8",
    "W4 g64 two-level none A8",
    "W8 row none A8",
    "W8 tensor none A8",
    ...WITH_HEAD,
  ],
  gguf: [
    "W16",
    "W4 g32 none",
    "W4 row none",
    "W4 g64 pre_scale",
    "W4 g64 post_scale",
    "W4 g128 post_scale",
    "W3 g32 pre_scale",
    "W2 g32 none",
    "W8 g32 none",
    "W4 row none A8",
    "W4 row pre_scale A8",
    "W4 row post_scale A8",
    "W4 g32 two-level pre_scale A8",
    "W4 g128 two-level post_scale A8",
    "W4 g64 two-level none A8",
    "W8 row none A8",
    "W8 tensor none A8",
    ...WITH_HEAD,
  ],
  gptq: [
    "W4 g32 none",
    "W4 row none",
    "W4 g64 pre_scale",
    "W3 g32 pre_scale",
    "W2 g32 none",
    "W8 g32 none",
    "W8 g128 pre_scale",
  ],
  gptq_v2: [
    "W4 g32 none",
    "W4 row none",
    "W4 g64 pre_scale",
    "W3 g32 pre_scale",
    "W2 g32 none",
    "W8 g32 none",
    "W8 g128 pre_scale",
  ],
  huggingface: [
    "W16",
    "W4 g32 none",
    "W3 g32 pre_scale",
    "W2 g32 none",
    "W8 g128 pre_scale",
    ...WITH_HEAD,
  ],
  qserve: [
    "W4 row none A8",
    "W4 row pre_scale A8",
    "W4 row post_scale A8",
    "W4 g128 two-level pre_scale A8",
    "W4 g128 two-level post_scale A8",
    "W8 row none A8",
    "W8 tensor none A8",
  ],
  tinychat: ["W4 g64 pre_scale", "W4 g64 post_scale", "W4 g128 post_scale"],
};

/** The family on which a format must take them: Llama 3's, unless it has no place for that. */
const HOME: Readonly<Record<string, string>> = {
  // There are no scaled rotary positions.
  qserve: "llama_wide_heads",
  tinychat: "llama_wide_heads",
};

Deno.test("every format must take one of the schemes that are written with two layers", () => {
  assert.ok(DEEP.every((words) => words in SCHEMES));
  for (const [format, must] of Object.entries(MUST)) {
    assert.ok(DEEP.some((words) => must.includes(words)), format);
  }
});

for (const family of SHAPED) {
  Deno.test(`${family}: every format reads back what it wrote of each scheme, or refuses it before work`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const [shallow, deep] = await Promise.all([1, 2].map(async (layers) =>
      await chain.run(rotate, {
        model: await writeShaped(family, await chain.directory(), layers),
      })
    ));
    const alike = await hasLikeLayers(family);
    for (const [words, params] of Object.entries(SCHEMES)) {
      const model = alike && !DEEP.includes(words) ? shallow! : deep!;
      const quantized = params ? await chain.run(quantize, { model }, params) : model;
      using source = await openSource(quantized.path);
      for (const format of Object.keys(FORMATS)) {
        const held = await roundTrip(chain, { model: quantized, source }, format);
        // Nobody else has such inputs: what holds the weights has given them up by the user's word.
        if (words.endsWith("A4")) {
          assert.ok(
            FORMATS[format]!.refusals(source.subject, { dtype: "float16", shardBytes: 100_000 })
              .some(({ what }) => what !== "kv"),
            `${format} takes inputs of 4 bits without a word`,
          );
        }
        const home = HOME[format] ?? "llama_llama3_gqa_tied";
        if (family !== home || !MUST[format]?.includes(words)) continue;
        assert.ok(held, `${format} refuses ${words}, expected it to hold that`);
      }
    }
  });
}

Deno.test("formats whose engines have no codes for a head say so in a sentence, the others write it so", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await writeShaped("llama_wide_heads", await chain.directory());
  const params = { method: "rtn", weights: { zero: "none" }, head: "w8a16" };
  const turned = await chain.run(rotate, { model });
  using source = await openSource((await chain.run(quantize, { model: turned }, params)).path);
  const options = { dtype: "float16", shardBytes: 100_000 } as const;
  const { codedHead } = source.subject;
  const refusing = Object.keys(FORMATS).filter((format) =>
    FORMATS[format]!.refusals(source.subject, options).some(({ what, text }) =>
      what === "model" && text ===
        `its head, ${
          codedHead!.name
        }, has W8 per row none, expected half precision in ${format}; leave head out of quantize`
    )
  );
  assert.deepEqual(refusing, ["auto_awq", "gptq", "gptq_v2", "qserve", "tinychat"]);
  const held = { compressed_tensors: "lm_head.weight_packed", gguf: "lm_head.weight" };
  for (const [format, tensor] of Object.entries(held)) {
    const exported = await chain.run(
      exportModel,
      { model: { ...turned, path: source.checkpoint.path }, reports: [] },
      { format },
    );
    using reading = await FORMATS[format]!.open(exported.path);
    const { dtype } = reading.checkpoint.tensors.get(tensor)!;
    assert.equal(dtype, format === "gguf" ? "Q8_0" : "I32");
  }
});

/** Exports, opens and compares on its own; false where the format refuses, which must leave nothing. */
async function roundTrip(
  chain: StageChain,
  { model, source }: { readonly model: Artifact; readonly source: Source },
  format: string,
): Promise<boolean> {
  const options = { dtype: "float16", shardBytes: 100_000 } as const;
  const refusals = FORMATS[format]!.refusals(source.subject, options);
  // What may be given up is, so that the weights behind it are tried too.
  const ignore = [...new Set(refusals.map(({ what }) => what))].filter((what) => what !== "model");
  const params = { format, shard_bytes: options.shardBytes };
  if (refusals.length > 0) {
    const left = await chain.refuses(exportModel, {
      inputs: { model, reports: [] },
      params,
      message: new RegExp(`^Cannot export to ${format}: .*(export to|ignore|no other format)`),
    });
    assert.deepEqual(left, []);
    if (refusals.some(({ what }) => what === "model")) return false;
  }
  const exported = await chain.run(exportModel, { model, reports: [] }, { ...params, ignore });
  const { [format]: written } = FORMATS;
  using reading = await written!.open(exported.path);
  const rounding = written!.rounding(without(source.subject, ignore), options);
  const breaches = await Array.fromAsync(verifyReading(reading, { source, rounding }));
  assert.deepEqual(breaches, [], format);
  assert.equal((await readProvenance(exported.path))?.model, model.digest);
  return true;
}

interface Weights {
  readonly bits: number;
  readonly zero: string;
  readonly group: number | string;
  readonly levels?: number;
}

function weightsOnly(weights: Weights): Record<string, object> {
  return { [wordsOf(weights)]: { method: "rtn", weights } };
}

function withInputs(weights: Weights): Record<string, object> {
  return { [`${wordsOf(weights)} A8`]: { method: "rtn", weights, activations: "dynamic" } };
}

function withHead(given: Record<string, object>, head: string): Record<string, object> {
  const pairs = Object.entries(given);
  return Object.fromEntries(
    pairs.map(([words, params]) => [`${words}, head ${head}`, { ...params, head }]),
  );
}

function wordsOf({ bits, zero, group, levels }: Weights): string {
  const grouped = typeof group === "number" ? `g${group}` : group;
  return [`W${bits}`, grouped, ...levels === 2 ? ["two-level"] : [], zero].join(" ");
}
