import { answerEnds } from "../../formats/answer_ends.ts";
import { bytesOf, denseBytes } from "../../formats/half.ts";
import { HalfLosses } from "../../formats/half_losses.ts";
import { PIECE_VALUES } from "../../formats/rows.ts";
import { lostEnds } from "../../formats/gguf/answer_ends.ts";
import { codeBlocks, type CodeType, type GgmlCodes } from "../../formats/gguf/ggml_codes.ts";
import { ggmlRounded } from "../../formats/gguf/ggml_rounding.ts";
import { ggmlBytes } from "../../formats/gguf/ggml_types.ts";
import { interleave, isInterleaved } from "../../formats/gguf/names.ts";
import { addsSpaces, tokenizerEntries } from "../../formats/gguf/tokenizer_entries.ts";
import { WRITE } from "../../formats/gguf/tokenizer_json.ts";
import type { GgufEntries } from "../../formats/gguf/encoding.ts";
import { GgufWriter } from "../../formats/gguf/writer.ts";
import type { RowRange } from "../../formats/checkpoint.ts";
import { codedValues, type CodedWeight, plainRows } from "../../quant/coded_weight.ts";
import {
  type EngineUse,
  type Format,
  type FormatOptions,
  modelRefusal,
  type Refusal,
  said,
  type Writing,
} from "../format.ts";
import { contextOf, modelEntries } from "./metadata.ts";
import {
  ggufRefusals,
  type GgufSource,
  type GgufTensorPlan,
  planTensors,
  typesOf,
} from "./plan.ts";
import { GGUF_FILE, openGgufReading } from "./reading.ts";
import { ropeTensors } from "./rope.ts";
import type { Source, Subject } from "../subject.ts";
import type { CodeValues } from "../../../kernels/codes/integer_codes.ts";

/** One file with weights, configuration and tokenizer, as llama.cpp runs it. */
export const gguf: Format = {
  about: "One GGUF file with weights, configuration and tokenizer, which llama.cpp runs.",
  source: "docs/gguf.md of ggml; ggml-common.h and ggml-quants.c for blocks",
  refusals: (subject, options) => [...ggufRefusals(subject, options)],
  refuseValues: (source) => Promise.resolve([...refusedTokenizer(source)]),
  cautions: (source) => [
    ...source.subject.family.gguf?.cautions?.(source.subject.config) ?? [],
    ...said([
      addsSpaces(source.checkpoint.tokenizer) &&
      "texts that begin with a space get one more before it, which the model's tokenizer adds to others alone",
      goesOn(source),
    ]),
  ],
  engines,
  tokenizes: true,
  weightBytes: (subject, options) =>
    planTensors(subject, options).reduce((sum, { type, shape }) => sum + ggmlBytes(type, shape), 0),
  write,
  // `load` takes the values of GGUF files, whose codes are rarely what a model is to be made of.
  recognizes: () => false,
  open: openGgufReading,
  rounding,
};

/** Why llama.cpp would cut or merge text otherwise than the model's tokenizer. */
function* refusedTokenizer(source: Source): Generator<Refusal> {
  try {
    tokenizerOf(source);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith(WRITE))) throw error;
    const text = error.message.replace(`${WRITE}: `, "its tokenizer cannot be written: ");
    yield modelRefusal(text);
  }
}

/** The entries of sources in use: hundreds of thousands of objects are made once. */
const ENTRIES = new WeakMap<Source, GgufEntries>();

function tokenizerOf(source: Source): GgufEntries {
  const found = ENTRIES.get(source);
  if (found) return found;
  const { checkpoint, subject } = source;
  const entries = tokenizerEntries(checkpoint.tokenizer, {
    rows: subject.config.vocabulary,
    model: subject.json,
    chatTemplate: checkpoint.files.get("chat_template.jinja"),
    ends: answerEnds(checkpoint),
  });
  ENTRIES.set(source, entries);
  return entries;
}

/** At which of the model's ends of answers llama.cpp goes on. */
function goesOn(source: Source): string | undefined {
  const eos = tokenizerOf(source)["tokenizer.ggml.eos_token_id"] as
    | { readonly u32: number }
    | undefined;
  const lost = eos && lostEnds(eos.u32, answerEnds(source.checkpoint));
  if (!lost || lost.length === 0) return undefined;
  const names = lost.map(({ id, token }) => token === undefined ? String(id) : `${token} (${id})`);
  return `does not end answers at ${names.join(", ")}, as the model does`;
}

function engines(subject: Subject, options: FormatOptions): EngineUse[] {
  const { config } = subject;
  const context = contextOf(subject);
  const limits = said([
    context < config.positions &&
    `attends to all keys where the model has a window of ${context}: the file states a context of ${context}, up to which they agree`,
    planTensors(subject, options).some(({ type }) => type.startsWith("Q")) &&
    "on CPUs it rounds the inputs of quantized weights to 8 bits in blocks of 32",
  ]);
  return [{ engine: "llama.cpp", command: `llama-server -m DIR/${GGUF_FILE}`, limits }];
}

/** Bounds over a block of the largest magnitude 1: half a step of codes, and scales in half precision. */
const ROUNDING: Readonly<Record<CodeType, number>> = { Q8_0: 1 / 127, Q4_0: 1 / 7, Q4_1: 1 / 14 };

