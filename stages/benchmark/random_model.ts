import { heldBits } from "../../kernels/codes/integer_codes.ts";
import { elements } from "../../kernels/device/tensor.ts";
import { headerCheckpoint, type StoredTensor } from "../formats/checkpoint.ts";
import { createCheckpointWriter } from "../formats/checkpoint_writer.ts";
import { bytesOf } from "../formats/half.ts";
import { tensorBytes, type TensorSpecification } from "../formats/safetensors/header.ts";
import { architectureOf } from "../models/architecture.ts";
import type { Architecture, ModelFiles } from "../models/family.ts";
import { type ModelRecord, writeModelRecord } from "../models/model_record.ts";
import { GAIN_OFFSET, storedOffset } from "../models/whole_gains.ts";
import { schemeKind, type WeightScheme } from "../quant/schemes.ts";
import { type CodedTensor, codedTensors } from "../quant/stored_weight.ts";
import { recordOf } from "./precision_record.ts";
import type { Precision } from "./precisions.ts";

/** Words of random bits at once. */
const PIECE_WORDS = 2 ** 22;
/** Standard deviations of codes that are all as likely: 0 to 15, and odd ones from -127 to 127. */
const SPREAD = { 4: 4.61, 8: 73.9 } as const;
/** Scale and zero point of a group under two levels: codes times it stay in a signed byte. */
const GROUP = { scale: 12, zero: 90 } as const;

