import type { Checkpoint, RowRange } from "../formats/checkpoint.ts";
import type { ModelRecord } from "../models/model_record.ts";
import type { CodedWeight } from "../quant/coded_weight.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import type { Provenance } from "./provenance.ts";
import type { Source, Subject } from "./subject.ts";

/** What a manifest says of the way a model is written. */
export interface FormatOptions {
  /** Element type of what stays in floating point. */
  readonly dtype: "float16" | "bfloat16" | "float32";
  /** The type of weights in GGUF; what the codes fit exactly unless said. */
  readonly type?: "F16" | "Q8_0" | "Q4_0" | "Q4_1";
  /** Most bytes of a file of weights. */
  readonly shardBytes: number;
}

/** Why a format cannot hold a model. */
export interface Refusal {
  /** What does not fit: `activations` and `kv` can be given up by the user's word, `model` cannot. */
  readonly what: "activations" | "kv" | "model";
  /** `<what is>, expected <what should be>`, naming a linear or a key. */
  readonly text: string;
}

/** A reason that the user cannot give anything up for. */
export function modelRefusal(text: string): Refusal {
  return { what: "model", text };
}

/** How an engine runs what a format holds. */
export interface EngineUse {
  /** Its name on the command line of `verify-export`, such as `"vllm"`. */
  readonly engine: string;
  /** How it is started on the directory `DIR`, with the flags this model needs. */
  readonly command: string;
  /** What of this model it cannot run, or runs otherwise than we measured. */
  readonly limits: readonly string[];
}

/** The texts of some that are said; others are false or undefined. */
export function said(texts: readonly (string | false | undefined)[]): string[] {
  return texts.filter((text) => typeof text === "string");
}

/** One export being written. */
export interface Writing {
  /** The model without what the user gave up. */
  readonly subject: Subject;
  /** An empty directory. */
  readonly out: string;
  readonly options: FormatOptions;
  readonly provenance: Provenance;
  readonly signal: AbortSignal;
  progress(done: number, total: number, note: string): void;
}

/** A way to lay a model out for other programs, and to read it from such files. */
export interface Format {
  /** One sentence: what it is and who reads it. */
  readonly about: string;
  /** The document or source that defines it. */
  readonly source: string;
  /** Every reason why it cannot hold a model; none where it can. From headers alone. */
  refusals(subject: Subject, options: FormatOptions): readonly Refusal[];
  /**
   * Reasons that only values tell, of a model that headers allow; they are looked for before anything
   * is written, in tensors small enough for that.
   */
  refuseValues?(source: Source): Promise<readonly Refusal[]>;
  /** What its engines do otherwise than this program, as tokenizer and texts tell; a sentence each. */
  cautions?(source: Source): readonly string[];
  /** The engines that read it, with their flags for this model. */
  engines(subject: Subject, options: FormatOptions): readonly EngineUse[];
  /** Whether it writes tokens one by one, so that the whole tokenizer is made out. */
  readonly tokenizes?: true;
  /** Bytes of its weights. */
  weightBytes(subject: Subject, options: FormatOptions): number;
  /** Writes weights, config, tokenizer; one linear in memory at a time. */
  write(source: Source, writing: Writing): Promise<void>;
  /** Whether a checkpoint of others is in this format, by its config and the names of its tensors. */
  recognizes(checkpoint: Pick<Checkpoint, "config" | "tensors">): boolean;
  /** Reads a checkpoint in this format; throws where its headers contradict the format. */
  open(path: string): Promise<Reading>;
  /**
   * Largest difference of a value that is read back, relative to the largest of its row: 0 where codes
   * and scales are kept exactly.
   */
  rounding(subject: Subject, options: FormatOptions): number;
}

/** A checkpoint of another program, read as ours. */
export interface Reading extends Disposable {
  /** The format's name in the registry. */
  readonly format: string;
  /** Dense tensors by their names in transformers, tokenizer and texts; codes under foreign names. */
  readonly checkpoint: Checkpoint;
  /** `config.json` without what it says of quantization. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Precision of the quantized linears, by the name before `.weight`. */
  readonly linears: Readonly<Record<string, LinearScheme>>;
  readonly kv: ModelRecord["kv"];
  /** What is wrong with names, shapes and types, a sentence each; found in headers alone. */
  readonly problems: readonly string[];
  /** Tensors that neither format nor architecture know. */
  readonly unexpected: readonly string[];
  /** The codes of a quantized linear; throws a sentence with tensor and rule where they break one. */
  linear(name: string): Promise<CodedWeight>;
  /**
   * Values of some rows of a quantized linear, of all unless said; for those whose codes `linear()`
   * refuses though they are sound, such as groups over permuted columns.
   */
  values?(name: string, rows?: RowRange): Promise<Float32Array<ArrayBuffer>>;
}
