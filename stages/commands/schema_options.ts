import { type Command, Option } from "commander";
import { z } from "zod";
import { UsageError } from "../../pipeline/cli/mod.ts";

/** How a field is an option, where it is not by its own name and type. */
export interface OptionForm {
  /** Its name on the command line; the field's own unless said. */
  readonly flag?: string;
  /** Whether each use has one text, which may have commas in it; else they have lists. */
  readonly whole?: true;
}

interface FieldSchema {
  readonly type?: string;
  readonly items?: FieldSchema;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
}

/**
 * Adds an option for every field of a schema: `stepTokens` is `--step-tokens <number>`, with the field's
 * description and default as its help. What was said is found under the fields' names by `saidOf()`.
 */
export function addSchemaOptions(
  command: Command,
  schema: z.ZodObject,
  forms: Readonly<Record<string, OptionForm>> = {},
): void {
  const { properties = {} } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  for (const [name, field] of Object.entries(properties as Record<string, FieldSchema>)) {
    const { description = "", enum: choices } = field;
    const usual = /\(default: /.test(description) ? "" : usualWords(field.default);
    const told = `${description}${choices ? `: ${choices.join(", ")}` : ""}${usual}`;
    const flag = `--${kebab(forms[name]?.flag ?? name)}`;
    if (field.type === "boolean") command.option(flag, told);
    else {
      const [value, read] = readerOf(field, forms[name]);
      const option = new Option(`${flag} <${value}>`, told);
      command.addOption(option.argParser<unknown>(read));
    }
  }
}

/** What the options of a schema say, under the names of its fields. */
export function saidOf(
  own: Readonly<Record<string, unknown>>,
  schema: z.ZodObject,
  forms: Readonly<Record<string, OptionForm>> = {},
): Record<string, unknown> {
  const said = Object.keys(schema.shape).map((name) =>
    [name, own[camel(forms[name]?.flag ?? name)]] as const
  );
  return Object.fromEntries(said.filter(([, value]) => value !== undefined));
}

function readerOf(
  { type, items }: FieldSchema,
  form: OptionForm = {},
): readonly [value: string, read: (text: string, before: unknown) => unknown] {
  const one = (type: string | undefined) =>
    type === "integer" || type === "number" ? numberOf : (text: string) => text;
  if (type !== "array") return [one(type) === numberOf ? "number" : "text", one(type)];
  const read = one(items?.type);
  const parts = (text: string) => form.whole ? [text] : text.split(",");
  return [form.whole ? "text" : "list", (text, before) => [
    ...Array.isArray(before) ? before : [],
    ...parts(text).map((part) => read(part)),
  ]];
}

function numberOf(text: string): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new UsageError(`Cannot take "${text}" as a number: expected one`);
}

function usualWords(value: unknown): string {
  const silent = value === undefined || value === false ||
    (Array.isArray(value) && value.length === 0);
  return silent ? "" : ` (default: ${value})`;
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function camel(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
