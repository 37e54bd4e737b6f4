import { type JsonSchema, parametersSchema } from "./schema.ts";
import type { AnyStage } from "../stage.ts";

/** A parameter of a stage as its schema has it. */
export interface ParameterRow {
  /** Its name, with those of what it lies in before it: `weights.bits`. */
  readonly path: string;
  /** What it takes, such as `4 | 8` or `list of text`. */
  readonly type: string;
  /** Whether it must be said. */
  readonly needed: boolean;
  /** What it is unless said, as a manifest would say it. */
  readonly usual?: string;
  readonly about: string;
}

/** The parameters of a stage in the order of its schema, those inside of others behind these. */
export function parameterRows(stage: AnyStage): readonly ParameterRow[] {
  return rowsOf(parametersSchema(stage), "");
}

function rowsOf(schema: JsonSchema, before: string): readonly ParameterRow[] {
  const { properties = {}, required = [] } = schema as {
    readonly properties?: Readonly<Record<string, JsonSchema>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).flatMap(([field, inner]) => {
    const path = `${before}${field}`;
    const mappings = mappingsOf(inner);
    // Those inside of it say what a mapping is.
    const plain = inner.default !== undefined && JSON.stringify(inner.default) !== "{}";
    const row = {
      path,
      type: typeText(inner),
      needed: required.includes(field),
      ...plain && { usual: JSON.stringify(inner.default) },
      about: String(inner.description ?? ""),
    };
    return [row, ...mappings.flatMap((mapping) => rowsOf(mapping, `${path}.`))];
  });
}

/** The mappings that a value may be. */
function mappingsOf(schema: JsonSchema): readonly JsonSchema[] {
  if (Array.isArray(schema.anyOf)) return schema.anyOf.flatMap(mappingsOf);
  return schema.properties === undefined ? [] : [schema];
}

function typeText(schema: JsonSchema): string {
  const { type, enum: words, const: word, anyOf, items, prefixItems } = schema;
  if (Array.isArray(words)) return words.map((one) => JSON.stringify(one)).join(" | ");
  if (word !== undefined) return JSON.stringify(word);
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map(typeText))].join(" | ");
  if (Array.isArray(prefixItems)) return `[${prefixItems.map(typeText).join(", ")}]`;
  if (type === "array") return `list of ${grouped(typeText((items ?? {}) as JsonSchema))}`;
  return { string: "text", object: "mapping" }[String(type)] ?? String(type ?? "any");
}

function grouped(type: string): string {
  return type.includes(" | ") ? `(${type})` : type;
}
