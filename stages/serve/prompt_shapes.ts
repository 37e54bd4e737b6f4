import { z } from "zod";

const ids = { type: "array", items: { type: "integer", minimum: 0 }, minItems: 1 };

/** A list of token ids, read elsewhere since it may be long; `/openapi.json` tells what it is. */
export const tokenIds = z.unknown().meta({ ...ids, description: "a list of token ids" });

/** Any shape of prompt, read elsewhere: a union would complain of every token of every shape. */
export const promptShapes = z.unknown().meta({
  anyOf: [
    { type: "string" },
    { type: "array", items: { type: "string" }, minItems: 1 },
    ids,
    { type: "array", items: ids, minItems: 1 },
  ],
  description: "a text, a list of texts, a list of token ids, or lists of them",
});
