import type { LinearScheme } from "../quant/schemes.ts";
import { inputWords } from "../models/model_record.ts";
import type { Reading } from "./format.ts";
import type { Subject } from "./subject.ts";
import type { Breach } from "./verify.ts";

/** Largest relative difference of a range that was kept in half precision. */
const RANGE = 2 ** -10;

/** Where an export says another precision of inputs and KV cache than the model it was made from. */
export function* precisionBreaches(
  { linears, kv }: Pick<Reading, "linears" | "kv">,
  subject: Subject,
): Generator<Breach> {
  const { record } = subject;
  for (const { name, scheme } of subject.linears) {
    const [got, expected] = [linears[name]?.inputs, scheme?.inputs];
    if (sameInputs(got, expected)) continue;
    yield {
      tensor: name,
      rule: `its inputs are ${inputsOf(got)}, expected ${inputsOf(expected)} as in the model`,
    };
  }
  // Most formats have no place for it: their engines are told.
  if (kv.length === 0 || record.kv.length === 0) return;
  for (const [layer, { key, value }] of record.kv.entries()) {
    const found = kv[layer];
    if (found?.key.bits === key.bits && found.value.bits === value.bits) continue;
    yield {
      rule: `layer ${layer} has keys and values in ${
        found ? `${found.key.bits} and ${found.value.bits}` : "no known"
      } bits, expected ${key.bits} and ${value.bits} as in the model`,
    };
  }
}

function sameInputs(a: LinearScheme["inputs"], b: LinearScheme["inputs"]): boolean {
  if (!a || !b) return a === b;
  if (typeof a.range !== "number" || typeof b.range !== "number") return a.range === b.range;
  return Math.abs(a.range / b.range - 1) <= RANGE;
}

function inputsOf(inputs: LinearScheme["inputs"]): string {
  const words = inputWords(inputs);
  return typeof inputs?.range === "number" ? `${words} up to ${inputs.range}` : words;
}
