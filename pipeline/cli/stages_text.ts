import { type JsonSchema, parametersSchema } from "../schema.ts";
import type { AnyStage, Registry } from "../stage.ts";
import { formatTable } from "../terminal/wording.ts";

/** All stages with what they take, make and may be told. */
export function stagesText(stages: Registry): string {
  return Object.entries(stages).map(([name, stage]) => stageText(name, stage)).join("\n");
}

function stageText(name: string, stage: AnyStage): string {
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
