import type { StepReport } from "./gather.ts";
import { escape, type PagePart, sectionHtml } from "./html.ts";

/** What steps drew by themselves, with the tables that belong to it; undefined if there is nothing. */
export function comparisonsPart(steps: readonly StepReport[]): PagePart | undefined {
  const parts = steps.flatMap(({ name, description }) =>
    (description?.sections ?? [])
      .filter(({ pictures = [] }) => pictures.length > 0)
      .map((section) => `<h3>${escape(`${section.title} (${name})`)}</h3>\n${sectionHtml(section)}`)
  );
  if (parts.length === 0) return undefined;
  return { id: "comparisons", title: "Comparisons", html: parts.join("\n") };
}
