import { z } from "zod";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  title: z.string().default("Comparison").describe("Heading of the report."),
  labels: z.array(z.string().min(1)).optional().describe(
    "Names of the reports in their order; the models' schemes, in a sweep the steps' names, unless said.",
  ),
  plot: z.boolean().default(true).describe("Draw plots and a page that holds them."),
});

const declaration = declareStage({
  about: "Compares evaluations in one table, with plots of quality against size.",
  version: 6,
  params,
  inputs: { reports: "report[]" },
  output: "report",
  labels: { labels: "reports" },
  example: { title: "Quantized models" },
});

/** What `compare` declares, for its work. */
export type CompareDeclaration = typeof declaration;

/** Puts evaluations of several models side by side. */
export const compare = withWork(
  declaration,
  async () => (await import("./work/compare.ts")).compareWork,
);
