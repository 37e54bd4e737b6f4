import { fieldError } from "../../api_error.ts";
import { isObject } from "./json_values.ts";
import type { Schema, SchemaPart } from "./part.ts";

/** Refuses what answers cannot be held to, by its path. */
export function refuseSchema(path: string, is: string, expected: string): never {
  throw fieldError(`Cannot hold answers to "${path}": it ${is}, expected ${expected}`, path);
}

/** Refuses a keyword, whatever it says. */
export function refuseKeyword(path: string): never {
  refuseSchema(path, "is a keyword that answers cannot be held to", "it left out");
}

/** What must be an object. */
export function objectAt(path: string, value: unknown): Schema {
  if (isObject(value)) return value;
  refuseSchema(path, `is ${JSON.stringify(value)?.slice(0, 40)}`, "an object");
}

/** What a keyword counts, if it is there. */
export function countAt({ schema, path }: SchemaPart, key: string): number | undefined {
  const value = schema[key];
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && value as number >= 0) return value as number;
  refuseSchema(`${path}.${key}`, `is ${JSON.stringify(value)}`, "a whole number from 0 on");
}
