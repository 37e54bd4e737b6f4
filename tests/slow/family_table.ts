/**
 * Writes `.github/FAMILIES.md`: what every variant of every family does on every device, through every
 * stage and in every export, as it was tried just now on the models of `tests/testdata/families`.
 *
 * Run: deno run -A tests/slow/family_table.ts [variant ...]   (prints the tables of some; of all it writes)
 */
import { fileURLToPath } from "node:url";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../kernels/device/reference.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import type { AnyStage } from "../../pipeline/stage.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { GREEDY } from "../../stages/engine/engine.ts";
import { EngineLoop } from "../../stages/engine/engine_loop.ts";
import { FORMATS } from "../../stages/exchange/find_format.ts";
import { openSource } from "../../stages/exchange/subject.ts";
import { verifyReading } from "../../stages/exchange/verify.ts";
import { exportModel } from "../../stages/export.ts";
import { fold } from "../../stages/fold.ts";
import { Model } from "../../stages/models/model.ts";
import { quantize } from "../../stages/quantize.ts";
import { reorder } from "../../stages/reorder.ts";
import { rotate } from "../../stages/rotate.ts";
import { smooth } from "../../stages/smooth.ts";
import { DEVICES } from "../support/devices.ts";
import { familyLogits } from "../support/family_copy.ts";
import { logitsOf, relativeError } from "../support/forward_pass.ts";
import { writeShaped } from "../support/packable_models.ts";
import { FAMILIES, StageChain } from "../support/stage_chain.ts";

const FOLDER = fileURLToPath(new URL("../testdata/families", import.meta.url));
const DOCUMENT = fileURLToPath(new URL("../../.github/FAMILIES.md", import.meta.url));

/** What was found at one place: that it works, or the sentence that refuses it. */
type Found = "works" | { readonly refusal: string };

const PLACES = ["qkv_proj", "out_proj", "up_proj", "down_proj"];
const ROW = { bits: 4, group: "row" };
const GROUPED = { bits: 4, zero: "pre_scale", group: 8 };
/** What each stage is told; most take a model and its statistics. */
const STAGES: Readonly<Record<string, readonly [AnyStage, object]>> = {
  "fold": [fold, {}],
  "rotate": [rotate, { seed: 1 }],
  "smooth": [smooth, {
    projections: { sites: PLACES, strategy: "grid", grids: 4, weights: GROUPED },
    attention: { strategy: "grid", grids: 4 },
  }],
  "reorder": [reorder, { sites: ["residual", "out_proj", "down_proj"] }],
  "rtn W4A8": [quantize, { method: "rtn", weights: ROW, activations: "dynamic" }],
  "gptq W4A16": [quantize, { method: "gptq", weights: GROUPED }],
  "KV4": [calibrate_kv, {}],
};
const CHANGES_NOTHING = ["fold", "rotate", "smooth", "reorder"];
const WITHOUT_STATS = ["fold", "rotate"];

/** What exports are tried with. */
const SCHEMES: Readonly<Record<string, object | undefined>> = {
  "W16": undefined,
  "W4A16": { method: "rtn", weights: { bits: 4, zero: "pre_scale", group: 64 } },
  "W4A8": {
    method: "rtn",
    weights: { bits: 4, zero: "none", group: "row" },
    activations: "dynamic",
  },
  "W8A8": {
    method: "rtn",
    weights: { bits: 8, zero: "none", group: "row" },
    activations: "dynamic",
  },
};

/** Which of them each format is made for; all unless said. */
const MADE_FOR: Readonly<Record<string, readonly string[]>> = {
  auto_awq: ["W4A16"],
  compressed_tensors: ["W4A16", "W4A8", "W8A8"],
  gguf: ["W16", "W4A16"],
  gptq: ["W4A16"],
  gptq_v2: ["W4A16"],
  huggingface: ["W16", "W4A16"],
  qserve: ["W4A8", "W8A8"],
  tinychat: ["W4A16"],
};

const TOLERANCE = 1e-4;

/** Sentences by their number in the document. */
const sentences: string[] = [];

function cell(found: Found): string {
  if (found === "works") return "yes";
  const at = sentences.indexOf(found.refusal);
  return `no [${at < 0 ? sentences.push(found.refusal) : at + 1}]`;
}

/** Whether some work is done; a refusal begins as all do. */
async function tried(work: () => Promise<void>): Promise<Found> {
  try {
    await work();
    return "works";
  } catch (error) {
    if (!(error instanceof Error) || !/^Cannot /.test(error.message)) throw error;
    return { refusal: error.message };
  }
}

function must(error: number, what: string): void {
  if (!(error < TOLERANCE)) throw new RangeError(`${what}: relative error is ${error}`);
}

/** The logits of transformers, and those of the model through all of the chain, on every device. */
async function devicesOf(family: string, packed: Artifact): Promise<Map<string, Found>> {
  const expected = await familyLogits(family);
  const found = new Map<string, Found>();
  let first: Float32Array | undefined;
  for (const [name, open] of Object.entries(DEVICES)) {
    await using device = await open();
    const logits = async (path: string) => {
      using model = await Model.open(path, device, { weightBytes: Infinity });
      return await logitsOf(device, model, expected.ids);
    };
    found.set(
      name,
      await tried(async () =>
        must(
          relativeError(await logits(`${FOLDER}/${family}`), expected.logits),
          `${family} ${name}`,
        )
      ),
    );
    const coded = await logits(packed.path);
    // A code on a border may fall to either side: the devices agree but for some of them.
    if (first && relativeError(coded, first) > 0.05) {
      throw new RangeError(`${family}: codes ${name}`);
    }
    first ??= coded;
  }
  return found;
}