function rounding(subject: Subject, options: FormatOptions): number {
  const all = planTensors(subject, options)
    .flatMap(({ type, sources }) => sources.map(({ linear }) => ({ type, linear })));
  const found = all.map(({ type, linear }) => {
    if (type !== "Q8_0" && type !== "Q4_0" && type !== "Q4_1") return 0;
    if (!linear?.scheme) return ROUNDING[type];
    // Zeros before the scale, where Q4_1 was asked for, are rounded to half precision.
    return linear.scheme.weights.zero === "pre_scale" && type === "Q4_1" ? 2 ** -10 : 0;
  });
  return found.reduce((most, each) => Math.max(most, each), 0);
}

async function write(source: Source, writing: Writing): Promise<void> {
  const { subject, out, options, provenance, signal, progress } = writing;
  const plans = planTensors(subject, options);
  const metadata = {
    ...modelEntries(subject, { plans, provenance }),
    ...tokenizerOf(source),
  };
  using writer = await GgufWriter.create(`${out}/${GGUF_FILE}`, { metadata, tensors: plans });
  for (const [index, plan] of plans.entries()) {
    signal.throwIfAborted();
    if (plan.sources.length === 0) {
      const divisors = ropeTensors(subject.config.ropes[0]!).get(plan.name)!;
      await writer.write(plan.name, bytesOf(divisors));
    }
    for (const rows of plan.sources) {
      await writeRows(source, { ...plan, ...rows }, { subject, writer });
    }
    progress(index + 1, plans.length, plan.name);
  }
  await writer.close();
}

async function writeRows(
  { checkpoint, linear }: Source,
  plan: GgufTensorPlan & GgufSource,
  { subject, writer }: { readonly subject: Subject; readonly writer: GgufWriter },
): Promise<void> {
  const { name, from, rows, shape, type } = plan;
  const columns = shape.length > 1 ? shape.at(-1)! : 1;
  const { headSize } = subject.config;
  const interleaved = isInterleaved(name, subject.family.gguf!);
  const weight = plan.linear && await linear(plan.linear.name);
  const heads = Math.floor(PIECE_VALUES / columns / headSize);
  const step = Math.max(1, heads) * headSize;
  const rowsCount = subject.linearOf(from) !== undefined;
  const losses = type === "F16" ? new HalfLosses({ name: from, columns, rowsCount }) : undefined;
  for (let start = 0; start < rows; start += step) {
    const piece = { start, end: Math.min(rows, start + step) };
    const bytes = weight
      ? codedBytes(weight, { name: from, type }, piece)
      : denseBytesOf(await taking(losses, checkpoint.read(from, piece)), {
        name: from,
        type,
        file: checkpoint.tensors.get(from)!.file,
      });
    const count = piece.end - piece.start;
    await writer.write(name, interleaved ? interleave(bytes, { rows: count, headSize }) : bytes);
  }
  losses?.finish();
}

async function taking<Values extends Float32Array>(
  losses: HalfLosses | undefined,
  read: Promise<Values>,
): Promise<Values> {
  const values = await read;
  losses?.add(values);
  return values;
}

function codedBytes(
  weight: CodedWeight,
  { name, type }: { readonly name: string; readonly type: string },
  rows: RowRange,
): Uint8Array {
  const held = typesOf(weight.scheme).find((each) => each === type);
  if (held) return weightBlocks(weight, held, rows);
  return denseBytes(codedValues(weight, rows), { name, dtype: type, file: "the model" });
}

function denseBytesOf(
  values: Float32Array<ArrayBuffer>,
  { name, type, file }: { readonly name: string; readonly type: string; readonly file: string },
): Uint8Array {
  if (type === "Q8_0" || type === "Q4_0" || type === "Q4_1") return ggmlRounded(type, values);
  return denseBytes(values, { name, dtype: type, file });
}

/** Rows of a coded weight in the blocks of a type that holds its scheme; see `typesOf()`. */
export function weightBlocks(
  weight: CodedWeight,
  type: CodeType,
  rows: RowRange,
): Uint8Array<ArrayBuffer> {
  return codeBlocks(type, codesFor(weight, type, rows));
}

function codesFor(weight: CodedWeight, type: CodeType, rows: RowRange): GgmlCodes {
  const { codes, scales, zeros } = plainRows(weight, rows);
  const own = { codes, group: codes.length / scales.length, scales };
  if (!zeros) return own;
  if (zeros instanceof Float16Array) return { ...own, zeros };
  if (type === "Q8_0") return { ...own, codes: differences(codes, zeros) };
  // The nearest half-precision number to each product, which few products are.
  return { ...own, zeros: Float16Array.from(zeros, (zero, at) => zero * scales[at]!) };
}

/** Codes with the zero of their group taken away. */
function differences(codes: CodeValues, zeros: Uint8Array): Int8Array<ArrayBuffer> {
  const group = codes.length / zeros.length;
  const signed = new Int8Array(codes.length);
  for (let g = 0; g < zeros.length; g++) {
    const zero = zeros[g]!;
    for (let i = g * group; i < (g + 1) * group; i++) signed[i] = codes[i]! - zero;
  }
  return signed;
}
