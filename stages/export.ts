import { z } from "zod";
import { FORMAT_LOADERS } from "./exchange/mod.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  format: z.enum(Object.keys(FORMAT_LOADERS)).describe("How the model is laid out."),
  dtype: z.enum(["float16", "bfloat16", "float32"]).default("float16").describe(
    "Element type of what stays in floating point.",
  ),
  type: z.enum(["F16", "Q8_0", "Q4_0", "Q4_1"]).optional().describe(
    "For gguf: the type of the linears' weights; what holds their codes exactly unless said.",
  ),
  ignore: z.array(z.enum(["activations", "kv"])).default([]).describe(
    "Precision to give up where the format has no place for it: the engine then uses its own.",
  ),
  shard_bytes: z.number().positive().default(5e9).describe("Most bytes of a file of weights."),
});

const declaration = declareStage({
  about: "Writes a model in another program's format, reads it back and compares every value.",
  version: 3,
  params,
  inputs: { model: "model", stats: "stats?", reports: "report[]?" },
  output: "export",
  example: { format: "huggingface" },
});

/** What `export` declares, for its work. */
export type ExportDeclaration = typeof declaration;

/** Writes a model as other programs read it, and reads it back. */
export const exportModel = withWork(
  declaration,
  async () => (await import("./work/export.ts")).exportWork,
);
