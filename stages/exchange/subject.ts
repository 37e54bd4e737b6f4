import type { Checkpoint } from "../formats/checkpoint.ts";
import { openCheckpoint } from "../formats/open_checkpoint.ts";
import type { DecoderConfig, LinearRole } from "../models/family.ts";
import { findFamily } from "../models/families/find_family.ts";
import { type ModelRecord, readModelRecord } from "../models/model_record.ts";
import { linearName, LINEARS } from "../models/names.ts";
import { readPacked } from "../models/packed_parts.ts";
import { type CodedWeight, unpackWeight } from "../quant/coded_weight.ts";
import type { LinearScheme } from "../quant/schemes.ts";

/** A linear of a layer, as headers tell of it. */
export interface LinearOutline {
  /** The name before `.weight`. */
  readonly name: string;
  readonly layer: number;
  readonly role: LinearRole;
  /** Outputs. */
  readonly rows: number;
  /** Inputs. */
  readonly columns: number;
  readonly bias: boolean;
  /** Its precision, where it is quantized. */
  readonly scheme: LinearScheme | undefined;
}

/** A linear that is quantized. */
export type QuantizedLinear = LinearOutline & { readonly scheme: LinearScheme };

/** A model artifact as its headers tell of it: all that a format judges by before any work. */
export interface Subject {
  /** `config.json`. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly config: DecoderConfig;
  /** The first of `architectures`. */
  readonly architecture: string;
  readonly record: Pick<ModelRecord, "history" | "hadamard" | "linears" | "kv">;
  /** Linears of all layers in the order of `LINEARS`, layer after layer. */
  readonly linears: readonly LinearOutline[];
  /** Every tensor the model has in full precision, by its name in transformers, with its shape. */
  readonly tensors: ReadonlyMap<string, readonly number[]>;
}

/** A model artifact whose weights can be read, a linear at a time. */
export interface Source extends Disposable {
  readonly subject: Subject;
  /** The artifact's files: dense tensors, tokenizer and texts. */
  readonly checkpoint: Checkpoint;
  /** The codes of a quantized linear. */
  linear(name: string): Promise<CodedWeight>;
}

/** What headers tell of a model. */
export function subjectOf(
  { config: json, record }: {
    readonly config: unknown;
    readonly record: Subject["record"];
  },
): Subject {
  const family = findFamily(json);
  const config = family.config(json);
  const tensors = family.tensors(config);
  const linears = Array.from(
    { length: config.layers },
    (_, layer) =>
      LINEARS.map((role): LinearOutline => {
        const name = linearName(layer, role);
        const [rows = 0, columns = 0] = tensors.get(`${name}.weight`)!;
        const scheme = record.linears[name];
        return { name, layer, role, rows, columns, bias: config.biases.includes(role), scheme };
      }),
  ).flat();
  const [architecture = ""] = (json as { architectures: string[] }).architectures;
  return { json: json as Subject["json"], config, architecture, record, linears, tensors };
}

/** A subject of which some precision is given up. */
export function without(subject: Subject, ignored: readonly ("activations" | "kv")[]): Subject {
  const plain = ({ weights }: LinearScheme): LinearScheme => ({ weights });
  const activations = ignored.includes("activations");
  const linears = activations
    ? Object.fromEntries(
      Object.entries(subject.record.linears).map(([name, scheme]) => [name, plain(scheme)]),
    )
    : subject.record.linears;
  const kv = ignored.includes("kv") ? [] : subject.record.kv;
  return subjectOf({ config: subject.json, record: { ...subject.record, linears, kv } });
}

/** Opens a model artifact for reading a linear at a time. */
export async function openSource(path: string): Promise<Source> {
  const record = await readModelRecord(path);
  const checkpoint = await openCheckpoint(path);
  const subject = subjectOf({ config: checkpoint.config, record });
  const outlines = new Map(subject.linears.map((linear) => [linear.name, linear]));
  return {
    subject,
    checkpoint,
    async linear(name) {
      const { scheme, columns } = outlines.get(name)!;
      const packed = await readPacked(checkpoint, name, scheme!.weights);
      return unpackWeight(packed, scheme!.weights, columns);
    },
    [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
  };
}
