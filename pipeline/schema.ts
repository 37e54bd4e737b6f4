import { z } from "zod";
import { parseInput } from "./manifest/wiring.ts";
import type { AnyStage, Registry } from "./stage.ts";

/** JSON Schema as data. */
export type JsonSchema = { readonly [name: string]: unknown };

/** The JSON Schema of a manifest over these stages, which gives completion in editors. */
export function manifestSchema(stages: Registry): JsonSchema {
  const steps = Object.entries(stages).map(([name, stage]) => stepSchema(name, stage));
  const manifest = z.strictObject({
    params: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])).optional()
      .describe("Named values with their defaults; use one as ${name}, change it with --set."),
    steps: z.record(z.string(), z.union(steps))
      .describe("The work, in any order; each step makes one artifact."),
  });
  const schema = z.toJSONSchema(manifest, { io: "input", unrepresentable: "any" });
  return { title: "Manifest", ...openSteps(schema as JsonSchema) };
}

/** The JSON Schema of a stage's parameters. */
export function parametersSchema(stage: AnyStage): JsonSchema {
  return z.toJSONSchema(stage.params, { io: "input", unrepresentable: "any" });
}

function stepSchema(name: string, { about, inputs, params }: AnyStage): z.ZodType {
  const fields = Object.entries(inputs as Readonly<Record<string, string>>).map(([input, text]) => {
    const { kind, list, optional } = parseInput(text);
    const step = z.string();
    const field = list ? z.union([step, z.array(step)]) : step;
    const told = field.describe(
      `Name of ${list ? "steps that make" : "a step that makes"} ${kind}.`,
    );
    return [input, optional ? told.optional() : told] as const;
  });
  const from = z.strictObject(Object.fromEntries(fields));
  return z.strictObject({
    stage: z.literal(name).describe(about),
    from: from.safeParse({}).success ? from.optional() : from,
    with: params.safeParse({}).success ? params.optional() : params,
  });
}

const PARAM: JsonSchema = { type: "string", pattern: "\\$\\{[^{}]+\\}" };

/** Opens every `with` of a manifest's schema to params. */
function openSteps(manifest: JsonSchema): JsonSchema {
  const properties = manifest.properties as Readonly<Record<string, JsonSchema>>;
  const steps = properties.steps ?? {};
  const step = steps.additionalProperties as { readonly anyOf?: readonly JsonSchema[] };
  const variants = (step.anyOf ?? [step as JsonSchema]).map((variant) => {
    const words = variant.properties as Readonly<Record<string, JsonSchema>>;
    return { ...variant, properties: { ...words, with: openInside(words.with ?? {}) } };
  });
  const opened = { ...steps, additionalProperties: { anyOf: variants } };
  return { ...manifest, properties: { ...properties, steps: opened } };
}

/** Lets `${name}` stand for a value, where that is not a text anyway. */
function openValue(schema: JsonSchema): JsonSchema {
  const { description, default: usual, ...rest } = schema;
  const told = {
    ...description !== undefined && { description },
    ...usual !== undefined && { default: usual },
  };
  if (Array.isArray(schema.anyOf)) {
    return { ...schema, anyOf: [...schema.anyOf.map(openInside), PARAM] };
  }
  const fixed = schema.enum !== undefined || schema.const !== undefined;
  if (fixed || ["number", "integer", "boolean"].includes(String(schema.type))) {
    return { ...told, anyOf: [rest, PARAM] };
  }
  return openInside(schema);
}

function openInside(schema: JsonSchema): JsonSchema {
  const { properties, items, additionalProperties: others } = schema;
  const isSchema = (value: unknown): value is JsonSchema =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  return {
    ...schema,
    ...isSchema(properties) && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, field]) => [name, openValue(field as JsonSchema)]),
      ),
    },
    ...isSchema(items) && { items: openValue(items) },
    ...isSchema(others) && { additionalProperties: openValue(others) },
  };
}
