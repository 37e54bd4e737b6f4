import { z } from "zod";

const ids = { type: "array", items: { type: "integer", minimum: 0 }, minItems: 1 };

/** A field that is read elsewhere; `/openapi.json` tells what it is. */
const readElsewhere = (description: string, schema: object) =>
  z.custom<unknown>((value) => value !== undefined, `there is none, expected ${description}`)
    .meta({ ...schema, description });

/** A list of token ids, which may be long. */
export const tokenIds = readElsewhere("a list of token ids", ids);

/** Any shape of prompt: a union would complain of every token of every shape. */
export const promptShapes = readElsewhere(
  "a text, a list of texts, a list of token ids, or lists of them",
  {
    type: ["string", "array"],
    anyOf: [
      { type: "string" },
      { type: "array", items: { type: "string" }, minItems: 1 },
      ids,
      { type: "array", items: ids, minItems: 1 },
    ],
  },
);
