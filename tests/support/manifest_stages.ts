import { ok } from "node:assert/strict";
import { z } from "zod";
import { ManifestError } from "../../pipeline/manifest/problem.ts";
import type { AnyStage, Registry } from "../../pipeline/stage.ts";

/** The lines in which reading a manifest is refused; none where it is read. */
export function problemLines(read: () => unknown): string[] {
  try {
    read();
  } catch (error) {
    ok(error instanceof ManifestError, `expected a ManifestError, got ${error}`);
    return error.message.split("\n");
  }
  return [];
}

/** Stages with parameters of every form; they do nothing. */
export const stages: Registry = {
  load: stage({ output: "model", params: z.strictObject({ path: z.string() }) }),
  tokenize: stage({
    output: "tokens",
    inputs: { model: "model" },
    params: z.strictObject({
      text: z.string(),
      context: z.int().min(2).default(512),
      windows: z.union([z.int().min(1), z.literal("all")]).default("all"),
    }),
  }),
  quantize: stage({
    output: "model",
    inputs: { model: "model", stats: "stats?" },
    params: z.strictObject({
      bits: z.literal([2, 3, 4, 8]),
      group: z.int().optional(),
      skips: z.array(z.string()).default([]),
      scheme: z.strictObject({
        symmetric: z.boolean(),
        alpha: z.number().min(0).max(1).default(0.5),
      }).optional(),
    }),
  }),
  evaluate: stage({ output: "report", inputs: { model: "model", tokens: "tokens" } }),
  compare: stage({
    output: "report",
    inputs: { reports: "report[]" },
    labels: { labels: "reports" },
    params: z.strictObject({
      title: z.string().default("All"),
      labels: z.array(z.string()).optional(),
    }),
  }),
};

function stage(facts: Pick<AnyStage, "output"> & Partial<AnyStage>): AnyStage {
  return {
    about: "Does something.",
    version: 1,
    params: z.strictObject({}),
    inputs: {},
    example: {},
    run: () => Promise.resolve(),
    ...facts,
  };
}
