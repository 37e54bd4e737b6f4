import type { WrittenSchema } from "../rules.ts";
import { countAt, objectAt, refuseSchema } from "./demands.ts";
import type { SchemaPart } from "./part.ts";

/** Reads the keywords of objects. */
export function readObject(part: SchemaPart): WrittenSchema {
  const { schema, path } = part;
  const properties = objectAt(`${path}.properties`, schema["properties"] ?? {});
  const required = requiredOf(part);
  const others = schema["additionalProperties"] ?? schema["unevaluatedProperties"] ?? true;
  const readOther = () => part.read(others, `${path}.additionalProperties`);
  const names = Object.keys(properties);
  const missing = required.filter((name) => !names.includes(name));
  if (missing.length > 0 && others === false) {
    refuseSchema(
      `${path}.required`,
      `has "${missing[0]}", which is no property`,
      "names of properties",
    );
  }
  const read = Object.fromEntries([
    ...names.map((name) => [name, part.read(properties[name], `${path}.properties.${name}`)]),
    ...missing.map((name) => [name, readOther()]),
  ]) as Record<string, WrittenSchema>;
  const free = Object.keys(read).length === 0 && others !== false;
  checkCounts(part, {
    required: required.length,
    properties: free ? Infinity : Object.keys(read).length,
  });
  return {
    type: "object",
    properties: read,
    required: [...new Set(required)],
    // A name that is said twice would escape its own schema, so there are no others beside named ones.
    additionalProperties: free ? readOther() : false,
  };
}

function requiredOf({ schema, path }: SchemaPart): string[] {
  const required = schema["required"] ?? [];
  if (!Array.isArray(required) || required.some((name) => typeof name !== "string")) {
    refuseSchema(`${path}.required`, "is something else", "a list of names");
  }
  return required;
}

/** Refuses counts that do not follow from the names that there must and may be. */
function checkCounts(
  part: SchemaPart,
  has: { readonly required: number; readonly properties: number },
): void {
  const { path } = part;
  const [least, most] = ["minProperties", "maxProperties"].map((key) => countAt(part, key));
  if (least !== undefined && least > has.required) {
    refuseSchema(`${path}.minProperties`, `is ${least}`, "at most as many as are required");
  }
  if (most !== undefined && most < has.properties) {
    refuseSchema(
      `${path}.maxProperties`,
      `is ${most}`,
      "at least as many as there are properties",
    );
  }
}
