import { elements } from "../../kernels/device/tensor.ts";
import { readOptionalJson } from "../formats/foreign_json.ts";
import { besideConfig } from "../formats/quantization_file.ts";
import { findFiles, type FoundTensor } from "../formats/safetensors/found_files.ts";
import { architectureOf } from "../models/architecture.ts";
import type { Architecture } from "../models/family.ts";
import { USUAL } from "../models/usual_names.ts";

/** How other programs have quantized a model, by what they say and by what is there. */
export interface ForeignQuantization {
  readonly facts: readonly (readonly [string, string])[];
  readonly problems: readonly string[];
}

/** How weights are stored; bits and group where they follow from the shapes. */
interface Form {
  readonly name: string;
  readonly quantized: boolean;
  readonly bits?: number;
  /** Inputs that share a scale. */
  readonly group?: number;
}

/** Tensors a model must hold, by name, with their shapes. */
type Shapes = ReadonlyMap<string, readonly number[]>;
type Tensors = ReadonlyMap<string, FoundTensor>;

/** What a directory's index and config say against its files, a sentence each. */
export async function claimProblems(directory: string): Promise<readonly string[]> {
  const { tensors, problems } = await findFiles(directory);
  const stated = await readOptionalJson(`${directory}/config.json`) as Readonly<
    Record<string, unknown>
  >;
  const beside = await besideConfig(directory, stated);
  const json = beside ? { ...stated, quantization_config: beside.quantization } : stated;
  const architecture = architectureOf(json);
  return [...problems, ...foreignQuantization(json, { architecture, tensors }).problems];
}

/** Compares `quantization_config` of a `config.json` with the tensors of the linears. */
export function foreignQuantization(
  json: Readonly<Record<string, unknown>>,
  { architecture, tensors }: {
    readonly architecture: Architecture | undefined;
    readonly tensors: Tensors;
  },
): ForeignQuantization {
  const said = claimOf(json);
  const forms = architecture
    ? architecture.linears.map(({ name, rows, columns }) =>
      formOf(name, { shape: [rows, columns], tensors })
    )
    : [...tensors.keys()].flatMap((name) => USUAL.linear.exec(name)?.[1] ?? [])
      .map((name) => formOf(name, { shape: undefined, tensors }));
  const packed = forms.filter(({ quantized }) => quantized);
  if (said === undefined && packed.length === 0) return { facts: [], problems: [] };
  const stored = wordsOf(packed);
  const facts = [
    ["config.json says", said ? claimWords(said) : "nothing of quantization"],
    [
      "linears hold",
      packed.length > 0 ? `${stored} in ${packed.length} of ${forms.length}` : wordsOf(forms),
    ],
  ] as const;
  return { facts, problems: problemsOf({ said, forms, packed }) };
}

interface Claim {
  readonly method: string;
  readonly bits: number | undefined;
  readonly group: number | undefined;
}

function problemsOf({ said, forms, packed }: {
  readonly said: Claim | undefined;
  readonly forms: readonly Form[];
  readonly packed: readonly Form[];
}): string[] {
  if (said === undefined) {
    return [
      `${packed.length} linears hold ${
        wordsOf(packed)
      }, but config.json has no quantization_config`,
    ];
  }
  if (packed.length === 0) {
    return [
      `config.json says its weights are quantized (${
        claimWords(said)
      }), but all ${forms.length} linears hold ${wordsOf(forms)}`,
    ];
  }
  const differing = (what: "bits" | "group", words: (value: number) => string) => {
    const claim = said[what];
    const others = new Set(packed.flatMap((form) => form[what] ?? []));
    if (claim === undefined || claim < 0) return [];
    others.delete(claim);
    const found = [...others].map(words).join(" and ");
    return others.size > 0 ? [`config.json says ${words(claim)}, but linears have ${found}`] : [];
  };
  return [
    ...differing("bits", (bits) => `${bits} bits`),
    ...differing("group", (group) => `groups of ${group}`),
  ];
}

