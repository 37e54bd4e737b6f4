import { openCheckpoint } from "../models/open_checkpoint.ts";
import { FORMATS, recognizeFormat, statedFormat } from "./find_format.ts";
import { claimProblems } from "./foreign_quantization.ts";
import type { FormatOptions, Reading } from "./format.ts";
import { GGUF_FILE } from "./gguf/reading.ts";
import { openOriginal, type OriginalOptions } from "./original.ts";
import { type Provenance, readProvenance, recipeOf } from "./provenance.ts";
import { type Source, type Subject, subjectOf, without } from "./subject.ts";
import { commandOn, findTarget, judgeTarget } from "./targets.ts";
import { type Breach, verifyReading } from "./verify.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import { inputWords, PLAIN } from "../models/model_record.ts";

/** What was found out about an export. */
export interface ExportCheck {
  /** The format it is in. */
  readonly format: string;
  /** Facts: a name and a value each. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  /** The model it was compared with, a path; none where there was none to be had. */
  readonly original?: string;
  /** The first breaches; `count` of them are there in all. */
  readonly breaches: readonly Breach[];
  readonly count: number;
  /** What the engine cannot run or runs otherwise, and what could not be checked; a sentence each. */
  readonly warnings: readonly string[];
}

/** How an export is checked. */
export interface ExportCheckOptions extends OriginalOptions {
  /** A format, or an engine with or without a version: `vllm==0.33.0`; the format's rules alone unless said. */
  readonly target?: string;
  /** What the engine runs on, such as `h100`: whether it has kernels there is in the answer. */
  readonly gpu?: string;
  readonly signal?: AbortSignal;
  progress?(done: number, total: number, note: string): void;
}

/** Breaches that are told one by one. */
const TOLD = 20;

/**
 * Checks an export, ours or another program's: its format's rules a linear at a time, what an engine
 * reads, and every value against the model it was made from.
 */
export async function checkExport(
  path: string,
  options: ExportCheckOptions,
): Promise<ExportCheck> {
  if (options.gpu !== undefined && options.target === undefined) {
    throw new TypeError(
      `Cannot check for "${options.gpu}" without an engine: expected a target beside it, such as vllm`,
    );
  }
  const target = options.target === undefined ? undefined : findTarget(options.target, options.gpu);
  const isFile = (await Deno.stat(path)).isFile;
  const format = await formatOf(path, isFile);
  const provenance = isFile ? undefined : await readProvenance(path);
  const breaches = new Breaches();
  const warnings: string[] = [];
  breaches.add(provenanceBreaches(provenance));
  const reading = await FORMATS[format]!.open(path).catch((error: Error) => error);
  if (reading instanceof Error) {
    breaches.add([{ rule: reading.message }]);
    return { format, facts: [["format", format]], ...breaches.told(), warnings };
  }
  using opened = reading;
  using source = await openOriginal(provenance, options, warnings);
  const ignored = (provenance?.ignored ?? []) as readonly ("activations" | "kv")[];
  const stored = subjectOfReading(opened);
  const model = {
    subject: source ? without(source.subject, ignored) : stored,
    stored,
    options: optionsOf(opened),
  };
  const judged = target && judgeTarget(target, format, model);
  breaches.add(judged?.breaches ?? []);
  warnings.push(...judged?.warnings ?? []);
  const use = judged?.use;
  if (!isFile && format !== "gguf") {
    for (const rule of await claimProblems(path)) breaches.add([{ rule }]);
  }
  const subject = source && without(source.subject, ignored);
  if (subject) breaches.add(precisionBreaches(opened, subject));
  const other = source && otherShape(subjectOfReading(opened), source.subject);
  if (other !== undefined) breaches.add([{ rule: other }]);
  const comparable = other === undefined ? source : undefined;
  const rounding = FORMATS[format]!.rounding(model.subject, model.options);
  const checks = verifyReading(opened, {
    ...options,
    ...comparable && { source: comparable },
    rounding,
  });
  for await (const breach of checks) breaches.add([breach]);
  if (!opened.checkpoint.tokenizer) {
    warnings.push("it has no tokenizer, so that texts need another's");
  }
  return {
    format,
    facts: [
      ["format", `${format}: ${FORMATS[format]!.about}`],
      ...target?.engine
        ? [["engine", `${target.name}, by the rules of ${target.engine.source}`] as const]
        : [],
      ...use ? [["run it", commandOn(path, use)] as const] : [],
      ...judged?.kernels
        ? [[`on ${target?.engine?.processor}`, judged.kernels.join("; ") || "nothing"] as const]
        : [],
      ["linears", `${Object.keys(opened.linears).length} in codes`],
      ["compared", comparedWords(comparable, rounding)],
    ],
    ...source && { original: source.checkpoint.path },
    ...breaches.told(),
    warnings,
  };
}

/** The first breaches, and how many there are. */
class Breaches {
  readonly #first: Breach[] = [];
  #count = 0;

