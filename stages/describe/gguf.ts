import type { DescribeOptions, Description, Section } from "../../pipeline/description.ts";
import { elements } from "../../kernels/device/tensor.ts";
import { millions } from "../../pipeline/words.ts";
import { FILE_TYPES, ggmlType } from "../formats/gguf/ggml_types.ts";
import { ggufEnds } from "../formats/gguf/answer_ends.ts";
import { ggufMetadata } from "../formats/gguf/metadata.ts";
import { type GgufParts, openGgufParts, type PlacedTensor } from "../formats/gguf/parts.ts";
import { bytesOfTensor } from "../formats/gguf/tensor_places.ts";
import { openGguf } from "../formats/gguf/checkpoint.ts";
import { explainUnused } from "../exchange/unused_tensors.ts";
import { architectureOf } from "../models/architecture.ts";
import { laidOut } from "../models/laid_out.ts";
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
  /** Whether its file ends before it does. */
  readonly cut: boolean;
}

/**
 * Describes a GGUF file, or all parts of a split one, from headers, whether or not we can run it.
 *
 * Throws where a header contradicts itself.
 */
export async function describeGguf(path: string, { deep }: DescribeOptions): Promise<Description> {
  using header = await openGgufParts(path);
  const { files } = header;
  const held = header.tensors.map(sizeOf);
  const linears = held.filter(({ name }) => /^blk\.\d+\.(attn|ffn)_\w+\.weight$/.test(name))
    .filter(({ shape }) => shape.length > 1);
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
          [
            files.length === 1 ? "file" : `${files.length} files`,
            `${files.reduce((sum, { size }) => sum + size, 0)} bytes`,
          ],
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
      ...sizeProblems(header, held),
      ...Array.isArray(vocabulary) ? endProblems(ends) : [],
      ...held.some(({ cut }) => cut) ? [] : known.problems,
    ],
  };
}

function sizeOf(tensor: PlacedTensor): Held {
  const { name, shape, type, start, file } = tensor;
  const bytes = bytesOfTensor(tensor);
  const dtype = ggmlType(type)?.name ?? `type ${type}`;
  return { name, shape, dtype, bytes, cut: start + bytes > file.size };
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
  const said = type.replace(/_[SML]$/, "");
  // llama.cpp takes another type where rows are no multiple of 256.
  if (most === undefined || most.dtype === said || most.dtype === NARROW_ROWS[said]) return [];
  return [`general.file_type says ${type}, but most weights of the linears are ${most.dtype}`];
}

/** What llama.cpp puts in the place of types whose blocks have 256 elements. */
const NARROW_ROWS: Readonly<Record<string, string>> = {
  Q2_K: "IQ4_NL",
  Q3_K: "IQ4_NL",
  Q4_K: "Q5_0",
  Q5_K: "Q5_1",
  Q6_K: "Q8_0",
};

function sizeProblems({ files, tensors }: GgufParts, held: readonly Held[]): string[] {
  const cut = held.filter(({ cut }) => cut).map(({ name }) => name);
  const short = tensors.find(({ name }) => name === cut[0])?.file;
  const unknown = tensors.filter(({ type }) => ggmlType(type) === undefined)
    .map(({ name }) => name);
  return [
    ...short
      ? [
        `${files.length === 1 ? "The file" : `"${short.path}"`} ends after ${short.size} bytes, ` +
        `before the end of ${list(cut)}; fetch it again`,
      ]
      : [],
    ...unknown.length > 0 ? [`The type of ${list(unknown)} is none that is known`] : [],
  ];
}

/** The architecture as our own reader sees it, or why it does not run the file. */
async function openKnown(
  path: string,
): Promise<{ readonly section?: Section; readonly problems: readonly string[] }> {
  try {
    using checkpoint = await openGguf(path, GGUF_CLASSES);
    const architecture = architectureOf(checkpoint.config);
    const { tensors } = laidOut(checkpoint, architecture);
    const unread = [...tensors.keys()].filter((name) => !architecture.tensors.has(name));
    return {
      section: architectureSection(architecture),
      problems: explainUnused(unread, architecture),
    };
  } catch (error) {
    return { problems: [(error as Error).message] };
  }
}
