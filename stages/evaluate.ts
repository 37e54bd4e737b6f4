import { z } from "zod";
import { firstTokenPlace } from "./models/text_windows.ts";
import { beyondPositions } from "./models/positions.ts";
import { taskChoices } from "./tasks/task_choice.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  context: z.int().min(2).default(512).describe("Tokens a window."),
  windows: z.union([
    z.int().positive(),
    z.literal("all"),
    z.strictObject({ first: z.int().nonnegative(), count: z.int().positive() })
      .transform(({ first, count }) => first === 0 ? count : { first, count }),
  ]).default("all").describe(
    "Windows to score from the start of the text, or how many to leave out first and how many to score.",
  ),
  bos: firstTokenPlace,
  beyond_positions: beyondPositions,
  keep_hidden: z.boolean().default(false).describe(
    "Keep the inputs of the head, so that other models can be compared with this one.",
  ),
  tasks: taskChoices,
});

const declaration = declareStage({
  about:
    "Perplexity of a model on tokens by the protocol of GPTQ's evaluation, its divergence from a baseline, and scores of tasks as lm-eval has them.",
  version: 3,
  params,
  inputs: { model: "model", tokens: "tokens", baseline: "report?", baseline_model: "model?" },
  output: "report",
  example: { context: 64, windows: 2 },
  places: ["tasks"],
  async fingerprint({ tasks }, files) {
    if (!tasks) return undefined;
    const { tasksFingerprint } = await import("./tasks/prepare_tasks.ts");
    return await tasksFingerprint(tasks, (path) => files.digest(path));
  },
});

/** What `evaluate` declares, for its work. */
export type EvaluateDeclaration = typeof declaration;

/** Measures how well a model foresees a text, and what it answers to tasks. */
export const evaluate = withWork(
  declaration,
  async () => (await import("./work/evaluate.ts")).evaluateWork,
);
