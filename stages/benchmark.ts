import { z } from "zod";
import { PRECISIONS } from "./benchmark/precisions.ts";
import { SHAPES } from "./benchmark/shapes.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  title: z.string().default("Throughput").describe("Heading of the report."),
  labels: z.array(z.string().min(1)).optional().describe(
    "Names of the models in their order; their schemes unless said.",
  ),
  prompt: z.int().positive().default(1024).describe("Random tokens of each prompt."),
  output: z.int().min(2).default(512).describe("Tokens to generate; none ends an answer."),
  batch: z.union([z.literal("auto"), z.array(z.int().positive()).min(1)]).default("auto").describe(
    "Sequences at once: powers of 4 and the most that fit, or a list of which those run that fit.",
  ),
  most: z.int().positive().default(256).describe("Most sequences that auto tries."),
  memory: z.int().positive().optional().describe(
    "Bytes for weights, a step and KV pages, the same for every model; those of --memory unless said.",
  ),
  warm_up: z.int().nonnegative().default(2).describe("Rounds that are not counted."),
  rounds: z.int().positive().default(1).describe("Rounds that are; the median tells."),
  seed: z.int().nonnegative().default(0).describe("Decides prompts and random weights."),
  shape: z.enum(Object.keys(SHAPES) as (keyof typeof SHAPES)[]).optional().describe(
    "Instead of models: their sizes, with random weights that go when they are measured.",
  ),
  precisions: z.array(z.enum(Object.keys(PRECISIONS) as (keyof typeof PRECISIONS)[])).min(1)
    .default(["f16", "w8a8kv8", "w4a16", "w4a8kv4"]).describe("Precisions of the shape."),
  plot: z.boolean().default(true).describe("Draw a plot."),
});

const declaration = declareStage({
  about:
    "Throughput of models in the engine that serves them, in the same memory, as QServe's paper measures it.",
  version: 1,
  params,
  inputs: { models: "model[]?" },
  output: "report",
  labels: { labels: "models" },
  example: { prompt: 8, output: 4, batch: [1, 2], warm_up: 0 },
});

/** What `benchmark` declares, for its work. */
export type BenchmarkDeclaration = typeof declaration;

/** Measures how fast models generate. */
export const benchmark = withWork(
  declaration,
  async () => (await import("./work/benchmark.ts")).benchmarkWork,
);
