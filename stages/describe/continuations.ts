import type { Headline } from "../../pipeline/description.ts";
import { type Continuations, sharedWords, spacedWords } from "../report/continuations.ts";

/** Continued texts side by side, with how far each goes as that of the first model does. */
export function continuationsPassage({ title, models, texts }: Continuations): Headline {
  return {
    title,
    table: {
      columns: models.map(({ label }) => ({ heading: label })),
      rows: texts.flatMap(({ prompt, answers: [first = "", ...others] }) => [
        [first, ...others].map((answer) => `${prompt}${answer}`),
        ["", ...others.map((answer) => agreeWords(answer, first))],
      ]),
    },
  };
}

/** How far a text goes as another does. */
function agreeWords(text: string, other: string): string {
  const all = spacedWords(text).length;
  const shared = sharedWords(text, other);
  return shared === all ? `(all ${all} words alike)` : `(${shared} of ${all} words alike)`;
}
