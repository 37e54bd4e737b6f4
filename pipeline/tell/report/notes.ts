import type { StepReport } from "./gather.ts";
import type { PagePart } from "./part.ts";
import { escapeMarkup } from "../../words.ts";

/** What steps said while their artifacts were made, and what is wrong with them now. */
export function notesPart(steps: readonly StepReport[]): PagePart | undefined {
  const blocks = steps.flatMap((step) => {
    const { name, failure, trouble, description, stored } = step;
    const bad = [
      ...failure ? [failure] : [],
      ...trouble ? [`Its artifact cannot be shown: ${trouble}`] : [],
      ...description?.warnings ?? [],
    ].map((text) => `<li class="warning"><strong>Warning:</strong> ${escapeMarkup(text)}</li>`);
    const notes = (stored?.record.notes ?? []).map(({ text }) => `<li>${escapeMarkup(text)}</li>`);
    const lines = [...bad, ...notes];
    if (lines.length === 0) return [];
    return [
      `<div class="notes"><h3>${escapeMarkup(name)}</h3>\n<ul>\n${lines.join("\n")}\n</ul></div>`,
    ];
  });
  if (blocks.length === 0) return undefined;
  return { id: "notes", title: "Notes and warnings", html: blocks.join("\n") };
}
