import type { WrittenSchema } from "../rules.ts";
import { refuseSchema } from "./demands.ts";
import { isObject } from "./json_values.ts";
import { KEYWORDS } from "./keywords.ts";
import type { SchemaPart } from "./part.ts";
import type { SchemaReferences } from "./references.ts";

const TYPES = Object.keys(KEYWORDS);

/** Types that a schema names, or that its keywords are about; none where it says nothing of them. */
export function givenTypes({ schema, path }: SchemaPart): string[] {
  const { type } = schema;
  if (type === undefined) {
    const found = TYPES.filter((each) => KEYWORDS[each]!.some((key) => key in schema));
    // Bounds are about numbers of both kinds.
    return found.filter((each) => each !== "integer");
  }
  const types = Array.isArray(type) ? type : [type];
  for (const each of types) {
    if (TYPES.includes(each)) continue;
    refuseSchema(`${path}.type`, `is ${JSON.stringify(each)}`, TYPES.join(", "));
  }
  if (types.length === 0) refuseSchema(`${path}.type`, "is empty", "a type");
  return types;
}

/** Types of values that a schema as it was written allows. */
export function writtenTypes(
  schema: WrittenSchema,
  references: SchemaReferences,
  seen = new Set<string>(),
): string[] {
  const { $ref, type, anyOf, enum: values } = schema;
  if (typeof $ref === "string") {
    if (seen.has($ref)) return [];
    seen.add($ref);
    return writtenTypes(references.followed(schema), references, seen);
  }
  if (typeof type === "string") return [type];
  if (Array.isArray(values)) return [...new Set(values.map(typeOf))];
  if (!Array.isArray(anyOf)) return TYPES;
  return [
    ...new Set(anyOf.flatMap((one: WrittenSchema) => writtenTypes(one, references, seen))),
  ];
}

/** The one type of a value; a number without a fraction is an integer. */
function typeOf(value: unknown): string {
  return TYPES.find((type) => type !== "number" && isOfType(type, value)) ?? "number";
}

/** Whether a value is of a type; an integer is a number as well. */
export function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "integer":
      return Number.isInteger(value);
    case "string":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
    default:
      return typeof value === "number";
  }
}
