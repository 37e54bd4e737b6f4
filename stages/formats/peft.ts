import { createHash } from "node:crypto";
import { basename } from "node:path";
import { z } from "zod";
import { ByteFile } from "./byte_file.ts";
import { readOptionalJson } from "./foreign_json.ts";
import { parseHeader } from "./safetensors/header.ts";
import { widenTensor } from "./widen.ts";

/** What PEFT calls its files. */
const [CONFIG, WEIGHTS, PICKLE] = [
  "adapter_config.json",
  "adapter_model.safetensors",
  "adapter_model.bin",
];

/** The files of an adapter's directory that decide what it does. */
export function peftFiles(directory: string): readonly string[] {
  return [CONFIG, WEIGHTS].map((name) => `${directory}/${name}`);
}

/** Sha256 of an adapter's files; throws where one is not there. */
export async function peftDigest(directory: string): Promise<string> {
  const all = createHash("sha256");
  for (const path of peftFiles(directory)) {
    const own = createHash("sha256").update(await Deno.readFile(path).catch(refused));
    all.update(own.digest());
  }
  return all.digest("hex");

  function refused(error: Error): never {
    throw new TypeError(
      `Cannot take the adapter "${directory}": ${error.message}, expected ${CONFIG} and ${WEIGHTS}`,
      { cause: error },
    );
  }
}

/** Copies an adapter into a new directory. */
export async function copyPeftAdapter(from: string, out: string): Promise<void> {
  await Deno.mkdir(out, { recursive: true });
  for (const path of peftFiles(from)) await Deno.copyFile(path, `${out}/${basename(path)}`);
}

/** What PEFT puts before the names of transformers. */
const PREFIX = "base_model.model.";

/** The two factors of a change to a linear: `b` times `a`, times the scale, is added to its weight. */
export interface LowRankChange {
  readonly rank: number;
  readonly scale: number;
  /** f32 [rank, inputs]. */
  readonly a: Float32Array<ArrayBuffer>;
  readonly inputs: number;
  /** f32 [outputs, rank]. */
  readonly b: Float32Array<ArrayBuffer>;
  readonly outputs: number;
}

const rank = z.number().int().positive();

/** Fields whose values say nothing of what is computed, or are read here. */
const HARMLESS = new Set([
  "alpha_pattern",
  "auto_mapping",
  "base_model_name_or_path",
  "eva_config",
  "exclude_modules",
  "inference_mode",
  "layers_pattern",
  "layers_to_transform",
  "lora_alpha",
  "lora_dropout",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "r",
  "rank_pattern",
  "revision",
  "target_modules",
  "task_type",
  "use_rslora",
]);

/** What other fields may say; of those that stand nowhere, nothing: they make it another method. */
const MAY: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ["LORA"],
  bias: ["none"],
  // Others change the base model too.
  init_lora_weights: [true, "gaussian", "eva", "orthogonal"],
};

const config = z.looseObject({
  r: rank,
  lora_alpha: z.number(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), rank).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
});

/**
 * Reads a LoRA adapter as Hugging Face's PEFT writes it (`LoraConfig` of src/peft/tuners/lora/config.py and
 * `save_pretrained`), by the names that its linears have in transformers. Throws what is not understood
 * by its field or tensor.
 */
export async function readPeftAdapter(
  directory: string,
): Promise<ReadonlyMap<string, LowRankChange>> {
  const refuse = (is: string, expected: string) =>
    new TypeError(`Cannot take the adapter "${directory}": ${is}, expected ${expected}`);
  const json = await readOptionalJson(`${directory}/${CONFIG}`);
  if (json === undefined) throw refuse(`it has no ${CONFIG}`, "a LoRA adapter of PEFT");
  const read = config.safeParse(json);
  if (!read.success) {
    const [issue] = read.error.issues;
    throw refuse(`"${issue!.path.join(".")}" of ${CONFIG} is not so`, issue!.message);
  }
  const fields = { peft_type: undefined, ...read.data } as Readonly<Record<string, unknown>>;
  for (const [field, value] of Object.entries(fields)) {
    const fine = MAY[field] ?? [];
    const silent = value === false || value === undefined || value === null ||
      (typeof value === "object" && Object.keys(value).length === 0);
    if (HARMLESS.has(field) || fine.includes(value) || (silent && field !== "peft_type")) continue;
    const words = fine.map((one) => JSON.stringify(one)).join(" or ") || "nothing there";
    throw refuse(`its ${field} is ${JSON.stringify(value)}`, words);
  }
  const path = `${directory}/${WEIGHTS}`;
  if (!await isThere(path)) {
    const pickled = await isThere(`${directory}/${PICKLE}`);
    throw refuse(
      pickled ? `its weights are a pickle (${PICKLE})` : `it has no ${WEIGHTS}`,
      `${WEIGHTS}; save it with safe_serialization`,
    );
  }
  using file = await ByteFile.open(path);
  const { tensors } = await parseHeader(file);
  const changes = new Map<string, LowRankChange>();
  for (const name of tensors.keys()) {
    const [, module, half] = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/.exec(name) ?? [];
    if (module === undefined) {
      throw refuse(`it has a tensor "${name}"`, `${PREFIX}<linear>.lora_A.weight or lora_B`);
    }
    const other = `${PREFIX}${module}.lora_${half === "A" ? "B" : "A"}.weight`;
    if (!tensors.has(other)) throw refuse(`"${name}" stands alone`, `"${other}" beside it`);
    if (half === "B") continue;
    const values = async (name: string) => {
      const { dtype, shape, start, end } = tensors.get(name)!;
      const { buffer } = await file.read(start, end);
      const values = widenTensor(new Uint8Array(buffer), { name, dtype, file: path });
      const odd = values.find((value) => !Number.isFinite(value));
      if (odd !== undefined) throw refuse(`"${name}" has ${odd}`, "finite numbers");
      if (shape.length !== 2) throw refuse(`"${name}" has ${shape.length} axes`, "two");
      return { values, shape: shape as readonly [number, number] };
    };
    const [a, b] = [await values(name), await values(other)];
    const said = patternFor(read.data.rank_pattern, module) ?? read.data.r;
    if (a.shape[0] !== said || b.shape[1] !== said) {
      throw refuse(`"${module}" has rank ${a.shape[0]} and ${b.shape[1]}`, `${said} of both`);
    }
    const alpha = patternFor(read.data.alpha_pattern, module) ?? read.data.lora_alpha;
    changes.set(module, {
      rank: said,
      scale: alpha / (read.data.use_rslora ? Math.sqrt(said) : said),
      a: a.values,
      inputs: a.shape[1],
      b: b.values,
      outputs: b.shape[0],
    });
  }
  if (changes.size === 0) throw refuse("it changes nothing", "some lora_A and lora_B");
  return changes;
}

/**
 * The value of the first pattern that a module's name ends with, as `get_pattern_key` of PEFT finds it:
 * `(.*\.)?(pattern)$`, the pattern itself being a regular expression.
 */
function patternFor<T>(
  patterns: Readonly<Record<string, T>> | null | undefined,
  module: string,
): T | undefined {
  const found = Object.entries(patterns ?? {}).find(([pattern]) =>
    new RegExp(`^(?:.*\\.)?(?:${pattern})$`).test(module)
  );
  return found?.[1];
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(({ isFile }) => isFile, () => false);
}
