import { readOptionalJson } from "../formats/foreign_json.ts";
import type { KvSchemes } from "./attend.ts";
import type { BasisTurns } from "./basis.ts";
import type { InputScheme, LinearScheme } from "../quant/schemes.ts";
import { type Projection, roleOf, type SiteRole } from "./site.ts";

/** What a model artifact says beside `config.json`, in `model.json`; a plain model has no such file. */
export interface ModelRecord {
  readonly version: 1;
  /** Stages that made the model after it was loaded, the first one first. */
  readonly history: readonly { readonly stage: string; readonly params: unknown }[];
  /**
   * Stages that made it before it was exported and loaded anew, as the export tells; what they did to its
   * linears' vectors is told by nobody. Missing where it is no export of ours.
   */
  readonly before?: ModelRecord["history"];
  /**
   * Earlier forms of the model that differ only by permuted and scaled channels, and by precision:
   * the content digest of each, and the file of this artifact that leads from it to the next, the
   * last to this model. Statistics of any of them are statistics of this model.
   */
  readonly lineage: readonly { readonly from: string; readonly file: string }[];
  /**
   * What stages did to the vectors before and behind linears since the model was loaded, the first one
   * first, each in a file: what was made for the linears as they were, as adapters are, is carried along
   * by it. `turns` are the rotations that the file names.
   */
  readonly basis?: readonly {
    readonly stage: string;
    readonly file: string;
    readonly turns: BasisTurns;
  }[];
  /** Site roles whose activation goes through a Hadamard transform before its linears. */
  readonly hadamard: readonly SiteRole[];
  /**
   * Sites whose channels are put into another order before their linears, by their names: place j has the
   * channel order[j] of what was made.
   */
  readonly orders?: Readonly<Record<string, readonly number[]>>;
  /** Precision of the linears that are quantized, by their names. */
  readonly linears: Readonly<Record<string, LinearScheme>>;
  /** Precision of the KV cache, a layer each; full precision where there is none. */
  readonly kv: readonly KvSchemes[];
  /** What quantization cost, as measured when it was done. */
  readonly measured: {
    readonly linears: Readonly<Record<string, LinearFacts>>;
    /** Squared error of each layer's attention output, relative to that output. */
    readonly kv: readonly number[];
    /** Loss before each step of learning the model's rotations, where they were learned. */
    readonly rotation?: readonly number[];
  };
}

/** What quantizing one linear's weight cost. */
export interface LinearFacts {
  readonly method: "rtn" | "gptq";
  /** Squared error of the weight, relative to the weight. */
  readonly weightError: number;
  /** Squared error of the outputs over the calibration tokens, relative to the outputs. */
  readonly outputError?: number;
  /** Rows that rounding to nearest served better than GPTQ. */
  readonly rtnRows?: number;
  /** Damping that made the Gram matrix positive definite. */
  readonly damping?: number;
  /** Why GPTQ was not used though it was asked for. */
  readonly fallback?: string;
  /** Tokens that the linear's expert saw in calibration, where it is of one. */
  readonly tokens?: number;
  /** Set where those were too few, and the statistics of all tokens of its layer stood in. */
  readonly statistics?: "layer";
}

/** File name of the record in a model artifact. */
export const MODEL_RECORD = "model.json";

/** The record of a model that is as it was loaded. */
export const PLAIN: ModelRecord = {
  version: 1,
  history: [],
  lineage: [],
  hadamard: [],
  linears: {},
  kv: [],
  measured: { linears: {}, kv: [] },
};

/** Reads the record of a model artifact; that of a plain model where it has none. */
export async function readModelRecord(directory: string): Promise<ModelRecord> {
  const path = `${directory}/${MODEL_RECORD}`;
  const json = await readOptionalJson(path);
  if (json === undefined) return PLAIN;
  const record = json as ModelRecord | null;
  if (record?.version === PLAIN.version) return record;
  throw new TypeError(
    `Cannot read "${path}": its version is ${record?.version}, expected ${PLAIN.version}`,
  );
}

/** Writes the record of a model artifact. */
export async function writeModelRecord(directory: string, record: ModelRecord): Promise<void> {
  await Deno.writeTextFile(
    `${directory}/${MODEL_RECORD}`,
    `${JSON.stringify(record, undefined, 2)}\n`,
  );
}

/** Throws unless the model is in full precision: `stage` changes weights, which codes do not allow. */
export function refuseQuantized({ linears }: ModelRecord, stage: string): void {
  const [name] = Object.keys(linears);
  if (name === undefined) return;
  throw new TypeError(
    `Cannot ${stage} the model: its "${name}" is quantized already, expected full precision; put ${stage} before quantize`,
  );
}

/** The record of a model that a stage has changed. */
export function recordAfter(record: ModelRecord, stage: string, params: unknown): ModelRecord {
  return { ...record, history: [...record.history, { stage, params }] };
}

/** Whether the channels of a model were mixed by rotations. */
export function isRotated({ history }: Pick<ModelRecord, "history">): boolean {
  return history.some(({ stage }) => stage === "rotate" || stage === "learn_rotation");
}

/**
 * Throws unless a stage may change the channels of these places: weights and KV cache in full
 * precision, and no transform between a place and what feeds it.
 */
export function refuseChannels(
  record: ModelRecord,
  stage: string,
  places: readonly Projection[],
): void {
  refuseQuantized(record, stage);
  const [ordered] = Object.keys(record.orders ?? {});
  if (ordered !== undefined) {
    throw new TypeError(
      `Cannot ${stage} the model: the channels of ${ordered} are put into an order of their own while it runs, expected them as they are made; put ${stage} before the reorder step with online`,
    );
  }
  if (record.kv.length > 0) {
    throw new TypeError(
      `Cannot ${stage} the model: its KV cache is quantized already, expected full precision; put ${stage} before it`,
    );
  }
  for (const place of places) {
    if (!record.hadamard.includes(roleOf(place))) continue;
    throw new TypeError(
      `Cannot ${stage} ${place}: its inputs go through a Hadamard transform, expected inputs that the layer before can change; leave ${place} out of sites`,
    );
  }
}

/** How inputs at a linear are quantized, in words. */
export function inputWords(inputs: InputScheme | undefined): string {
  if (inputs === undefined) return "A16";
  const { bits, range, clip, group, outlier_bits: outlierBits } = inputs;
  return [
    `A${bits}`,
    ...group === undefined ? [] : [`g${group}`],
    range === "dynamic" ? "per token" : "static",
    ...clip === undefined ? [] : [`clip ${clip}`],
    ...outlierBits === undefined ? [] : [`outliers of ${outlierBits} bits`],
  ].join(" ");
}
