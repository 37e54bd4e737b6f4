import type { Breach, ExportCheck, VerifyExport } from "../pipeline/export_check.ts";
import { claimProblems } from "./describe/foreign_quantization.ts";
import { GGUF_FILE } from "./exchange/gguf/reading.ts";
import { FORMATS, recognizeFormat, statedFormat } from "./exchange/find_format.ts";
import type { FormatOptions, Reading } from "./exchange/format.ts";
import { precisionBreaches } from "./exchange/precision_breaches.ts";
import { type Provenance, readProvenance, recipeOf } from "./exchange/provenance.ts";
import { openSource, type Source, type Subject, subjectOf, without } from "./exchange/subject.ts";
import { engineUse, findTarget, formatsRead, type Target } from "./exchange/targets.ts";
import { verifyReading } from "./exchange/verify.ts";
import { openCheckpoint } from "./formats/checkpoint.ts";

/** Breaches that are told one by one. */
const TOLD = 20;

/**
 * Checks an export, ours or another program's: its format's rules a linear at a time, what an engine
 * reads, and every value against the model it was made from.
 */
export const verifyExport: VerifyExport = async (path, options) => {
  const target = options.target === undefined ? undefined : findTarget(options.target);
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
  const model = {
    subject: source ? without(source.subject, ignored) : subjectOfReading(opened),
    options: optionsOf(opened),
  };
  const use = target && targetBreaches(target, { format, model, breaches, warnings });
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
      ["linears", `${Object.keys(opened.linears).length} in codes`],
      ["compared", comparedWords(comparable, rounding)],
    ],
    ...source && { original: source.checkpoint.path },
    ...breaches.told(),
    warnings,
  };
};

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

/** The model an export was made from: the one that is named, else the one its provenance means. */
async function openOriginal(
  provenance: Provenance | undefined,
  { artifact, find }: Parameters<VerifyExport>[1],
  warnings: string[],
): Promise<Source | undefined> {
  if (artifact) {
    const { path, digest } = artifact;
    const other = provenance && digest !== undefined && digest !== provenance.model;
    if (other) {
      warnings.push(
        `it was made from the model ${provenance.model.slice(0, 12)}, but is compared with ${
          digest.slice(0, 12)
        }`,
      );
    }
    return await openSource(path);
  }
  const found = provenance && await find(provenance.model);
  if (found !== undefined) return await openSource(found);
  warnings.push(
    provenance
      ? `the model it was made from, ${
        provenance.model.slice(0, 12)
      }, is not in the store, so that values are not compared; name it with --artifact`
      : "nothing says which model it was made from, so that values are not compared; name it with --artifact",
  );
  return undefined;
}

function subjectOfReading({ config, linears, kv }: Reading): Subject {
  return subjectOf({ config, record: { history: [], hadamard: [], linears, kv } });
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

/** Whether the target reads the format; gives how the engine is started. */
function targetBreaches(
  target: Target,
  { format, model, breaches, warnings }: {
    readonly format: string;
    readonly model: { readonly subject: Subject; readonly options: FormatOptions };
    readonly breaches: Breaches;
    readonly warnings: string[];
  },
): ReturnType<typeof engineUse> {
  const { engine } = target;
  if (!engine) {
    if (format === target.format) return undefined;
    breaches.add([{ rule: `it is in ${format}, expected ${target.name}` }]);
    return undefined;
  }
  const use = engineUse(engine.name, format, model);
  if (!use) {
    const read = formatsRead(engine.name, model);
    const expected = read.length > 0 ? `one of ${read.join(", ")}` : "a model that it runs";
    breaches.add([{
      rule: `${engine.name} does not run this model in ${format}, expected ${expected}`,
    }]);
    return undefined;
  }
  if (engine.version !== undefined && !engine.source.endsWith(` ${engine.version}`)) {
    warnings.push(
      `rules are those of ${engine.source}; those of ${engine.name} ${engine.version} may differ`,
    );
  }
  warnings.push(...use.limits.map((limit) => `${engine.name}: ${limit}`));
  return use;
}

/** A command with the place it is about. */
function commandOn(
  path: string,
  { command }: { readonly command: string },
): string {
  return command.replaceAll(
    `DIR/${GGUF_FILE}`,
    path.endsWith(".gguf") ? path : `${path}/${GGUF_FILE}`,
  )
    .replaceAll("DIR", path);
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
