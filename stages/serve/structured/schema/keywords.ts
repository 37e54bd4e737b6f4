import { refuseKeyword, refuseSchema } from "./demands.ts";
import type { Schema, SchemaPart } from "./part.ts";

/** Keywords by the type they are about. */
export const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object: [
    "properties",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
    "minProperties",
    "maxProperties",
  ],
  array: ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
};

/** Keywords that are about values of one type. */
const ABOUT: ReadonlySet<string> = new Set(Object.values(KEYWORDS).flat());

const KNOWN: ReadonlySet<string> = new Set([
  ...ABOUT,
  "type",
  "const",
  "enum",
  "anyOf",
  "oneOf",
  "allOf",
  "$ref",
  "discriminator",
]);

/** Keywords that say nothing of what is valid. */
const NOTES: ReadonlySet<string> = new Set([
  "title",
  "description",
  "default",
  "example",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "$schema",
  "$id",
  "$comment",
  "$defs",
  "definitions",
  "strict",
  "contentMediaType",
  "contentEncoding",
]);

/** Whether a keyword of JSON Schema says nothing of what is valid. */
export function isNote(key: string): boolean {
  return NOTES.has(key);
}

/** Keywords that say something of what is valid, or might. */
function saying(schema: Schema): string[] {
  return Object.keys(schema).filter((key) => !NOTES.has(key) && !key.startsWith("x-"));
}

/** Refuses keywords that are not known. */
export function checkKnown(schema: Schema, path: string): void {
  for (const key of saying(schema)) {
    if (!KNOWN.has(key)) refuseKeyword(`${path}.${key}`);
  }
}

/** Refuses all keywords but some that go together. */
export function checkAlone({ schema, path }: SchemaPart, keys: readonly string[]): void {
  for (const key of saying(schema)) {
    if (keys.includes(key)) continue;
    refuseSchema(`${path}.${key}`, `stands beside "${keys[0]}"`, "it within");
  }
}

/** Refuses keywords that are about no type; those of another type are about what there cannot be. */
export function checkTyped({ schema, path }: SchemaPart): void {
  for (const key of saying(schema)) {
    if (key === "type" || ABOUT.has(key)) continue;
    refuseSchema(`${path}.${key}`, "cannot stand there", "it left out");
  }
}
