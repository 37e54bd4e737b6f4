import { z } from "zod";
import { GREEDY } from "../engine/engine.ts";
import type { Asked } from "./asked.ts";
import { promptShapes } from "./prompt_shapes.ts";
import { readPrompts } from "./prompts.ts";
import { readRequest } from "./read_request.ts";
import type { ReadingRules } from "./reading_rules.ts";
import { checkChoices, checkModel } from "./request_limits.ts";
import { checkRoom, checkRows } from "./generation.ts";

/** The body of `POST /v1/embeddings`. */
export const embeddingsFields = z.looseObject({
  model: z.string().nullish(),
  input: promptShapes,
  encoding_format: z.enum(["float", "base64"]).nullish(),
  pooling: z.enum(["mean", "last"]).nullish().describe("of which tokens; mean unless said"),
  dimensions: z.null("this server gives vectors as they are").nullish(),
  user: z.unknown().optional(),
});

/** Reads the body of `POST /v1/embeddings`. */
export function readEmbeddings(bytes: Uint8Array, rules: ReadingRules): Asked {
  const { tokenizer, options, context } = rules;
  const body = readRequest(bytes, { schema: embeddingsFields, options, long: ["input"] });
  checkModel(rules, body.model);
  const prompts = readPrompts(body.input, {
    tokenizer,
    special: true,
    context,
    maxText: options.maxText,
    field: "input",
    checkCount: (count) => checkChoices(rules, { prompts: count, each: 1, field: "input" }),
  });
  for (const { tokens } of prompts) {
    checkRows(tokens, tokenizer.usable, "input");
    checkRoom(tokens.length, context, { maxTokens: 0, field: "input", prompt: "input" });
  }
  const embed = body.pooling ?? "mean";
  return {
    requests: prompts.map(({ tokens: prompt }) => ({
      generation: { prompt, maxTokens: 0, stopTokens: [], sampling: GREEDY, embed },
      stops: [],
      keepStop: false,
      special: false,
    })),
    each: 1,
    stream: false,
    usage: true,
    logprobs: undefined,
    asIds: false,
    echoed: { encoding_format: body.encoding_format ?? "float" },
  };
}
