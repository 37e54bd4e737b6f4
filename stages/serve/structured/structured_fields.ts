import { z } from "zod";

const schema = z.union([z.record(z.string(), z.unknown()), z.boolean()]);
const schemaOrText = z.union([schema, z.string()]);

/** What `response_format` may be, as OpenAI has it; llama-server takes a schema with an object too. */
const responseFormat = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("text") }),
  z.looseObject({ type: z.literal("json_object"), schema: schema.nullish() }),
  z.looseObject({
    type: z.literal("json_schema"),
    json_schema: z.looseObject({
      name: z.string().nullish(),
      schema,
      strict: z.boolean().nullish().describe("answers are held to the schema in any case"),
    }),
  }),
]);

/** Fields that say what an answer must look like; of all of them there is one at most. */
export const structuredFields = {
  response_format: responseFormat.nullish(),
  structured_outputs: z.looseObject({
    json: schemaOrText.nullish(),
    regex: z.string().nullish(),
    choice: z.array(z.string()).nullish(),
    grammar: z.string().nullish(),
    json_object: z.boolean().nullish(),
  }).nullish().describe("as vLLM has it"),
  guided_json: schemaOrText.nullish().describe("an older name of structured_outputs.json"),
  guided_regex: z.string().nullish(),
  guided_choice: z.array(z.string()).nullish(),
  guided_grammar: z.string().nullish(),
  json_schema: schema.nullish().describe("as llama-server has it"),
  grammar: z.string().nullish().describe("GBNF, as llama-server has it"),
} as const;

/** The fields as they come out of a request. */
export type StructuredFields = z.output<z.ZodObject<typeof structuredFields>>;
