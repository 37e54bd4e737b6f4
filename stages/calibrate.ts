import { z } from "zod";
import { beyondPositions } from "./models/positions.ts";
import { firstTokenPlace } from "./models/text_windows.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  windows: z.int().positive().default(128).describe("Samples from the start of the text."),
  context: z.int().min(2).default(512).describe("Tokens a sample."),
  bos: firstTokenPlace,
  beyond_positions: beyondPositions,
  gram: z.boolean().default(true).describe(
    "Sum the Gram matrix of every site, which GPTQ and the range search need.",
  ),
  rows: z.int().nonnegative().default(512).describe(
    "Activations of every site to keep, which smoothing and reordering search over.",
  ),
  attention_windows: z.int().nonnegative().default(2).describe(
    "Samples whose queries, keys and values are kept, which SmoothAttention and KV calibration need.",
  ),
});

const declaration = declareStage({
  about: "Streams samples through a model, a layer at a time, and keeps statistics of every site.",
  version: 1,
  params,
  inputs: { model: "model", tokens: "tokens" },
  output: "stats",
  example: { windows: 2, context: 64, rows: 32, attention_windows: 1 },
});

/** What `calibrate` declares, for its work. */
export type CalibrateDeclaration = typeof declaration;

/** Watches the activations of a model on a text. */
export const calibrate = withWork(
  declaration,
  async () => (await import("./work/calibrate.ts")).calibrateWork,
);
