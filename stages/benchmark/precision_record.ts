import type { Architecture } from "../models/family.ts";
import { inputWords, type ModelRecord, PLAIN } from "../models/model_record.ts";
import { type LinearScheme, schemeFor, weightWords } from "../quant/schemes.ts";
import type { Precision } from "./precisions.ts";

/** The record of a model that has this precision throughout; groups shrink where they must. */
export function recordOf(
  { linears: outlines, config: { layers, headSize } }: Architecture,
  { linears, kv }: Precision,
): ModelRecord {
  const schemes = !linears ? [] : outlines.map(({ name, columns }): [string, LinearScheme] => {
    const weights = schemeFor(linears.weights, columns, "shrink");
    return [name, { ...linears, weights }];
  });
  const cache = kv && { ...kv, group: headSize };
  return {
    ...PLAIN,
    linears: Object.fromEntries(schemes),
    kv: cache ? Array.from({ length: layers }, () => ({ key: cache, value: cache })) : [],
  };
}

/** A precision in words, such as `W4 g128 two-level post-scale A8 per token KV4`. */
export function precisionWords({ linears, kv }: Precision): string {
  const weights = linears ? weightWords(linears.weights) : "W16";
  return `${weights} ${inputWords(linears?.inputs)} KV${kv?.bits ?? 16}`;
}
