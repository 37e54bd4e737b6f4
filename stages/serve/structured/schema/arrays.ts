import type { WrittenSchema } from "../rules.ts";
import { countAt, refuseKeyword, refuseSchema } from "./demands.ts";
import type { SchemaPart } from "./part.ts";

/** Reads the keywords of arrays, and those of drafts before 2020-12. */
export function readArray(part: SchemaPart): WrittenSchema {
  const { schema, path } = part;
  const old = Array.isArray(schema["items"]);
  const first = old ? schema["items"] : schema["prefixItems"];
  const rest = (old ? schema["additionalItems"] : schema["items"]) ?? true;
  if (first !== undefined && !Array.isArray(first)) {
    refuseSchema(`${path}.prefixItems`, "is something else", "a list of schemas");
  }
  if (schema["uniqueItems"] === true) refuseKeyword(`${path}.uniqueItems`);
  const [least, most] = ["minItems", "maxItems"].map((key) => countAt(part, key));
  if (least !== undefined && most !== undefined && least > most) {
    refuseSchema(`${path}.minItems`, `is ${least}, more than maxItems`, `at most ${most}`);
  }
  const prefix: unknown[] = (first ?? []).slice(0, most ?? Infinity);
  if (rest === false && least !== undefined && least > prefix.length) {
    refuseSchema(`${path}.minItems`, `is ${least}`, `at most ${prefix.length} items`);
  }
  return {
    type: "array",
    ...prefix.length > 0 && {
      prefixItems: prefix.map((item, at) => part.read(item, `${path}.prefixItems[${at}]`)),
    },
    items: rest === false ? false : part.read(rest, `${path}.items`),
    ...least !== undefined && { minItems: least },
    ...most !== undefined && { maxItems: most },
  };
}
