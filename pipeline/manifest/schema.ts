import { z } from "zod";
import { parseInput } from "./wiring.ts";
import type { AnyStage, Registry } from "../stage.ts";
import { VERIFY } from "../store/damage.ts";

/** JSON Schema as data. */
export type JsonSchema = { readonly [name: string]: unknown };

/**
 * The JSON Schema of a manifest over these stages, which gives completion in editors.
 *
 * What extends another manifest may leave out all that it has, and take something away by a null.
 */
export function manifestSchema(stages: Registry): JsonSchema {
  const variants = Object.entries(stages).map(([name, stage]) => {
    const { $schema: _, ...schema } = z.toJSONSchema(stepSchema(name, stage), OPTIONS);
    return openStep(schema as JsonSchema);
  });
  const step = { anyOf: [...variants, ...IMPORTED] };
  const change = { anyOf: [...variants.map(looseStep), CHANGE, ...IMPORTED, NOTHING] };
  const { extends: bases, ...own } = PARTS;
  const whole = { ...own, steps: stepsSchema(ref("step")) };
  const loose = {
    params: loosened(own.params),
    matrix: loosened(own.matrix),
    verify: orNothing(own.verify),
    expect: loosened(own.expect),
    next: orNothing(own.next),
    steps: stepsSchema(ref("change")),
  };
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Manifest",
    anyOf: [
      closed(whole, ["steps"]),
      closed({ extends: bases, ...loose }, ["extends"]),
    ],
    $defs: { step, change },
  };
}

/** The JSON Schema of a stage's parameters. */
export function parametersSchema(stage: AnyStage): JsonSchema {
  return z.toJSONSchema(stage.params, OPTIONS);
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

const OPTIONS = { io: "input", unrepresentable: "any" } as const;

const NOTHING: JsonSchema = { type: "null" };
const TEXT: JsonSchema = { type: "string" };
const ANY: JsonSchema = { type: "object" };
const SCALAR: JsonSchema = { anyOf: [{ type: "number" }, TEXT, { type: "boolean" }] };
/** What a mapping takes over from parts of other files. */
const IMPORT: JsonSchema = {
  description:
    "A mapping of another file that this one is merged over: file.yaml, or file.yaml#steps/name for a part of it; several are merged in turn.",
  anyOf: [TEXT, { type: "array", items: TEXT }],
};
const LINES: JsonSchema = {
  type: "array",
  items: { type: "object", additionalProperties: SCALAR },
};

/** What a manifest has beside its steps. */
const PARTS = {
  extends: {
    description: "Manifests to build on, relative to this one; later ones win, this one wins last.",
    anyOf: [TEXT, { type: "array", items: TEXT }],
  },
  params: {
    description: "Named values with their defaults; use one as ${name}, change it with --set.",
    type: "object",
    properties: { $import: IMPORT },
    additionalProperties: SCALAR,
  },
  matrix: {
    description:
      "Values of params to run with each other; include and exclude mean what they do in GitHub's workflows.",
    type: "object",
    properties: { include: LINES, exclude: LINES },
    additionalProperties: { type: "array", items: SCALAR },
  },
  verify: {
    description:
      "Before reuse, read files that changed since they were read last (stat), only look at sizes, or read all bytes (full).",
    enum: VERIFY,
  },
  expect: {
    description:
      "What scores must be for the run to be a good one: step.score and a condition, such as <= 1.05.",
    type: "object",
    additionalProperties: { type: "string" },
  },
  next: {
    description:
      "The manifest to take next, relative to this one: a good run ends with its command.",
    type: "string",
  },
} as const satisfies Readonly<Record<string, JsonSchema>>;

/** A step that an extended manifest has: its stage is there, and not known here. */
const CHANGE: JsonSchema = {
  type: "object",
  properties: {
    from: { anyOf: [{ type: "object" }, NOTHING] },
    with: { anyOf: [{ type: "object" }, NOTHING] },
  },
  additionalProperties: false,
};

/** A step that is another file's, or whose parameters are: what that has is not known here. */
const IMPORTED: readonly JsonSchema[] = [
  closed({ $import: IMPORT, stage: TEXT, from: ANY, with: ANY }, ["$import"]),
  closed({
    stage: TEXT,
    from: ANY,
    with: { type: "object", properties: { $import: IMPORT }, required: ["$import"] },
  }, ["with"]),
];

const PARAM: JsonSchema = { type: "string", pattern: "\\$\\{[^{}]+\\}" };

/** Opens the `with` of a step's schema to params. */
function openStep(step: JsonSchema): JsonSchema {
  const words = step.properties as Readonly<Record<string, JsonSchema>>;
  return { ...step, properties: { ...words, with: openInside(words.with ?? {}) } };
}

/** A step's schema for a manifest that extends one which has the rest. */
function looseStep(step: JsonSchema): JsonSchema {
  const { stage, ...rest } = step.properties as Readonly<Record<string, JsonSchema>>;
  return { ...step, properties: { stage, ...looseFields(rest) }, required: ["stage"] };
}

/** Lets everything inside be left out, or taken away by a null; lists are replaced whole. */
function loosened(schema: JsonSchema): JsonSchema {
  const { properties, additionalProperties: others, required: _, ...rest } = schema;
  return {
    ...rest,
    ...Array.isArray(schema.anyOf) && { anyOf: schema.anyOf.map(loosened) },
    ...isSchema(properties) &&
      { properties: looseFields(properties as Readonly<Record<string, JsonSchema>>) },
    ...others !== undefined &&
      { additionalProperties: isSchema(others) ? orNothing(others) : others },
  };
}

function looseFields(fields: Readonly<Record<string, JsonSchema>>): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, orNothing(loosened(field))]),
  );
}

function orNothing(schema: JsonSchema): JsonSchema {
  const [told, rest] = splitTold(schema);
  const choices = Array.isArray(rest.anyOf) ? rest.anyOf : [rest];
  return { ...told, anyOf: [...choices, NOTHING] };
}

/** What a schema tells its readers, and what it asks for. */
function splitTold({ description, default: usual, ...rest }: JsonSchema) {
  const told = {
    ...description !== undefined && { description },
    ...usual !== undefined && { default: usual },
  };
  return [told, rest] as const;
}

function stepsSchema(step: JsonSchema): JsonSchema {
  const description = "The work, in any order; each step makes one artifact.";
  return {
    description,
    type: "object",
    properties: { $import: IMPORT },
    additionalProperties: step,
  };
}

function closed(properties: JsonSchema, required: readonly string[]): JsonSchema {
  return { type: "object", properties, required, additionalProperties: false };
}

function ref(name: string): JsonSchema {
  return { $ref: `#/$defs/${name}` };
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Lets `${name}` stand for a value, where that is not a text anyway. */
function openValue(schema: JsonSchema): JsonSchema {
  const [told, rest] = splitTold(schema);
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
