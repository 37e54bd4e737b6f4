import type { RowRange } from "../../formats/checkpoint.ts";
import type { TorchEntry, TorchFile } from "../../formats/torch/file.ts";
import { widenTensor } from "../../formats/widen.ts";
import type { StoredGrid } from "./codes.ts";

/** Which tensors of `scale.pt` belong to one linear. */
export interface ScaleNames {
  /** A scale a level, the largest groups first. */
  readonly scales: readonly string[];
  readonly zero: { readonly name: string; readonly domain: "pre_scale" | "post_scale" } | undefined;
}

/** Sorts the names of `scale.pt` by linear, the name before `.weight`. */
export function scaleNames(file: TorchFile): ReadonlyMap<string, ScaleNames> {
  const levels = new Map<string, { readonly name: string; readonly level: readonly number[] }[]>();
  const zeros = new Map<string, NonNullable<ScaleNames["zero"]>>();
  for (const name of file.tensors.keys()) {
    const [, linear, part = ""] = /^(.+)\.weight\.(.+)$/.exec(name) ?? [];
    if (linear === undefined) throw strange(file, name);
    if (part === "zero") zeros.set(linear, { name, domain: "pre_scale" });
    else if (part === "scaled_zero") zeros.set(linear, { name, domain: "post_scale" });
    else if (/^scale(\.\d+)+$/.test(part)) {
      const level = part.split(".").slice(1).map(Number);
      levels.set(linear, [...levels.get(linear) ?? [], { name, level }]);
    } else throw strange(file, name);
  }
  const alone = [...zeros.keys()].find((linear) => !levels.has(linear));
  if (alone !== undefined) {
    throw new TypeError(
      `Cannot read "${file.path}": "${alone}" has a zero but no scale, expected both`,
    );
  }
  return new Map([...levels].map(([linear, found]) => {
    const scales = found.sort((a, b) => compare(a.level, b.level)).map(({ name }) => name);
    return [linear, { scales, zero: zeros.get(linear) }];
  }));
}

/** What is wrong with the shapes of a linear's scales and zeros; undefined where nothing is. */
export function scaleProblem(
  file: TorchFile,
  { scales, zero }: ScaleNames,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): string | undefined {
  if (scales.length > 2) return `"${scales[2]}" is a third level, expected one or two`;
  const last = tensorOf(file, scales.at(-1)!);
  for (const [level, name] of scales.entries()) {
    const { shape } = tensorOf(file, name);
    const layout = gridShape(shape);
    const wanted = scales.length === 2 && level === 0
      ? layout?.groups === 1
      : layout !== undefined && columns % layout.groups === 0;
    if (wanted && (layout!.rows === rows || layout!.rows === 1 && layout!.groups === 1)) continue;
    return `"${name}" in ${file.path} is [${
      shape.join(", ")
    }], expected [rows, 1, groups, 1] for a weight [${rows}, ${columns}]`;
  }
  if (zero === undefined) return undefined;
  const { shape } = tensorOf(file, zero.name);
  if (String(shape) === String(last.shape) || shape.every((size) => size === 1)) return undefined;
  return `"${zero.name}" in ${file.path} is [${shape.join(", ")}], expected [${
    last.shape.join(", ")
  }] as its scale or one number`;
}

/** What the scales of a linear say of its codes, without reading all of them. */
export async function readOutline(
  file: TorchFile,
  { scales, zero }: ScaleNames,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): Promise<Pick<StoredGrid, "group" | "zero"> & { readonly levels: 1 | 2 }> {
  const nested = scales.length === 2;
  const { rows: scaleRows, groups } = gridShape(tensorOf(file, scales.at(-1)!).shape)!;
  // A scale a row under scales a row are groups as wide as a row.
  const group = nested || groups > 1
    ? columns / groups
    : scaleRows === 1 && rows > 1
    ? "tensor"
    : "row";
  const used = zero && await hasValues(file, zero.name);
  return { group, zero: used ? zero.domain : "none", levels: nested ? 2 : 1 };
}

/** Reads the scales and zeros of a linear; a zero tensor that is 0 all over counts as none. */
export async function readGrid(
  file: TorchFile,
  names: ScaleNames,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): Promise<StoredGrid> {
  const { group, zero } = await readOutline(file, names, { rows, columns });
  const last = names.scales.at(-1)!;
  const size = rows * gridShape(tensorOf(file, last).shape)!.groups;
  return {
    rows,
    columns,
    group,
    zero,
    scales: spread(await valuesOf(file, last), size),
    ...zero !== "none" && { zeros: spread(await valuesOf(file, names.zero!.name), size) },
    ...names.scales.length === 2 &&
      { rowScales: spread(await valuesOf(file, names.scales[0]!), rows) },
  };
}

/** Whether a tensor is not 0 all over; most show that in their first rows. */
async function hasValues(file: TorchFile, name: string): Promise<boolean> {
  const [rows = 1] = tensorOf(file, name).shape;
  const some = Math.min(rows, 16);
  for (const range of [{ start: 0, end: some }, { start: some, end: rows }]) {
    if ((await valuesOf(file, name, range)).some((value) => value !== 0)) return true;
  }
  return false;
}

/** Rows and groups of a shape [rows, 1, groups, 1]. */
function gridShape(
  shape: readonly number[],
): { readonly rows: number; readonly groups: number } | undefined {
  const [rows = 1, one = 1, groups = 1, last = 1, ...more] = shape;
  if (one !== 1 || last !== 1 || more.length > 0 || rows === 0 || groups === 0) return undefined;
  return { rows, groups };
}

function spread(values: Float32Array<ArrayBuffer>, size: number): Float32Array<ArrayBuffer> {
  if (values.length === size) return values;
  return new Float32Array(size).fill(values[0]!);
}

async function valuesOf(
  file: TorchFile,
  name: string,
  rows?: RowRange,
): Promise<Float32Array<ArrayBuffer>> {
  const { dtype } = tensorOf(file, name);
  return widenTensor(await file.readRaw(name, rows), { name, dtype, file: file.path });
}

function tensorOf(file: TorchFile, name: string): TorchEntry {
  return file.tensors.get(name)!;
}

function strange({ path }: TorchFile, name: string): TypeError {
  return new TypeError(
    `Cannot read "${path}": it has "${name}", expected names such as model.layers.0.mlp.up_proj.weight.scale.0`,
  );
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((part, i) => part !== b[i]);
  return at < 0 ? a.length - b.length : (a[at] ?? 0) - (b[at] ?? -1);
}
