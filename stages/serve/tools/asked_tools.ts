import type { Grammar } from "../../engine/grammar.ts";
import { fieldError } from "../api_error.ts";
import type { ReadingRules } from "../reading_rules.ts";
import { schemaGrammar } from "../structured/schema.ts";
import type { Tool, ToolFields } from "./tool_fields.ts";
import { type ToolFormatName, toolFormatOf } from "./tool_formats.ts";

/** What a request wants of functions. */
export interface AskedTools {
  readonly tools: readonly Tool[];
  readonly format: ToolFormatName;
  /** Holds the answer to calls, where there must be some. */
  readonly grammar?: Grammar;
}

/** What functions of a request the model may call; undefined where it may call none. */
export function askedTools(
  { tokenizer, options }: Pick<ReadingRules, "tokenizer" | "options">,
  { tools, tool_choice: choice, parallel_tool_calls: parallel }: ToolFields,
): AskedTools | undefined {
  const all = tools ?? [];
  checkNames(all);
  const wanted = choice ?? "auto";
  if (all.length === 0) {
    if (wanted === "auto" || wanted === "none") return undefined;
    throw fieldError('Cannot call a function: there are none, expected "tools"', "tool_choice");
  }
  if (wanted === "none") return undefined;
  const template = tokenizer.chatTemplate ?? "";
  if (wanted === "auto") {
    if (options.toolParser === undefined && template.includes("<function=")) {
      throw fieldError(
        "Cannot read calls of this model: its template has <function=...>, which is not known here, " +
          'expected another; set --tool-parser, or "tool_choice" to "required"',
        "tools",
      );
    }
    return { tools: all, format: options.toolParser ?? toolFormatOf(template) };
  }
  const at = typeof wanted === "string"
    ? undefined
    : all.findIndex(({ function: { name } }) => name === wanted.function.name);
  if (at === -1) {
    const { name } = (wanted as { readonly function: { readonly name: string } }).function;
    throw fieldError(`Cannot call "${name}": there is no such function in "tools"`, "tool_choice");
  }
  const callable = at === undefined ? all : [all[at]!];
  return {
    tools: all,
    // Whatever the model was trained for, this is what its answer is held to.
    format: "json",
    grammar: callsGrammar(callable, {
      first: at ?? 0,
      several: at === undefined && parallel !== false,
    }),
  };
}

function checkNames(tools: readonly Tool[]): void {
  const seen = new Set<string>();
  for (const [at, { function: { name } }] of tools.entries()) {
    if (seen.has(name)) {
      throw fieldError(
        `Cannot tell functions apart: two are called "${name}", expected one`,
        `tools[${at}].function.name`,
      );
    }
    seen.add(name);
  }
}

/** A list of calls, with arguments by the schemas of their functions. */
function callsGrammar(
  tools: readonly Tool[],
  { first, several }: { readonly first: number; readonly several: boolean },
): Grammar {
  const schemas = tools.map(({ function: { parameters } }, at) => {
    const schema = parameters ?? { type: "object", properties: {}, additionalProperties: false };
    // What is wrong in one is told by its place in the request.
    schemaGrammar(schema, `tools[${first + at}].function.parameters`);
    return moved(schema, `#/x-tools/${at}`);
  });
  const calls = tools.map(({ function: { name } }, at) => ({
    type: "object",
    properties: { name: { const: name }, arguments: schemas[at] },
    required: ["name", "arguments"],
  }));
  const list = { type: "array", items: { anyOf: calls }, minItems: 1, "x-tools": schemas };
  return schemaGrammar(several ? list : { ...list, maxItems: 1 }, "tools");
}

/** A schema whose references lead to where it stands now. */
function moved(schema: unknown, root: string): unknown {
  if (Array.isArray(schema)) return schema.map((one) => moved(one, root));
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      const pointer = key === "$ref" && typeof value === "string" && value.startsWith("#");
      return [key, pointer ? `${root}${value.slice(1)}` : moved(value, root)];
    }),
  );
}
