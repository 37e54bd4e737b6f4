// Slow: runs the configs on the embedded model.
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import type { RunEvent, Summary } from "../../pipeline/event.ts";
import { readManifest } from "../../pipeline/manifest/read_manifest.ts";
import * as stages from "../../stages/mod.ts";
import { readModelRecord } from "../../stages/models/model_record.ts";

const CONFIGS = fileURLToPath(new URL("../../configs/", import.meta.url));
const MANIFESTS = [...Deno.readDirSync(CONFIGS)]
  .flatMap(({ name }) => name.endsWith(".yaml") ? [name] : []).sort();
/** One for all runs, so that recipes share what they have in common. */
const STORE = await Deno.makeTempDir({ prefix: "quattuor-recipes-" });
const QUICK = ["windows=4", "samples=16"];

type Scores = Readonly<Record<string, number>>;

for (const name of MANIFESTS) {
  Deno.test(`configs/${name} has no problems and tells editors its schema`, async () => {
    const path = `${CONFIGS}${name}`;
    const { steps } = await readManifest(path, { stages, set: [] });
    assert.ok(steps.length > 0);
    const [first] = (await Deno.readTextFile(path)).split("\n");
    assert.equal(first, "# yaml-language-server: $schema=schema.json");
  });
}

Deno.test("configs/qoq.yaml loses less than a twentieth of what rounding to nearest loses", async () => {
  const qoq = await run("qoq.yaml", QUICK);
  assert.ok(qoq["fp16.perplexity"]! > 1.4 && qoq["fp16.perplexity"]! < 1.6);
  const rtn = await run("rtn.yaml", QUICK.slice(0, 1));
  assert.equal(rtn["fp16.perplexity"], qoq["fp16.perplexity"]);
  assert.ok(rtn["rtn.perplexity"]! > 1.1 * qoq["fp16.perplexity"]!, "the model is too easy");
  const lost = (scores: Scores, name: string) =>
    scores[`${name}.perplexity`]! - scores["fp16.perplexity"]!;
  assert.ok(lost(qoq, "qoq") < 0.05 * lost(rtn, "rtn"));
  assert.ok(qoq["qoq.kl"]! < 0.02 * rtn["rtn.kl"]!);
});

Deno.test("configs/qoq-gchn.yaml does as well with a scale a row, from inputs of quantized layers", async () => {
  const scores = await run("qoq-gchn.yaml", QUICK);
  assert.ok(scores["qoq.kl"]! < 0.005, `KL ${scores["qoq.kl"]}`);
});

Deno.test("each part of QoQ improves on those before in configs/ablation.yaml", async () => {
  const { scores, paths } = await runWithPaths("ablation.yaml", [...QUICK, "grids=20"]);
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
  const scores = await run("compare.yaml", [...QUICK, "grids=20"]);
  const names = Object.keys(scores).filter((name) => name.endsWith(".kl"));
  assert.equal(names.length, 9);
  const kl = (name: string) => scores[`${name}.kl`]!;
  for (const name of ["qoq", "qoq_gchn", "ooo", "gptq", "awq", "smoothquant_dynamic"]) {
    assert.ok(kl(name) < kl("rtn"), `${name}: KL ${kl(name)}`);
  }
  assert.ok(kl("ooo") < kl("qoq"), "eight bits should lose less than four");
});

globalThis.addEventListener("unload", () => Deno.removeSync(STORE, { recursive: true }));

/** Runs a recipe as the command line does; the scores of its summary. */
async function run(name: string, settings: readonly string[]): Promise<Scores> {
  return (await runWithPaths(name, settings)).scores;
}

/** Runs a recipe as the command line does; its scores, and its artifacts' directories by step. */
async function runWithPaths(name: string, settings: readonly string[]) {
  const main = fileURLToPath(new URL("../../mod.ts", import.meta.url));
  const set = settings.flatMap((setting) => ["--set", setting]);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", main, "run", `${CONFIGS}${name}`, "--json", "--store", STORE, ...set],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  const events = lines.map((line): RunEvent => JSON.parse(line));
  const paths = events.flatMap((event) =>
    event.type === "done" || event.type === "reuse" ? [[event.step, event.path] as const] : []
  );
  const { scores } = events.at(-1) as Summary;
  return { scores, paths: new Map(paths) };
}
