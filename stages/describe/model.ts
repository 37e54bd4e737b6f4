import type { DescribeOptions, Description, Section } from "../../pipeline/description.ts";
import { elements } from "../../kernels/device/tensor.ts";
import { count, millions } from "../../pipeline/words.ts";
import { namesThere, readOptionalJson } from "../formats/foreign_json.ts";
import { architectureOf } from "../models/architecture.ts";
import { joinedPlaces } from "../models/joined_tensors.ts";
import { apartPlaces } from "../models/fused_tensors.ts";
import { retoldPlaces } from "../models/retold.ts";
import { wholeNames } from "../models/completed_checkpoint.ts";
import type { Architecture } from "../models/family.ts";
import { describeModel, type ModelFacts } from "../models/model_facts.ts";
import { MODEL_RECORD, type ModelRecord, PLAIN } from "../models/model_record.ts";
import { readOwnRecord } from "../exchange/incoming/record.ts";
import { architectureSection } from "./architecture.ts";
import { elementTypesSection } from "./element_types.ts";
import { moduleOf } from "../models/site.ts";
import { tensorProblems, unreadProblems, unusedTensors } from "./expected_tensors.ts";
import { checkValues, normWords } from "./norms.ts";
import { foreignQuantization } from "../exchange/foreign_quantization.ts";
import { findFiles, type FoundFiles, list } from "../formats/safetensors/found_files.ts";
import { errorCharts, historySection, learningCharts, sizeFigures } from "./model_figures.ts";
import { kvSection, linearsSection } from "./linears.ts";
import { spreadSections } from "./spreads.ts";
import { tokenizerFacts } from "./tokenizer_facts.ts";
import { USUAL } from "../models/usual_names.ts";

/** What can be known of a model before its weights are looked at. */
interface Outline {
  readonly json: Readonly<Record<string, unknown>>;
  readonly name: string;
  readonly architecture: Architecture | undefined;
  readonly record: ModelRecord;
  readonly problems: readonly string[];
}

/** Describes a model artifact or a Hugging Face checkpoint, whole or not. */
export async function describeModelDirectory(
  directory: string,
  { deep = false, signal }: DescribeOptions,
): Promise<Description> {
  const files = await findFiles(directory);
  const outline = await readOutline(directory);
  const { json, name, architecture, record } = outline;
  const retelling = architecture?.family.retelling?.(json, architecture.config);
  const told = retelling && architecture
    ? retoldPlaces(files.tensors, retelling, architecture.tensors)
    : files.tensors;
  const names = architecture && wholeNames(told.keys(), architecture);
  const whole = names
    ? new Map([...names].map(([name, held]) => [name, { ...told.get(held)!, name }]))
    : told;
  const tensors = architecture
    ? apartPlaces(joinedPlaces(whole, architecture.joined ?? new Map()), architecture)
    : whole;
  const config = architecture?.config;
  const comparison = architecture && { architecture, record, tensors };
  // What is said of a record that is not as it should be, or another program's, would be made of it.
  const strange = record === PLAIN && namesThere(directory, [MODEL_RECORD]).length > 0;
  const facts = outline.problems.length > 0 || strange
    ? undefined
    : await describeModel(directory).catch(() => undefined);
  const foreign = foreignQuantization(json, { architecture, tensors });
  const tokenizer = await tokenizerFacts(
    directory,
    tensors.get(architecture?.embeddings ?? USUAL.embeddings)?.shape[0],
  );
  const values = deep ? await checkValues(tensors.values(), signal) : undefined;
  const sizes = sizesOf(tensors, architecture);
  const unused = comparison ? unusedTensors(comparison) : [];
  const sections: Section[] = [
    {
      title: "Model",
      facts: [
        ...facts ? [["scheme", facts.scheme] as const] : [],
        ["parameters", String(sizes.parameters)],
        ["weights", `${sizes.bytes} bytes in ${count(files.shards.length, "file")}`],
        ...sizes.bitsPerWeight === undefined ? [] : [
          [
            "bits per weight",
            `${sizes.bitsPerWeight.toFixed(3)} in the layers' linears`,
          ] as const,
        ],
        ...facts ? [["KV cache", `${facts.kvBytesPerToken} bytes per token`] as const] : [],
        ["norm gains", await normWords(tensors, architecture)],
        ["values", values?.words ?? "not read; --deep reads them all"],
        ...unused.length > 0 ? [["unused tensors", list(unused)] as const] : [],
        ...foreign.facts,
      ],
    },
    architectureSection({ name, config, json }),
    ...architecture ? [linearsSection(architecture, { record, tensors }), kvSection(record)] : [],
    historySection(record),
    ...await spreadSections(directory),
    ...learningCharts(record),
    ...facts ? errorCharts(facts) : [],
    { title: "Tokenizer", facts: tokenizer.facts },
    elementTypesSection(
      [...tensors.values()].map(({ start, end, ...rest }) => ({ ...rest, bytes: end - start })),
    ),
  ];
  return {
    title: titleOf(outline, { parameters: sizes.parameters, layers: config?.layers, facts }),
    sections,
    warnings: [
      ...outline.problems,
      ...files.problems,
      ...names
        ? ['Tensors have no "model." before their names; load reads them as if they had']
        : [],
      ...comparison ? tensorProblems(comparison) : [],
      ...tiedProblems(architecture, tensors),
      ...foreign.problems,
      ...foreign.facts.length === 0 && comparison ? unreadProblems(comparison) : [],
      ...tokenizer.problems,
      ...values?.problems ?? [],
    ],
    ...facts && { variant: facts.scheme },
    figures: facts ? sizeFigures(facts) : [],
  };
}

