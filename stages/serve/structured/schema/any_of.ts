import type { WrittenSchema } from "../rules.ts";
import { refuseSchema } from "./demands.ts";
import { givenTypes, writtenTypes } from "./json_types.ts";
import { isObject } from "./json_values.ts";
import { checkAlone } from "./keywords.ts";
import { checkApart } from "./one_of.ts";
import type { SchemaPart } from "./part.ts";
import type { SchemaReferences } from "./references.ts";

/** Reads `anyOf` and `oneOf`, which stand alone but for a type that holds for all their schemas. */
export function readAnyOf(part: SchemaPart, references: SchemaReferences): WrittenSchema {
  const { schema, path } = part;
  const key = "anyOf" in schema ? "anyOf" : "oneOf";
  checkAlone(part, [key, "type", "discriminator"]);
  const list = schema[key];
  if (!Array.isArray(list) || list.length === 0) {
    refuseSchema(`${path}.${key}`, "is empty or no list", "a list of schemas");
  }
  const types = givenTypes(part);
  const read = list.map((one: unknown, at) => {
    const place = `${path}.${key}[${at}]`;
    const untyped = types.length > 0 && isObject(one) && !("type" in one) && !("$ref" in one);
    const made = part.read(untyped ? { ...one, type: schema["type"] } : one, place);
    if (
      types.length > 0 && !writtenTypes(made, references).every((type) => types.includes(type))
    ) {
      refuseSchema(place, "has another type than what stands above it", types.join(" or "));
    }
    return made;
  });
  if (key === "oneOf") checkApart(read, `${path}.oneOf`, references);
  return read.length === 1 ? read[0]! : { anyOf: read };
}
