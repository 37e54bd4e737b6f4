import type { Checkpoint } from "../formats/checkpoint.ts";
import type { Architecture } from "../models/family.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { architectureOf, openModel } from "../models/architecture.ts";
import type { StoredLinear } from "../models/linear.ts";
import { codedHead } from "../models/packed_head.ts";
import type { LinearOutline } from "../models/site.ts";
import type { CodedWeight } from "../quant/coded_weight.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import { readCoded } from "../quant/stored_weight.ts";

/** A linear in codes. */
export type CodedLinear = LinearOutline & { readonly scheme: LinearScheme };

/** A model artifact as its headers tell of it: all that a format judges by before any work. */
export interface Subject extends Omit<Architecture, "linears"> {
  readonly record: Pick<
    ModelRecord,
    "history" | "before" | "hadamard" | "orders" | "linears" | "kv"
  >;
  /** Linears of all layers with their precision, layer after layer. */
  readonly linears: readonly StoredLinear[];
  /** The head, where it is in codes. */
  readonly codedHead: CodedLinear | undefined;
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
  { config, record }: { readonly config: unknown; readonly record: Subject["record"] },
): Subject {
  const architecture = architectureOf(config);
  const linears = architecture.linears
    .map((linear) => ({ ...linear, scheme: record.linears[linear.name] }));
  const head = codedHead({ architecture, record });
  return {
    ...architecture,
    record,
    linears,
    codedHead: head && { ...head.linear, scheme: head.scheme },
  };
}

/** All that is in codes by the tensors of weights in full precision. */
export function codedByWeight(
  { linears, codedHead }: Pick<Subject, "linears" | "codedHead">,
): ReadonlyMap<string, CodedLinear> {
  const coded = linears.flatMap(({ scheme, ...linear }) => scheme ? [{ ...linear, scheme }] : []);
  return new Map([...coded, ...codedHead ? [codedHead] : []].map((each) => [each.weight, each]));
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
  const files = await openModel(path);
  const { checkpoint, record } = files;
  const subject = subjectOf({ config: checkpoint.config, record });
  return {
    subject,
    checkpoint,
    linear: (name) => readCoded(checkpoint, name, record.linears[name]!.weights),
    [Symbol.dispose]: () => files[Symbol.dispose](),
  };
}
