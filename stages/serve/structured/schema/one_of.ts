import type { WrittenSchema } from "../rules.ts";
import { refuseSchema } from "./demands.ts";
import { writtenTypes } from "./json_types.ts";
import { isObject, listHas } from "./json_values.ts";
import type { SchemaReferences } from "./references.ts";

/** Of `oneOf` one alone may hold: its schemas must differ in type, or in a property's value. */
export function checkApart(
  schemas: readonly WrittenSchema[],
  path: string,
  references: SchemaReferences,
): void {
  const all = schemas.map((schema) => references.followed(schema));
  all.forEach((left, at) => {
    for (const right of all.slice(at + 1)) {
      if (apartByProperty(left, right)) continue;
      const fine = Array.isArray(left["enum"]) && Array.isArray(right["enum"])
        ? apartByValue(left, right)
        : apartByType(writtenTypes(left, references), writtenTypes(right, references));
      if (!fine) refuseSchema(path, "has schemas that a value may satisfy together", "anyOf");
    }
  });
}

function apartByProperty(left: WrittenSchema, right: WrittenSchema): boolean {
  const [first, second] = [left["properties"], right["properties"]];
  if (!isObject(first) || !isObject(second)) return false;
  const [must, other] = [left["required"], right["required"]] as [string[], string[]];
  const both = must.filter((name) => other.includes(name));
  if (
    both.some((name) => apartByValue(first[name] as WrittenSchema, second[name] as WrittenSchema))
  ) return true;
  // Each has its own properties only, so one that the other lacks tells them apart.
  const closed = left["additionalProperties"] === false && right["additionalProperties"] === false;
  return closed && other.some((name) => !(name in first)) && must.some((name) => !(name in second));
}

function apartByValue({ enum: left }: WrittenSchema, { enum: right }: WrittenSchema): boolean {
  return Array.isArray(left) && Array.isArray(right) &&
    !left.some((value) => listHas(right, value));
}

function apartByType(left: readonly string[], right: readonly string[]): boolean {
  const overlap = (one: string, other: string) =>
    one === other || [one, other].sort().join() === "integer,number";
  return !left.some((one) => right.some((other) => overlap(one, other)));
}
