import {
  type CodeWords,
  packCodes,
  unpackCodes,
  wordCodes,
} from "../../kernels/codes/integer_codes.ts";
import { type CodedWeight, groupsOf, type Rows } from "./coded_weight.ts";
import { schemeKind, type WeightScheme } from "./schemes.ts";

/** A coded weight whose codes lie in words, as model artifacts and kernels hold them. */
export type PackedWeight = CodedWeight<CodeWords>;

/** A tensor that holds part of a linear's weight in a model artifact. */
export interface CodedTensor {
  /** The linear's name and `part`, with a dot between. */
  readonly name: string;
  readonly part: "codes" | "scales" | "zeros" | "group_scales" | "group_zeros";
  readonly dtype: keyof typeof ARRAYS;
  readonly shape: readonly [number, number];
  /** What of the weight it holds. */
  readonly field: "codes" | "scales" | "zeros" | "rowScales";
}

/** What tensors are read from, such as a checkpoint. */
interface TensorFile {
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  readRaw(name: string, rows?: Rows): Promise<Uint8Array>;
}

const ARRAYS = { U32: Uint32Array, F16: Float16Array, U8: Uint8Array, I8: Int8Array } as const;

/** The tensors in which a model artifact holds a linear's weight under a scheme. */
export function codedTensors(
  { name, rows, columns }: Pick<CodedWeight, "rows" | "columns"> & { readonly name: string },
  scheme: WeightScheme,
): CodedTensor[] {
  const { bits, zero } = scheme;
  const shape = [rows, groupsOf({ scheme, columns })] as const;
  const words = [rows, columns / wordCodes(bits)] as const;
  const codes = { part: "codes", field: "codes", dtype: "U32", shape: words } as const;
  const grid = schemeKind(scheme) === "two_level"
    ? [
      { part: "scales", field: "rowScales", dtype: "F16", shape: [rows, 1] },
      { part: "group_scales", field: "scales", dtype: "U8", shape },
      { part: "group_zeros", field: "zeros", dtype: "I8", shape },
    ] as const
    : [
      { part: "scales", field: "scales", dtype: "F16", shape },
      { part: "zeros", field: "zeros", dtype: zero === "post_scale" ? "F16" : "U8", shape },
    ] as const;
  return [codes, ...grid]
    .filter(({ field }) => field !== "zeros" || zero !== "none")
    .map((each) => ({ name: `${name}.${each.part}`, ...each }));
}

/** The tensors of the weight of a linear of this name, with their values. */
export function storedTensors(weight: CodedWeight, name: string): readonly (CodedTensor & {
  readonly values: NonNullable<PackedWeight[CodedTensor["field"]]>;
})[] {
  const { scheme, rows, columns } = weight;
  const packed = packWeight(weight);
  return codedTensors({ name, rows, columns }, scheme)
    .map((each) => ({ ...each, values: packed[each.field]! }));
}

/** Reads a weight, or some of its rows, from the tensors of a model artifact. */
export async function readPacked(
  file: TensorFile,
  name: string,
  scheme: WeightScheme,
  rows?: Rows,
): Promise<PackedWeight> {
  const [held = 0, words = 0] = file.tensors.get(`${name}.codes`)!.shape;
  const shape = {
    rows: rows ? rows.end - rows.start : held,
    columns: words * wordCodes(scheme.bits),
  };
  const read = codedTensors({ name, ...shape }, scheme).map(async ({ name, dtype, field }) => {
    const bytes = await file.readRaw(name, rows);
    return [field, new ARRAYS[dtype](bytes.slice().buffer)] as const;
  });
  const fields = Object.fromEntries(await Promise.all(read));
  return { scheme, ...shape, ...fields } as unknown as PackedWeight;
}

/** The same with codes one by one. */
export async function readCoded(
  ...[file, name, scheme, rows]: Parameters<typeof readPacked>
): Promise<CodedWeight> {
  return unpackWeight(await readPacked(file, name, scheme, rows));
}

/** Puts the codes of a weight into words. */
export function packWeight(weight: CodedWeight): PackedWeight {
  return { ...weight, codes: packCodes(weight.codes, weight.scheme.bits) };
}

/** Takes the codes of a weight out of their words. */
function unpackWeight(packed: PackedWeight): CodedWeight {
  const { bits, zero } = packed.scheme;
  return { ...packed, codes: unpackCodes(packed.codes, { bits, signed: zero === "none" }) };
}
