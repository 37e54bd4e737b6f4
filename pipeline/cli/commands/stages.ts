import { type JsonSchema, parametersSchema } from "../../manifest/schema.ts";
import type { AnyStage } from "../../stage.ts";
import { formatTable } from "../../tell/terminal/columns.ts";
import { defineCommand } from "../command.ts";

/** Lists the stages with what they take, make and may be told. */
export const stages = defineCommand({
  about: "List the stages with their inputs and parameters",
  run({ program, screen, flags }) {
    const all = Object.entries(program.stages);
    const texts = all.map(([name, stage]) => flags.json ? line(name, stage) : text(name, stage));
    screen.write(texts.join(flags.json ? "" : "\n"));
    return 0;
  },
});

function line(name: string, stage: AnyStage): string {
  const { about, version, inputs, output } = stage;
  const facts = { type: "stage", name, about, version, inputs, output };
  return `${JSON.stringify({ ...facts, params: parametersSchema(stage) })}\n`;
}

function text(name: string, stage: AnyStage): string {
  const inputs = Object.entries(stage.inputs as Readonly<Record<string, string>>)
    .map(([input, kind]) => input === kind ? kind : `${input}: ${kind}`);
  const { properties = {}, required = [] } = parametersSchema(stage) as {
    readonly properties?: Readonly<Record<string, JsonSchema>>;
    readonly required?: readonly string[];
  };
  const rows = Object.entries(properties).map(([field, schema]) => {
    const usual = required.includes(field)
      ? "needed"
      : "default" in schema
      ? JSON.stringify(schema.default)
      : "";
    return [`  ${field}`, typeText(schema), usual, String(schema.description ?? "")];
  });
  const [, ...lines] = formatTable(["", "", "", ""], rows).split("\n");
  const head = `${name}: ${[inputs.join(", "), stage.output].filter(Boolean).join(" → ")}`;
  return [head, `  ${stage.about}`, ...lines, ""].join("\n");
}

function typeText({ type, enum: words, const: word, anyOf, items }: JsonSchema): string {
  if (Array.isArray(words)) return words.map((one) => JSON.stringify(one)).join(" | ");
  if (word !== undefined) return JSON.stringify(word);
  if (Array.isArray(anyOf)) return anyOf.map(typeText).join(" | ");
  if (type === "array") return `list of ${typeText((items ?? {}) as JsonSchema)}`;
  return { string: "text", object: "mapping" }[String(type)] ?? String(type ?? "any");
}
