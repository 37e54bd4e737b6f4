// Slow: runs the configs on the embedded model.
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { readManifest } from "../../pipeline/manifest/read_manifest.ts";
import { Store } from "../../pipeline/store/store.ts";
import * as stages from "../../stages/mod.ts";
import { readModelRecord } from "../../stages/models/model_record.ts";
import {
  assertForecast,
  forecasts,
  measure,
  type Measurement,
  type PeakBytes,
} from "../support/forecast_check.ts";

const CONFIGS = fileURLToPath(new URL("../../configs/", import.meta.url));
const RECIPES = [...Deno.readDirSync(CONFIGS)]
  .flatMap(({ name }) => name.endsWith(".yaml") ? [name] : []).sort();
/** One for all recipes, so that what they have in common is made once. */
const STORE = new Store(await Deno.makeTempDir({ prefix: "quattuor-recipes-" }));
/** Of the texts: whole windows to score, for their differences are small. */
const SMALL = ["windows=4", "samples=12", "sample_tokens=256"];
/** Items of each task of those that a recipe asks: more than a step of the engine takes. */
const ITEMS = 24;
/**
 * Parameters of any step: candidates of a search, rows of inputs that it looks at, steps of learning, the
 * windows of each and those that what was learned is compared on.
 */
const FEW: Readonly<Record<string, number>> = { grids: 8, rows: 256, steps: 3, batch: 2, held: 2 };

type Scores = Readonly<Record<string, number>>;

/** What a recipe's run took, and was to take. */
interface RecipeRun extends Measurement {
  readonly before: ReadonlyMap<string, PeakBytes>;
}

const evaluates = ({ stage }: { readonly stage: string }) => stage === "evaluate";

const runs = new Map<string, Promise<RecipeRun>>();

for (const name of RECIPES) {
  Deno.test(`configs/${name} has no problems and tells editors its schema`, async () => {
    const path = `${CONFIGS}${name}`;
    const { steps } = await readManifest(path, { stages, set: [] });
    assert.ok(steps.length > 0);
    const set = steps.some(evaluates) ? ["tasks=stories,mmlu"] : [];
    const asked = await readManifest(path, { stages, set });
    for (const { name, params } of asked.steps.filter(evaluates)) {
      assert.deepEqual((params as Record<string, unknown>)["tasks"], [{ task: "stories" }, {
        task: "mmlu",
      }], name);
    }
    const [first] = (await Deno.readTextFile(path)).split("\n");
    assert.equal(first, "# yaml-language-server: $schema=schema.json");
  });

  // Benchmarks have a test of their own.
  if (name.startsWith("benchmark")) continue;
  Deno.test(`each step of configs/${name} holds the device memory that was counted`, async () => {
    const { before, ...measurement } = await runOf(name);
    assertForecast(before, measurement);
  });
}

Deno.test("configs/qoq.yaml loses less than a twentieth of what rounding to nearest loses", async () => {
  const qoq = await scoresOf("qoq.yaml");
  assert.ok(qoq["fp16.perplexity"]! > 1.4 && qoq["fp16.perplexity"]! < 1.6);
  const rtn = await scoresOf("rtn.yaml");
  assert.equal(rtn["fp16.perplexity"], qoq["fp16.perplexity"]);
  assert.ok(rtn["rtn.perplexity"]! > 1.1 * qoq["fp16.perplexity"]!, "the model is too easy");
  const lost = (scores: Scores, name: string) =>
    scores[`${name}.perplexity`]! - scores["fp16.perplexity"]!;
  assert.ok(lost(qoq, "qoq") < 0.05 * lost(rtn, "rtn"));
  assert.ok(qoq["qoq.kl"]! < 0.02 * rtn["rtn.kl"]!);
});

Deno.test("configs/qoq-gchn.yaml does as well with a scale a row, from inputs of quantized layers", async () => {
  const scores = await scoresOf("qoq-gchn.yaml");
  assert.ok(scores["qoq.kl"]! < 0.005, `KL ${scores["qoq.kl"]}`);
});