/** Headers of a model whose weights are random: all that its sizes depend on. */
export interface RandomModel {
  readonly architecture: Architecture;
  readonly record: ModelRecord;
  readonly specifications: readonly RandomTensor[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** A tensor that is made up: which part of a weight with so many columns, in which precision. */
interface RandomTensor extends TensorSpecification {
  readonly part: CodedTensor["part"] | "weight" | "gain" | "bias";
  readonly columns: number;
  readonly scheme: WeightScheme | undefined;
}

/** Lays out a model of a config and a precision, without making its weights. */
export function randomModel(
  json: Readonly<Record<string, unknown>>,
  precision: Precision,
): RandomModel {
  // Gains are made up as they are, whatever a family's checkpoints hold them less.
  const whole = storedOffset(json, architectureOf(json).family) === 0
    ? json
    : { ...json, [GAIN_OFFSET]: 0 };
  const architecture = architectureOf(whole);
  const record = recordOf(architecture, precision);
  const biases = new Set(architecture.linears.map(({ bias }) => bias));
  const specifications = [...architecture.tensors].flatMap(([name, shape]): RandomTensor[] => {
    const linear = architecture.quantizableOf(name);
    const scheme = linear && record.linears[linear.name]?.weights;
    const columns = shape.at(-1) ?? 1;
    if (!scheme) {
      const part = shape.length > 1 ? "weight" : biases.has(name) ? "bias" : "gain";
      return [{ name, dtype: "F16", shape, part, columns, scheme }];
    }
    return codedTensors(linear, scheme).map((each) => ({ ...each, columns, scheme }));
  });
  const tensors = new Map(specifications.map((each) => [each.name, { ...each, file: "none" }]));
  return { architecture, record, specifications, tensors };
}

/** The headers as files of a model. */
export function randomFiles({ architecture, record, tensors }: RandomModel): ModelFiles {
  const checkpoint = headerCheckpoint({ config: architecture.json, tensors });
  return { architecture, record, checkpoint };
}

/**
 * Writes a model artifact with random weights, a few megabytes at a time.
 *
 * They are as large as those of a trained model, so that nothing overflows; norms gain 1.
 */
export async function writeRandomModel(
  out: string,
  { architecture: { json }, record, specifications }: RandomModel,
  { seed, signal, progress }: {
    readonly seed: number;
    readonly signal?: AbortSignal;
    /** Told of bytes that are written. */
    progress?(done: number, total: number): void;
  },
): Promise<void> {
  const total = specifications.reduce((sum, each) => sum + tensorBytes(each), 0);
  let done = 0;
  using writer = await createCheckpointWriter(out, specifications);
  for (const [number, specification] of specifications.entries()) {
    for (const bytes of pieces(specification, stateOf(seed, number))) {
      signal?.throwIfAborted();
      await writer.write(specification.name, bytes);
      done += bytes.length;
      progress?.(done, total);
    }
  }
  await writer.close();
  await Deno.writeTextFile(`${out}/config.json`, `${JSON.stringify(json, undefined, 2)}\n`);
  await writeModelRecord(out, record);
}

function* pieces(tensor: RandomTensor, state: number): Generator<Uint8Array> {
  const { shape, scheme, part, columns } = tensor;
  if (part === "bias" || part === "gain") {
    yield bytesOf(new Float16Array(elements(shape)).fill(part === "bias" ? 0 : 1));
    return;
  }
  if (scheme && part !== "codes") {
    yield bytesOf(factors(elements(shape), tensor));
    return;
  }
  const [keep, set] = scheme ? codeBits(scheme) : halfBits(columns);
  const bytes = tensorBytes(tensor);
  const words = new Uint32Array(Math.min(PIECE_WORDS, Math.ceil(bytes / 4)));
  let next = state;
  for (let from = 0; from < bytes; from += 4 * words.length) {
    next = fillRandom(words, next);
    for (let i = 0; i < words.length; i++) words[i] = words[i]! & keep | set;
    yield bytesOf(words).subarray(0, Math.min(4 * words.length, bytes - from));
  }
}

/** Which random bits a word of codes keeps, and which are set. */
function codeBits({ bits, zero }: WeightScheme): readonly [keep: number, set: number] {
  if (bits !== 4 && bits !== 8) {
    throw new TypeError(`Cannot make up codes of ${bits} bits: expected 4 or 8`);
  }
  // The lowest of signed codes is none; odd ones leave it out.
  return [0xffffffff, zero === "none" ? bits === 4 ? 0x11111111 : 0x01010101 : 0];
}

/** The same for two half-precision values: sign and fraction are random, the exponent is fixed. */
function halfBits(columns: number): readonly [keep: number, set: number] {
  // Magnitudes from a power of two to the next have a root mean square of 1.53 of them.
  const exponent = Math.max(1, 15 + Math.round(Math.log2(1 / Math.sqrt(columns) / 1.53)));
  return [0x83ff83ff, exponent << 26 | exponent << 10];
}

/** Scales and zero points, the same in all groups. */
function factors(count: number, { scheme, part, columns }: RandomTensor): ArrayBufferView {
  const { bits, zero } = scheme!;
  const spread = SPREAD[heldBits(bits)] * (schemeKind(scheme!) === "two_level" ? GROUP.scale : 1);
  const scale = 1 / Math.sqrt(columns) / spread;
  switch (part) {
    case "scales":
      return new Float16Array(count).fill(scale);
    case "group_scales":
      return new Uint8Array(count).fill(GROUP.scale);
    case "group_zeros":
      return new Int8Array(count).fill(GROUP.zero);
    default: {
      // Whole numbers before the scale, halves behind it.
      const middle = bits === 8 ? 127.5 : 7.5;
      return zero === "pre_scale"
        ? new Uint8Array(count).fill(Math.ceil(middle))
        : new Float16Array(count).fill(middle * scale);
    }
  }
}

/**
 * Fills words with random bits (Marsaglia's xorshift) and gives the state behind them, to go on from.
 *
 * The same state gives the same bits; 0 is no state, it would stay 0.
 */
export function fillRandom(words: Uint32Array, state: number): number {
  let next = state;
  for (let i = 0; i < words.length; i++) {
    next ^= next << 13;
    next ^= next >>> 17;
    next ^= next << 5;
    words[i] = next;
  }
  return next;
}

/** A state of its own for each seed and number. */
export function stateOf(seed: number, number: number): number {
  return (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) || 1;
}
