import { z } from "zod";
import { fileDigests, scriptExample } from "./script/digests.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  file: z.string().min(1).describe(
    "A TypeScript file whose default export gives figures by name; what it imports by relative paths counts as well.",
  ),
  params: z.record(z.string(), z.unknown()).default({}).describe("What the script is told."),
});

const declaration = declareStage({
  about: "Measures by a TypeScript file; its figures are scores, its digest is in the key.",
  version: 1,
  params,
  inputs: { models: "model[]?", stats: "stats?", tokens: "tokens?", reports: "report[]?" },
  output: "report",
  example: { file: scriptExample("weight_kurtosis.ts") },
  places: ["file"],
  fingerprint: ({ file }, files) => fileDigests(file, files),
});

/** What `script_report` declares, for its work. */
export type ScriptReportDeclaration = typeof declaration;

/** Measures what a TypeScript file of the user's says. */
export const script_report = withWork(
  declaration,
  async () => (await import("./work/script_report.ts")).scriptReportWork,
);