  /** Takes some more. */
  add(breaches: Iterable<Breach>): void {
    for (const breach of breaches) {
      if (this.#count++ < TOLD) this.#first.push(breach);
    }
  }

  /** What is told of them. */
  told(): Pick<ExportCheck, "breaches" | "count"> {
    return { breaches: this.#first, count: this.#count };
  }
}

/** The format of a file or directory: as its provenance says, else as it looks. */
async function formatOf(path: string, isFile: boolean): Promise<string> {
  if (isFile) return "gguf";
  const stated = await statedFormat(path);
  if (stated) return stated[0];
  const gguf = await Deno.stat(`${path}/${GGUF_FILE}`).then(() => true, () => false);
  if (gguf) return "gguf";
  using checkpoint = await openCheckpoint(path);
  return recognizeFormat(checkpoint)?.[0] ?? "huggingface";
}

function* provenanceBreaches(provenance: Provenance | undefined): Generator<Breach> {
  if (!provenance) return;
  const { digest, stages } = provenance.recipe;
  const expected = recipeOf(stages).digest;
  if (digest === expected) return;
  yield { rule: `provenance.json: the recipe's digest is ${digest}, expected ${expected}` };
}

function subjectOfReading({ config, linears, kv }: Reading): Subject {
  return subjectOf({ config, record: { ...PLAIN, linears, kv } });
}

/** Where a model has not the tensors an export tells of, so that their values cannot be compared. */
function otherShape(told: Subject, original: Subject): string | undefined {
  for (const [name, shape] of told.tensors) {
    // A tied head may have become one of its own.
    const expected = original.tensors.get(name) ??
      (name === told.ownHead ? original.tensors.get(original.embeddings) : undefined);
    if (String(expected) === String(shape)) continue;
    const words = expected ? `[${expected.join(", ")}]` : "none";
    return `it tells of a tensor "${name}" of [${
      shape.join(", ")
    }], expected ${words} as in the model it is compared with`;
  }
  return undefined;
}

/** Options that the files tell: the element type of what is dense, and the type of blocks. */
function optionsOf({ format, checkpoint, config, linears }: Reading): FormatOptions {
  const said = String(config.torch_dtype ?? config.dtype ?? "float16");
  const dtype = (["float16", "bfloat16", "float32"] as const).find((one) => one === said) ??
    "float16";
  const options = { dtype, shardBytes: 5e9 };
  if (format !== "gguf") return options;
  const [name] = Object.keys(linears);
  const found = name === undefined ? "F16" : checkpoint.tensors.get(`${name}.weight`)?.dtype;
  const type = (["F16", "Q8_0", "Q4_0", "Q4_1"] as const).find((one) => one === found);
  return { ...options, ...type && { type } };
}

function comparedWords(source: Source | undefined, rounding: number): string {
  if (!source) return "with nothing";
  const exactly = rounding === 0
    ? "every value, exactly"
    : `every value, within ${
      rounding.toPrecision(2)
    } of the largest of its row, as the format rounds`;
  return `${exactly}, with ${source.checkpoint.path}`;
}

/** Largest relative difference of a range that was kept in half precision. */
const RANGE = 2 ** -10;

/** Where an export says another precision of inputs and KV cache than the model it was made from. */
function* precisionBreaches(
  { linears, kv }: Pick<Reading, "linears" | "kv">,
  subject: Subject,
): Generator<Breach> {
  const { record } = subject;
  for (const { name } of subject.quantizable) {
    const scheme = record.linears[name];
    const [got, expected] = [linears[name]?.inputs, scheme?.inputs];
    if (sameInputs(got, expected)) continue;
    yield {
      tensor: name,
      rule: `its inputs are ${inputsOf(got)}, expected ${inputsOf(expected)} as in the model`,
    };
  }
  // Most formats have no place for it: their engines are told.
  if (kv.length === 0 || record.kv.length === 0) return;
  for (const [layer, { key, value }] of record.kv.entries()) {
    const found = kv[layer];
    if (found?.key.bits === key.bits && found.value.bits === value.bits) continue;
    yield {
      rule: `layer ${layer} has keys and values in ${
        found ? `${found.key.bits} and ${found.value.bits}` : "no known"
      } bits, expected ${key.bits} and ${value.bits} as in the model`,
    };
  }
}

function sameInputs(a: LinearScheme["inputs"], b: LinearScheme["inputs"]): boolean {
  if (!a || !b) return a === b;
  if (a.bits !== b.bits || a.clip !== b.clip) return false;
  if (typeof a.range !== "number" || typeof b.range !== "number") return a.range === b.range;
  return Math.abs(a.range / b.range - 1) <= RANGE;
}

function inputsOf(inputs: LinearScheme["inputs"]): string {
  const words = inputWords(inputs);
  return typeof inputs?.range === "number" ? `${words} up to ${inputs.range}` : words;
}
