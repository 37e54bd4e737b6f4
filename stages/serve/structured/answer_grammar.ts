import type { Grammar } from "../../engine/grammar.ts";
import { fieldError } from "../api_error.ts";
import type { ReadingRules } from "../reading_rules.ts";
import { PatternError, patternRule } from "./pattern.ts";
import { literal } from "./rules.ts";
import { schemaGrammar } from "./schema.ts";
import type { StructuredFields } from "./structured_fields.ts";

/** The grammar that a request asks for, if it does; what it cannot be held to is refused by its path. */
export function answerGrammar(
  { tokenizer, options }: Pick<ReadingRules, "tokenizer" | "options">,
  fields: StructuredFields,
): Grammar | undefined {
  const said = wishesOf(fields);
  const [wish, second] = said;
  if (!wish) return undefined;
  if (second) {
    throw fieldError(
      `Cannot hold an answer to "${wish.field}" and "${second.field}": expected one of them`,
      second.field,
    );
  }
  if (tokenizer.ends.length === 0) {
    throw fieldError(
      `Cannot hold an answer to "${wish.field}": the model names no token that ends answers`,
      wish.field,
    );
  }
  const grammar = wish.make();
  if (grammar.length > options.maxText) {
    throw fieldError(
      `Cannot hold an answer to "${wish.field}": its grammar has ${grammar.length} characters, ` +
        `this server takes at most ${options.maxText}`,
      wish.field,
    );
  }
  return grammar;
}

/** Something that an answer shall look like, and the field that says so. */
interface Wish {
  readonly field: string;
  make(): Grammar;
}

function wishesOf(fields: StructuredFields): Wish[] {
  const { response_format: format, structured_outputs: outputs } = fields;
  const wishes: (Wish | undefined)[] = [
    format?.type === "json_schema"
      ? json(format.json_schema.schema, "response_format.json_schema.schema")
      : undefined,
    format?.type === "json_object"
      ? json(format.schema ?? { type: "object" }, "response_format.schema")
      : undefined,
    json(outputs?.json, "structured_outputs.json"),
    outputs?.json_object ? json({ type: "object" }, "structured_outputs.json_object") : undefined,
    regex(outputs?.regex, "structured_outputs.regex"),
    choice(outputs?.choice, "structured_outputs.choice"),
    rules(outputs?.grammar, "structured_outputs.grammar"),
    json(fields.guided_json, "guided_json"),
    regex(fields.guided_regex, "guided_regex"),
    choice(fields.guided_choice, "guided_choice"),
    rules(fields.guided_grammar, "guided_grammar"),
    json(fields.json_schema, "json_schema"),
    rules(fields.grammar, "grammar"),
  ];
  return wishes.filter((wish) => wish !== undefined);
}

function json(schema: unknown, field: string): Wish | undefined {
  if (schema === undefined || schema === null) return undefined;
  return { field, make: () => schemaGrammar(parsed(schema, field), field) };
}

/** vLLM takes the JSON of a schema as well. */
function parsed(schema: unknown, field: string): unknown {
  if (typeof schema !== "string") return schema;
  try {
    return JSON.parse(schema);
  } catch (error) {
    throw fieldError(`Cannot read "${field}": it is no JSON (${(error as Error).message})`, field);
  }
}

function regex(pattern: string | null | undefined, field: string): Wish | undefined {
  if (!pattern) return undefined;
  const make = () => {
    try {
      return `root ::= ${patternRule(pattern, { json: false })}`;
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      throw fieldError(`Cannot hold an answer to "${field}": ${error.message}`, field);
    }
  };
  return { field, make };
}

function choice(texts: readonly string[] | null | undefined, field: string): Wish | undefined {
  if (!texts || texts.length === 0) return undefined;
  return { field, make: () => `root ::= ${texts.map(literal).join(" | ")}` };
}

/** Rules as they come: whether they are some, the thread of grammars finds out. */
function rules(text: string | null | undefined, field: string): Wish | undefined {
  if (!text) return undefined;
  const make = () => {
    const plain = text.replaceAll(/"(?:[^"\\\n]|\\.)*"|#[^\n]*/g, "");
    const beyond = /\[(?:[^\]\\]|\\.)*?(?:[^ -~\s]|\\[uU]|\\x[89a-fA-F])/.exec(plain);
    if (!beyond) return text;
    throw fieldError(
      `Cannot hold an answer to "${field}": a class of it, ${beyond[0]}..., names characters ` +
        "beyond ASCII, expected each by itself in quotes",
      field,
    );
  };
  return { field, make };
}
