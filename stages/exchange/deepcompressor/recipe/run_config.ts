import { parse } from "yaml";
import { cacheOf } from "./cache_precision.ts";
import type { Activations } from "../../../quant/schemes.ts";
import { readRecipe } from "./read_recipe.ts";
import { openSection, type RecipeNode, type RecipePlace } from "./recipe_tree.ts";
import { activationsOf } from "./schemes.ts";

/** What the configuration of a run tells of the model it saved, beside its weights. */
export interface RunPrecision {
  readonly path: string;
  readonly activations: Activations;
  /** Parameters of `calibrate_kv`; undefined where the cache stays as it is. */
  readonly cache: Readonly<Record<string, unknown>> | undefined;
  /** Rotations beside that of the residual stream. */
  readonly transforms: readonly string[];
}

const NAME = /^config(-[\w.-]+)?\.ya?ml$/;
const LONGEST = 2 ** 20;

/**
 * Reads what DeepCompressor wrote of a run beside its results: `config-<time>.yaml` in a directory or
 * the one above it, the last one of several.
 */
export async function readRunConfig(directory: string): Promise<RunPrecision | undefined> {
  for (const folder of [directory, `${directory}/..`]) {
    const names: string[] = [];
    for await (const { name, isFile } of Deno.readDir(folder)) {
      if (isFile && NAME.test(name)) names.push(name);
    }
    for (const name of names.sort().reverse()) {
      const found = await precisionOf(`${folder}/${name}`);
      if (found) return found;
    }
  }
  return undefined;
}

async function precisionOf(path: string): Promise<RunPrecision | undefined> {
  if ((await Deno.stat(path)).size > LONGEST) return undefined;
  let json: unknown;
  try {
    json = parse(await Deno.readTextFile(path), { schema: "core", maxAliasCount: 0 });
  } catch {
    // A file of this name may be anybody's.
    return undefined;
  }
  const place: RecipePlace = { source: path };
  const tree = nodeOf(json, place);
  if (tree.type !== "map" || !tree.entries.has("quant")) return undefined;
  const problems: string[] = [];
  const findings = {
    refuse: (_: RecipePlace, text: string) => void problems.push(text),
    warn: () => {},
    note: () => {},
  };
  const recipe = readRecipe(openSection(tree, { path: "", place, findings }));
  const activations = activationsOf(recipe.inputs, findings);
  const cache = cacheOf(recipe.outputs, findings);
  if (problems.length > 0) {
    throw new TypeError(`Cannot tell the precision of the run in "${path}": ${problems[0]}`);
  }
  return {
    path,
    activations: activations ?? "none",
    cache: cache === "none" ? undefined : cache?.step,
    transforms: recipe.rotation?.transforms ?? [],
  };
}

function nodeOf(json: unknown, place: RecipePlace): RecipeNode {
  if (Array.isArray(json)) {
    return { type: "list", place, items: json.map((item) => nodeOf(item, place)) };
  }
  if (typeof json === "object" && json !== null) {
    const entries = Object.entries(json)
      .map(([key, value]) => [key, { place, value: nodeOf(value, place) }] as const);
    return { type: "map", place, entries: new Map(entries) };
  }
  const plain = typeof json === "string" || typeof json === "number" || typeof json === "boolean";
  return { type: "scalar", place, value: plain ? json : null };
}
