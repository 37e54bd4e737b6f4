import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import type { Section } from "../../pipeline/description.ts";
import { shortNumber } from "../../pipeline/words.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { groupLayers } from "./architecture.ts";

/** How keys and values of each layer are held in the cache. */
export function kvSection({ kv }: ModelRecord): Section {
  const title = "KV cache";
  if (kv.length === 0) return { title, facts: [["all layers", "16 bits, not quantized"]] };
  const words = kv.map(({ key, value }) =>
    `keys ${schemeWords(key)}; values ${schemeWords(value)}`
  );
  const facts = groupLayers(words).map(({ words, layers }) => [`layers ${layers}`, words] as const);
  return { title, facts };
}

function schemeWords({ bits, zero, group, range, clip }: KvScheme): string {
  if (bits === 16) return "16 bits";
  return [
    `${bits} bits ${zero.replace("_", "-")}`,
    `groups of ${group}`,
    ...range === undefined ? [] : [`range ${shortNumber(range, 4)}`],
    ...clip === undefined || clip === 1 ? [] : [`clip ${clip}`],
  ].join(", ");
}