async function readOutline(directory: string): Promise<Outline> {
  const problems: string[] = [];
  const json = await readConfig(`${directory}/config.json`).catch((error: Error) => {
    problems.push(error.message);
    return {};
  });
  const names = (json as { architectures?: unknown }).architectures;
  let architecture: Architecture | undefined;
  try {
    architecture = architectureOf(json);
  } catch (error) {
    if (problems.length === 0) problems.push((error as Error).message);
  }
  const record = await readOwnRecord(directory).catch((error: Error) => {
    problems.push(error.message);
    return undefined;
  });
  return {
    json,
    name: Array.isArray(names) && names.length > 0
      ? String(names[0])
      : architecture?.name ?? "unknown architecture",
    architecture,
    record: record ?? PLAIN,
    problems,
  };
}

async function readConfig(path: string): Promise<Record<string, unknown>> {
  const json = await readOptionalJson(path);
  if (json === undefined) throw new Error("There is no config.json");
  if (typeof json === "object" && json) return json as Record<string, unknown>;
  throw new Error("config.json is no object");
}

/** Parameters, bytes, and bits that a weight of the layers' linears takes. */
function sizesOf(tensors: FoundFiles["tensors"], architecture: Architecture | undefined) {
  let [bytes, held] = [0, 0];
  const linears = new Map(architecture?.linears.map((linear) => [linear.name, linear]));
  for (const { name, start, end } of tensors.values()) {
    bytes += end - start;
    const linear = linears.get(moduleOf(name));
    if (linear && name !== linear.bias) held += end - start;
  }
  const shapes = architecture
    ? [...architecture.tensors.values()]
    : [...tensors.values()].map(({ shape }) => shape);
  const weights = linears.values().reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  return {
    parameters: shapes.reduce((sum, shape) => sum + elements(shape), 0),
    bytes,
    bitsPerWeight: weights > 0 ? 8 * held / weights : undefined,
  };
}

function tiedProblems(
  architecture: Architecture | undefined,
  tensors: FoundFiles["tensors"],
): string[] {
  if (!architecture?.config.tied || !tensors.has(architecture.ownHead)) return [];
  return [
    `config.json ties the head to the embeddings, but "${architecture.ownHead}" is there; load uses it where it holds other values`,
  ];
}

function titleOf(
  { name }: Outline,
  { parameters, layers, facts }: {
    readonly parameters: number;
    readonly layers: number | undefined;
    readonly facts: ModelFacts | undefined;
  },
): string {
  return [
    name,
    ...layers === undefined ? [] : [`${layers} layers`],
    `${millions(parameters)} M parameters`,
    ...facts ? [facts.scheme] : [],
  ].join(", ");
}
