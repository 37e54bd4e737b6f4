import { z } from "zod";

const NAME = /^[\w.-]{1,64}$/;

const tool = z.looseObject({
  type: z.literal("function", "this server has functions only"),
  function: z.looseObject({
    name: z.string().regex(NAME, "expected letters, digits, _, . or -, 64 at most"),
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish().describe("a JSON Schema"),
    strict: z.boolean().nullish().describe(
      "required and named calls are held to their parameters in any case, others never",
    ),
  }),
});

const named = z.looseObject({
  type: z.literal("function"),
  function: z.looseObject({ name: z.string() }),
});

/** Fields of a request that let the model call functions. */
export const toolFields = {
  tools: z.array(tool).max(128).nullish(),
  tool_choice: z.union(
    [z.enum(["none", "auto", "required"]), named],
    'expected "none", "auto", "required", or a function by its name',
  ).nullish().describe("auto unless said"),
  parallel_tool_calls: z.boolean().nullish().describe("whether there may be several calls at once"),
} as const;

/** What an assistant's message has of calls; a tool's message says which it answers. */
export const callFields = {
  tool_calls: z.array(z.looseObject({
    id: z.string().nullish(),
    function: z.looseObject({
      name: z.string(),
      arguments: z.union([z.string(), z.record(z.string(), z.unknown())]).nullish(),
    }),
  })).nullish(),
  tool_call_id: z.string().nullish(),
} as const;

/** A function that the model may call. */
export type Tool = z.output<typeof tool>;

/** The fields as they come out of a request. */
export type ToolFields = z.output<z.ZodObject<typeof toolFields>>;
