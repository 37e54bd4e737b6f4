import type { WrittenSchema } from "../rules.ts";
import { refuseSchema } from "./demands.ts";
import { givenTypes, isOfType } from "./json_types.ts";
import { listHas } from "./json_values.ts";
import { checkAlone } from "./keywords.ts";
import type { SchemaPart } from "./part.ts";

/** Reads `const` and `enum`: those of the values that are of the type that stands beside them. */
export function readValues(part: SchemaPart): WrittenSchema {
  checkAlone(part, ["const", "enum", "type"]);
  const { schema, path } = part;
  const key = "const" in schema ? "const" : "enum";
  const values = key === "const" ? [schema["const"]] : schema["enum"];
  if (!Array.isArray(values)) refuseSchema(`${path}.enum`, "is no list", "a list of values");
  const types = givenTypes(part);
  const fitting = values.filter((value) =>
    (types.length === 0 || types.some((type) => isOfType(type, value))) &&
    (!("enum" in schema) || key === "enum" || listHas(schema["enum"], value))
  );
  if (fitting.length === 0) refuseSchema(`${path}.${key}`, "has no value of its type", "one");
  return { enum: fitting };
}
