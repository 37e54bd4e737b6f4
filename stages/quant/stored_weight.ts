import {
  type CodeWords,
  packCodes,
  unpackCodes,
  wordCodes,
} from "../../kernels/codes/integer_codes.ts";
import { type CodedWeight, groupsOf, type Rows } from "./coded_weight.ts";
import { groupColumns, schemeKind, type WeightScheme } from "./schemes.ts";

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

/** An array of zeros for so many elements of a tensor. */
export function storedArray(dtype: CodedTensor["dtype"], elements: number) {
  return new ARRAYS[dtype](elements);
}

/** The tensors in which a model artifact holds a linear's weight under a scheme. */
export function codedTensors(
  { name, rows, columns }: Pick<CodedWeight, "rows" | "columns"> & { readonly name: string },
  scheme: WeightScheme,
): CodedTensor[] {
  const { zero } = scheme;
  const shape = [rows, groupsOf({ scheme, columns })] as const;
  const words = [rows, rowWords(scheme, columns)] as const;
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
    columns: columnsOf(scheme, words),
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

/** Words of a row: those of outliers, where its last group is of them, come behind the others. */
function rowWords(scheme: WeightScheme, columns: number): number {
  const words = (columns - outlierColumns(scheme, columns)) / wordCodes(scheme.bits);
  return words + outlierColumns(scheme, columns) / wordCodes(scheme.outlier_bits ?? scheme.bits);
}

/** Columns of a row of so many words. */
export function columnsOf(scheme: WeightScheme, words: number): number {
  const { bits, outlier_bits: outlierBits, group } = scheme;
  if (outlierBits === undefined || typeof group !== "number") return words * wordCodes(bits);
  return (words - group / wordCodes(outlierBits)) * wordCodes(bits) + group;
}

/** How many of a row's columns have codes of more bits: its last group, or none. */
function outlierColumns(scheme: WeightScheme, columns: number): number {
  return scheme.outlier_bits === undefined ? 0 : groupColumns(scheme, columns);
}

/** Puts the codes of a weight into words. */
export function packWeight(weight: CodedWeight): PackedWeight {
  const { scheme, columns, codes } = weight;
  const outliers = outlierColumns(scheme, columns);
  if (outliers === 0) return { ...weight, codes: packCodes(codes, scheme.bits) };
  const width = rowWords(scheme, columns);
  const words = new Uint32Array(codes.length / columns * width);
  const behind = width - outliers / wordCodes(scheme.outlier_bits!);
  for (let row = 0; row * columns < codes.length; row++) {
    const own = codes.slice(row * columns, (row + 1) * columns);
    const split = columns - outliers;
    words.set(packCodes(own.slice(0, split), scheme.bits), row * width);
    words.set(packCodes(own.slice(split), scheme.outlier_bits!), row * width + behind);
  }
  return { ...weight, codes: words };
}

/** Takes the codes of a weight out of their words. */
function unpackWeight(packed: PackedWeight): CodedWeight {
  const { scheme, columns, codes: words } = packed;
  const { bits, outlier_bits: outlierBits } = scheme;
  const signed = scheme.zero === "none";
  const outliers = outlierColumns(scheme, columns);
  if (outliers === 0) return { ...packed, codes: unpackCodes(words, { bits, signed }) };
  const codes = new Int8Array(packed.rows * columns);
  const width = rowWords(scheme, columns);
  const split = width - outliers / wordCodes(outlierBits!);
  for (let row = 0; row * width < words.length; row++) {
    const own = words.slice(row * width, (row + 1) * width);
    codes.set(unpackCodes(own.slice(0, split), { bits, signed }), row * columns);
    const behind = unpackCodes(own.slice(split), { bits: outlierBits!, signed });
    codes.set(behind, (row + 1) * columns - outliers);
  }
  return { ...packed, codes };
}
