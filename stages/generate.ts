import { z } from "zod";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  title: z.string().default("The same text continued").describe("Heading of the report."),
  labels: z.array(z.string().min(1)).optional().describe(
    "Names of the models in their order; their schemes unless said.",
  ),
  prompts: z.array(z.string().min(1)).min(1).default(["Once upon a time"]).describe(
    "Texts to go on from.",
  ),
  tokens: z.int().positive().default(60).describe("Most tokens to write."),
});

const declaration = declareStage({
  about:
    "Continues texts by several models, side by side: the likeliest token each time, in the engine that serves them.",
  version: 2,
  params,
  inputs: { models: "model[]" },
  output: "report",
  labels: { labels: "models" },
  example: { prompts: ["A"], tokens: 4 },
});

/** What `generate` declares, for its work. */
export type GenerateDeclaration = typeof declaration;

/** Lets several models continue the same texts. */
export const generate = withWork(
  declaration,
  async () => (await import("./work/generate.ts")).generateWork,
);
