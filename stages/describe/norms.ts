import { shortNumber } from "../../pipeline/words.ts";
import { type FoundTensor, list } from "../formats/safetensors/found_files.ts";
import type { Architecture } from "../models/family.ts";
import { USUAL } from "../models/usual_names.ts";
import { storedOffset } from "../models/whole_gains.ts";
import { ByteFile } from "../formats/byte_file.ts";
import { WIDEN } from "../formats/widen.ts";

/** A multiple of every element's size, small beside what a machine has. */
const PIECE_BYTES = 2 ** 24;

/** Whether a tensor's values can be read. */
function isFloat({ dtype }: Pick<FoundTensor, "dtype">): boolean {
  return WIDEN[dtype] !== undefined;
}

/** The values of a floating-point tensor, piece by piece. */
async function* readValues(
  { dtype, file, start, end }: FoundTensor,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const widen = WIDEN[dtype];
  if (widen === undefined) throw new TypeError(`Cannot read values of ${dtype}, expected floats`);
  using bytes = ByteFile.open(file);
  for (let at = start; at < end; at += PIECE_BYTES) {
    yield widen(await bytes.read(at, Math.min(end, at + PIECE_BYTES)));
  }
}

/** Whether the gains of a model's norms are folded into its weights, in words. */
export async function normWords(
  tensors: ReadonlyMap<string, FoundTensor>,
  architecture: Architecture | undefined,
): Promise<string> {
  const names = architecture
    ? architecture.sites.flatMap(({ fedBy: { kind, weight } }) => kind === "norm" ? [weight] : [])
    : [...tensors.keys()].filter((name) => USUAL.norm.test(name));
  const norms = names.flatMap((name) => tensors.get(name) ?? [])
    .filter((tensor) => tensor.shape.length === 1 && isFloat(tensor));
  const offset = architecture ? storedOffset(architecture.json, architecture.family) : 0;
  let [folded, low, high] = [0, Infinity, -Infinity];
  for (const norm of norms) {
    let ones = true;
    for await (const values of readValues(norm)) {
      for (const value of values) {
        const gain = value + offset;
        ones &&= gain === 1;
        low = Math.min(low, gain);
        high = Math.max(high, gain);
      }
    }
    if (ones) folded++;
  }
  if (norms.length === 0) return "none found";
  if (folded === norms.length) return `folded: all gains of ${norms.length} norms are 1`;
  const range = `gains from ${shortNumber(low, 3)} to ${shortNumber(high, 3)}`;
  if (folded === 0) return `not folded: ${range} in ${norms.length} norms`;
  return `folded in ${folded} of ${norms.length} norms: ${range}`;
}

/** What reading all values of a model told. */
export interface ValuesCheck {
  readonly words: string;
  readonly problems: readonly string[];
}

/** Reads every floating-point value of a model. */
export async function checkValues(
  tensors: Iterable<FoundTensor>,
  signal: AbortSignal | undefined,
): Promise<ValuesCheck> {
  let count = 0;
  const infinite: string[] = [];
  const empty: string[] = [];
  for (const tensor of tensors) {
    if (!isFloat(tensor)) continue;
    let [finite, zero] = [true, true];
    for await (const values of readValues(tensor)) {
      signal?.throwIfAborted();
      count += values.length;
      for (const value of values) {
        if (!Number.isFinite(value)) finite = false;
        if (value !== 0) zero = false;
      }
    }
    if (!finite) infinite.push(tensor.name);
    if (zero && /\.weight$/.test(tensor.name)) empty.push(tensor.name);
  }
  return {
    words: infinite.length === 0
      ? `all ${count} floating-point values are finite`
      : `${infinite.length} tensors hold values that are not finite`,
    problems: [
      ...infinite.length > 0 ? [`NaN or infinity in ${list(infinite)}`] : [],
      ...empty.length > 0 ? [`All values are 0 in ${list(empty)}`] : [],
    ],
  };
}
