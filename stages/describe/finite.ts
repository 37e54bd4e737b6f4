import { type FoundTensor, list } from "../formats/safetensors/found_files.ts";
import { isFloat, readValues } from "./read_values.ts";

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