Deno.test("each part of QoQ improves on those before in configs/ablation.yaml", async () => {
  const { summary: { scores }, paths } = await runOf("ablation.yaml");
  const kl = (name: string) => scores[`${name}.kl`]!;
  const chain = ["rtn", "rotate", "reorder", "smooth", "smooth_attention"];
  chain.slice(1).forEach((name, i) => {
    assert.ok(kl(name) < kl(chain[i]!), `${name}: KL ${kl(name)} after ${kl(chain[i]!)}`);
  });
  // What GPTQ and the range search are meant to improve.
  const error = async (step: string) => {
    const { measured } = await readModelRecord(paths.get(step)!);
    const errors = Object.values(measured.linears).map(({ outputError }) => outputError!);
    return errors.reduce((sum, one) => sum + one, 0) / errors.length;
  };
  const pairs = [
    ["gptq_w4", "smooth_attention_w4"],
    ["row_range_w4", "row_rtn_w4"],
    ["row_gptq_w4", "row_rtn_w4"],
    ["row_range_gptq_w4", "row_range_w4"],
    ["row_range_gptq_w4", "row_gptq_w4"],
  ] as const;
  for (const [after, before] of pairs) {
    const [now, then] = [await error(after), await error(before)];
    assert.ok(now < then, `${after}: output error ${now}, ${before}: ${then}`);
  }
  // Where 2,000 tokens show a KL near 0.001, its last tenth is chance.
  assert.ok(kl("gptq") < 1.1 * kl("smooth_attention"));
  assert.ok(kl("row_range") < kl("row_rtn"));
  assert.ok(kl("row_range_gptq") < 1.1 * Math.min(kl("row_range"), kl("row_gptq")));
});

Deno.test("configs/compare.yaml runs every recipe", async () => {
  const scores = await scoresOf("compare.yaml");
  const names = Object.keys(scores).filter((name) => name.endsWith(".kl"));
  assert.equal(names.length, 9);
  const kl = (name: string) => scores[`${name}.kl`]!;
  for (const name of ["qoq", "qoq_gchn", "ooo", "gptq", "awq", "smoothquant_dynamic"]) {
    assert.ok(kl(name) < kl("rtn"), `${name}: KL ${kl(name)}`);
  }
  assert.ok(kl("ooo") < kl("qoq"), "eight bits should lose less than four");
});

globalThis.addEventListener("unload", () => Deno.removeSync(STORE.path, { recursive: true }));

/** The one run of a recipe, made when it is first asked for. */
function runOf(name: string): Promise<RecipeRun> {
  const known = runs.get(name) ?? runSmall(`${CONFIGS}${name}`);
  runs.set(name, known);
  return known;
}

async function runSmall(path: string): Promise<RecipeRun> {
  const manifest = await readManifest(path, { stages, set: await smallSettings(path) });
  const before = await forecasts(manifest, STORE);
  return { before, ...await measure(manifest, STORE) };
}

/** Settings that make a recipe small, as far as it has them. */
async function smallSettings(path: string): Promise<string[]> {
  const set: string[] = [];
  for (const setting of SMALL) {
    const knows = readManifest(path, { stages, set: [setting] });
    if (await knows.then(() => true, () => false)) set.push(setting);
  }
  const { params, steps } = await readManifest(path, { stages, set });
  if (params.tasks !== undefined && params.tasks !== "none") {
    set.push(`tasks=[{ task: ${params.tasks}, limit: ${ITEMS} }]`);
  }
  return [...set, ...steps.flatMap(({ name, params }) => fewIn(name, params))];
}

function fewIn(place: string, params: unknown): string[] {
  if (typeof params !== "object" || params === null) return [];
  return Object.entries(params).flatMap(([key, value]) =>
    key in FEW ? [`${place}.${key}=${FEW[key]}`] : fewIn(`${place}.${key}`, value)
  );
}

async function scoresOf(name: string): Promise<Scores> {
  return (await runOf(name)).summary.scores;
}
