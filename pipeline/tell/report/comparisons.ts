import type { StepReport } from "./gather.ts";
import { sectionHtml } from "../html.ts";
import type { PagePart } from "./part.ts";
import { escapeMarkup } from "../../words.ts";

/** What steps drew by themselves, with the tables that belong to it; undefined if there is nothing. */
export function comparisonsPart(steps: readonly StepReport[]): PagePart | undefined {
  const parts = steps.flatMap(({ name, description }) =>
    (description?.sections ?? [])
      .filter(({ pictures = [] }) => pictures.length > 0)
      .map((section) =>
        `<h3>${escapeMarkup(`${section.title} (${name})`)}</h3>\n${sectionHtml(section)}`
      )
  );
  if (parts.length === 0) return undefined;
  return { id: "comparisons", title: "Comparisons", html: parts.join("\n") };
}
