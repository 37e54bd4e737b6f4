import { z } from "zod";
import { fileDigests, scriptExample } from "./script/digests.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  file: z.string().min(1).describe(
    "A TypeScript file whose default export gives changes of tensors; what it imports by relative paths counts as well.",
  ),
  params: z.record(z.string(), z.unknown()).default({}).describe("What the script is told."),
});

const declaration = declareStage({
  about: "Changes a model's weights by a TypeScript file; its digest is in the key.",
  version: 1,
  params,
  inputs: { model: "model", stats: "stats?", tokens: "tokens?" },
  output: "model",
  example: { file: scriptExample("clip_weights.ts") },
  places: ["file"],
  fingerprint: ({ file }, files) => fileDigests(file, files),
});

/** What `script` declares, for its work. */
export type ScriptDeclaration = typeof declaration;

/** Changes weights as a TypeScript file of the user's says, so that nobody needs a fork for a method. */
export const script = withWork(
  declaration,
  async () => (await import("./work/script.ts")).scriptWork,
);