async function stagesOf(family: string): Promise<{ found: Map<string, Found>; packed: Artifact }> {
  await using chain = await StageChain.open();
  const model = chain.family(family);
  const before = await chain.logits(model);
  const stats = await chain.calibrate(model, { gram: true });
  const found = new Map<string, Found>([["calibrate", "works"]]);
  for (const [name, [stage, params]] of Object.entries(STAGES)) {
    const inputs = WITHOUT_STATS.includes(name) ? { model } : { model, stats };
    found.set(
      name,
      await tried(async () => {
        const made = await chain.run(stage, inputs, params);
        const error = relativeError(await chain.logits(made), before);
        if (CHANGES_NOTHING.includes(name)) must(error, `${family} ${name}`);
      }),
    );
  }
  let packed: Artifact = model;
  for (const name of ["smooth", "rtn W4A8", "KV4"]) {
    const [stage, params] = STAGES[name]!;
    packed = await chain.run(stage, { model: packed, stats }, params).catch(() => packed);
  }
  found.set("served", await tried(() => serveOne(packed)));
  const kept = await Deno.makeTempDir();
  for await (const { name } of Deno.readDir(packed.path)) {
    await Deno.copyFile(`${packed.path}/${name}`, `${kept}/${name}`);
  }
  return { found, packed: { ...packed, path: kept } };
}

/** Lets an engine generate a few tokens. */
async function serveOne({ path }: Artifact): Promise<void> {
  await using device = await Cpu.open();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  using loop = new EngineLoop(device, model, {
    pages: 8,
    context: 100,
    step: { tokens: 64, sequences: 2 },
    queue: { requests: 4, tokens: 1000 },
  });
  loop.add(0, {
    prompt: [1, 5, 17, 80],
    maxTokens: 8,
    sampling: GREEDY,
    stopTokens: [],
  });
  let tokens = 0;
  while (!loop.idle) {
    for (const [, event] of await loop.step()) if (event.type === "token") tokens++;
  }
  if (tokens !== 8) throw new RangeError(`the engine gave ${tokens} tokens`);
}

/** What each format makes of each scheme: written, read back and compared value by value, or refused. */
async function exportsOf(family: string): Promise<Map<string, Map<string, Found>>> {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await writeShaped(family, await chain.directory());
  const found = new Map<string, Map<string, Found>>();
  for (const [words, params] of Object.entries(SCHEMES)) {
    const made: Artifact = params ? await chain.run(quantize, { model }, params) : model;
    for (const format of Object.keys(FORMATS)) {
      if (MADE_FOR[format]?.includes(words) === false) continue;
      const cells = found.get(format) ?? new Map<string, Found>();
      cells.set(words, await tried(() => roundTrip(chain, made, format)));
      found.set(format, cells);
    }
  }
  return found;
}

async function roundTrip(chain: StageChain, model: Artifact, format: string): Promise<void> {
  using source = await openSource(model.path);
  const { [format]: written } = FORMATS;
  const exported = await chain.run(exportModel, { model, reports: [] }, { format });
  using reading = await written!.open(exported.path);
  const options = { dtype: "float16", shardBytes: 5e9 } as const;
  const rounding = written!.rounding(source.subject, options);
  for await (const breach of verifyReading(reading, { source, rounding })) {
    throw new RangeError(`${format}: ${breach}`);
  }
}

function table(columns: readonly string[], rows: ReadonlyMap<string, readonly string[]>): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(columns),
    line(columns.map(() => "---")),
    ...[...rows].map(([name, cells]) => line([name, ...cells])),
  ].join("\n");
}

function tell(to: typeof Deno.stdout, text: string): void {
  to.writeSync(new TextEncoder().encode(`${text}\n`));
}

const wanted = Deno.args.length > 0 ? Deno.args : FAMILIES;
const ran = new Map<string, string[]>();
const written = new Map<string, string[]>();
for (const family of wanted) {
  const { found, packed } = await stagesOf(family);
  const devices = await devicesOf(family, packed);
  await Deno.remove(packed.path, { recursive: true });
  ran.set(family, [...devices.values(), ...found.values()].map(cell));
  const exported = await exportsOf(family);
  written.set(
    family,
    Object.keys(FORMATS).map((format) => {
      const texts = [...exported.get(format)!].map(([words, each]) => `${words} ${cell(each)}`);
      return texts.join(", ");
    }),
  );
  tell(Deno.stderr, family);
}
const stages = ["calibrate", ...Object.keys(STAGES), "served"];
const text = `# Families

Written by \`tests/slow/family_table.ts\`, which tried all of it on the models of \`tests/testdata/families\`:
\`yes\` has the logits of transformers (devices), leaves logits as they are (fold, rotate, smooth, reorder),
ran to its end (the other stages), or was read back and compared value by value (exports). \`no\` was refused
before work by the sentence of that number.

## Devices and stages

${table(["variant", ...Object.keys(DEVICES), ...stages], ran)}

Smoothed, quantized to W4A8 and with a KV cache of 4 bits, all devices agree.

## Exports

${table(["variant", ...Object.keys(FORMATS)], written)}

## Refusals

${sentences.map((each, at) => `${at + 1}. ${each}`).join("\n")}
`;
if (Deno.args.length > 0) tell(Deno.stdout, text);
else await Deno.writeTextFile(DOCUMENT, text);
