import type { DescribeOptions, Description, Section } from "../../pipeline/description.ts";
import { elements } from "../../kernels/device/tensor.ts";
import { millions } from "../../pipeline/words.ts";
import { ByteFile } from "../formats/byte_file.ts";
import { FILE_TYPES, ggmlType } from "../formats/gguf/ggml_types.ts";
import { ggufEnds } from "../formats/gguf/answer_ends.ts";
import { type GgufHeader, readGgufHeader } from "../formats/gguf/header.ts";
import { ggufMetadata } from "../formats/gguf/metadata.ts";
import { openGguf } from "../formats/gguf/checkpoint.ts";
import { architectureOf } from "../models/architecture.ts";
import { GGUF_CLASSES } from "../models/open_checkpoint.ts";
import { architectureSection } from "./architecture.ts";
import { endProblems, endWords } from "./tokenizer_facts.ts";
import { elementTypesSection } from "./element_types.ts";
import { list } from "../formats/safetensors/found_files.ts";

/** A tensor of the file with its type's name and its bytes. */
interface Held {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly bytes: number;
  readonly end: number;
}

/** Describes a GGUF file from its header, whether or not we can run it. */
export async function describeGguf(path: string, { deep }: DescribeOptions): Promise<Description> {
  using file = await ByteFile.open(path);
  const header = await readGgufHeader(file);
  const held = header.tensors.map(sizeOf);
  const linears = held.filter(({ name }) => /^blk\.\d+\.(attn|ffn)_\w+\.weight$/.test(name))
    .filter(({ shape }) => shape.length === 2);
  const [weights, bytes] = [linears, linears].map((some, at) =>
    some.reduce((sum, one) => sum + (at === 0 ? elements(one.shape) : one.bytes), 0)
  ) as [number, number];
  const text = (key: string) => {
    const value = header.metadata.get(key);
    return value === undefined ? undefined : String(value);
  };
  const architecture = text("general.architecture") ?? "unknown architecture";
  const parameters = held.reduce((sum, { shape }) => sum + elements(shape), 0);
  const type = FILE_TYPES[Number(header.metadata.get("general.file_type"))];
  const known = await openKnown(path);
  const shape: Section = known.section ??
    { title: "Architecture", facts: [["architecture", architecture]] };
  const ends = ggufEnds(ggufMetadata(header, path));
  const vocabulary = header.metadata.get("tokenizer.ggml.tokens");
  return {
    title: `GGUF, ${architecture}, ${millions(parameters)} M parameters${type ? `, ${type}` : ""}`,
    sections: [
      {
        title: "Model",
        facts: [
          ["name", text("general.name") ?? "none"],
          ["type", type ?? "not said"],
          ["parameters", String(parameters)],
          ["file", `${file.size} bytes`],
          ...weights > 0
            ? [
              [
                "bits per weight",
                `${(8 * bytes / weights).toFixed(3)} in the layers' linears`,
              ] as const,
            ]
            : [],
          [
            "embeddings",
            held.some(({ name }) => name === "output.weight") ? "head of its own" : "tied",
          ],
          ["values", deep ? "not read: blocks of codes are not looked into" : "not read"],
        ],
      },
      shape,
      {
        title: "Tokenizer",
        facts: [
          ["tokenizer", text("tokenizer.ggml.model") ?? "none"],
          ["tokens", Array.isArray(vocabulary) ? String(vocabulary.length) : "none"],
          ["ends of answers", endWords(ends)],
          ["chat template", header.metadata.has("tokenizer.chat_template") ? "there" : "none"],
        ],
      },
      elementTypesSection(held),
    ],
    warnings: [
      ...typeProblems(type, linears),
      ...sizeProblems(file, header, held),
      ...Array.isArray(vocabulary) ? endProblems(ends) : [],
      ...known.problem === undefined ? [] : [known.problem],
    ],
  };
}

function sizeOf({ name, shape, type, start }: GgufHeader["tensors"][number]): Held {
  const known = ggmlType(type);
  const bytes = known ? elements(shape) / known.elements * known.bytes : 0;
  return { name, shape, dtype: known?.name ?? `type ${type}`, bytes, end: start + bytes };
}

function typeProblems(
  type: string | undefined,
  linears: readonly Held[],
): string[] {
  if (type === undefined) return [];
  const groups = [...Map.groupBy(linears, ({ dtype }) => dtype)]
    .map(([dtype, some]) => ({ dtype, count: some.reduce((n, one) => n + elements(one.shape), 0) }))
    .sort((a, b) => b.count - a.count);
  const [most] = groups;
  if (most === undefined || most.dtype === type.replace(/_[SML]$/, "")) return [];
  return [`general.file_type says ${type}, but most weights of the linears are ${most.dtype}`];
}

function sizeProblems(file: ByteFile, { tensors }: GgufHeader, held: readonly Held[]): string[] {
  const cut = held.filter(({ end }) => end > file.size).map(({ name }) => name);
  const unknown = tensors.filter(({ type }) => ggmlType(type) === undefined).map(({ name }) =>
    name
  );
  return [
    ...cut.length > 0
      ? [`The file ends after ${file.size} bytes, before the end of ${list(cut)}; fetch it again`]
      : [],
    ...unknown.length > 0 ? [`The type of ${list(unknown)} is none that is known`] : [],
  ];
}

/** The architecture as our own reader sees it, or why it does not run the file. */
async function openKnown(
  path: string,
): Promise<{ readonly section?: Section; readonly problem?: string }> {
  try {
    using checkpoint = await openGguf(path, GGUF_CLASSES);
    return { section: architectureSection(architectureOf(checkpoint.config)) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}