/** What a config claims, in the words of GPTQ, AWQ, bitsandbytes and compressed-tensors. */
function claimOf(json: Readonly<Record<string, unknown>>): Claim | undefined {
  const claim = (json.quantization_config ?? json.compression_config) as
    | Readonly<Record<string, unknown>>
    | null
    | undefined;
  if (typeof claim !== "object" || claim === null) return undefined;
  const groups = Object.values(claim.config_groups ?? {}) as {
    weights?: Record<string, unknown>;
  }[];
  const weights = groups[0]?.weights ?? {};
  const number = (...values: readonly unknown[]) =>
    values.find((value): value is number => typeof value === "number");
  const loaded = claim.load_in_4bit ? 4 : claim.load_in_8bit ? 8 : undefined;
  return {
    method: String(claim.quant_method ?? "of unknown method"),
    bits: number(claim.bits, claim.w_bit, weights.num_bits, loaded),
    group: number(claim.group_size, claim.q_group_size, weights.group_size),
  };
}

function claimWords({ method, bits, group }: Claim): string {
  return [
    method,
    ...bits === undefined ? [] : [`${bits} bits`],
    ...group === undefined ? [] : [group < 0 ? "a group a row" : `groups of ${group}`],
  ].join(", ");
}

/** How a linear is stored; `shape` is [outputs, inputs] where the family is known. */
function formOf(
  linear: string,
  { shape, tensors }: { readonly shape: readonly number[] | undefined; readonly tensors: Tensors },
): Form {
  const [outputs, inputs] = shape ?? [];
  const part = (name: string) => tensors.get(`${linear}.${name}`);
  const groupOf = (groups: number | undefined) =>
    inputs === undefined || !groups ? {} : { group: inputs / groups };
  const qweight = part("qweight");
  if (qweight) {
    const [rows = 0, columns = 0] = qweight.shape;
    const groups = part("scales")?.shape[0];
    const form = { quantized: true, ...groupOf(groups) };
    const count = shape ? elements(shape) : undefined;
    const width = { I16: 16, I8: 8 }[qweight.dtype as string];
    if (width !== undefined) {
      // The groups of these are not the rows of one tensor of scales.
      const name = width === 16 ? "TinyChat codes" : "QServe codes";
      const bits = count === undefined ? {} : { bits: width * elements(qweight.shape) / count };
      return { name, quantized: true, ...bits };
    }
    // GPTQ packs along the inputs, AWQ along the outputs.
    if (columns === outputs) return { ...form, name: "GPTQ codes", bits: rows * 32 / inputs! };
    if (rows === inputs) return { ...form, name: "AWQ codes", bits: columns * 32 / outputs! };
    return { name: "packed codes", quantized: true };
  }
  const packed = part("weight_packed");
  if (packed) {
    const form = { name: "compressed-tensors codes", quantized: true };
    const groups = part("weight_scale")?.shape[1];
    if (inputs === undefined) return form;
    return { ...form, bits: (packed.shape[1] ?? 0) * 32 / inputs, ...groupOf(groups) };
  }
  const weight = part("weight");
  if (weight === undefined) return { name: "no weight", quantized: false };
  if (weight.dtype === "U8") {
    const count = shape ? elements(shape) : undefined;
    const bits = count === undefined ? {} : { bits: 8 * elements(weight.shape) / count };
    return { name: "bitsandbytes codes", quantized: true, ...bits };
  }
  // Narrower codes lie one a byte too.
  if (weight.dtype === "I8") return { name: "codes in bytes", quantized: true };
  if (weight.dtype.startsWith("F8")) return { name: weight.dtype, quantized: true, bits: 8 };
  return { name: `${weight.dtype} weights`, quantized: false };
}

function wordsOf(forms: readonly Form[]): string {
  const words = forms.map(({ name, bits, group }) =>
    [
      name,
      ...bits === undefined ? [] : [`${bits} bits`],
      ...group === undefined ? [] : [`groups of ${group}`],
    ].join(", ")
  );
  return [...new Set(words)].join(" or ") || "nothing";
}
