import type { WrittenSchema } from "../rules.ts";
import { refuseSchema } from "./demands.ts";
import { isObject, sameJson } from "./json_values.ts";
import { isNote } from "./keywords.ts";
import type { Schema, SchemaPart } from "./part.ts";
import type { SchemaReferences } from "./references.ts";

/** Reads `allOf`: one schema of several that must all hold, their properties together. */
export function readAllOf(part: SchemaPart, references: SchemaReferences): WrittenSchema {
  const { schema: { allOf: list, ...own }, path, level } = part;
  if (!Array.isArray(list) || list.length === 0) {
    refuseSchema(`${path}.allOf`, "is empty or no list", "a list of schemas");
  }
  const inlined = list.map((one, at) => references.inlined(one, `${path}.allOf[${at}]`, level));
  const schemas = [...inlined, own];
  const joined = joinedOf(schemas, `${path}.allOf`);
  const closed = schemas.some((schema) => schema["additionalProperties"] === false);
  if (closed && schemas.filter((schema) => "properties" in schema).length > 1) {
    refuseSchema(
      `${path}.allOf`,
      "closes one object and opens another",
      "properties in one place",
    );
  }
  return part.read(joined, path);
}

function joinedOf(schemas: readonly Schema[], path: string): Schema {
  const joined: Record<string, unknown> = {};
  for (const [key, value] of schemas.flatMap((schema) => Object.entries(schema))) {
    if (isNote(key)) continue;
    const before = joined[key];
    if (before === undefined || sameJson(before, value)) joined[key] = value;
    else if (key === "required" && Array.isArray(before) && Array.isArray(value)) {
      joined[key] = [...before, ...value];
    } else if (
      key === "properties" && isObject(before) && isObject(value) && disjoint(before, value)
    ) {
      joined[key] = { ...before, ...value };
    } else refuseSchema(path, `says "${key}" twice`, "schemas that go together");
  }
  return joined;
}

function disjoint(left: Schema, right: Schema): boolean {
  return Object.keys(left).every((key) =>
    !Object.hasOwn(right, key) || sameJson(left[key], right[key])
  );
}
