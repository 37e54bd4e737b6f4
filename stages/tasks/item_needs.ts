import { paragraphOf } from "./metrics/right_numbers.ts";
import type { TaskFile } from "./task_file.ts";

/** What metrics look at of an item, and where its row is. */
interface Needed {
  readonly at: string;
  readonly target: string;
  readonly answers: readonly string[];
  readonly classes: readonly string[];
}

/** Throws a `TypeError` with its place for an item without what the metrics of its task look at. */
export function checkNeeds({ output_type: kind, metrics }: TaskFile, item: Needed): void {
  const problem = kind === "loglikelihood" && item.target === ""
    ? "doc_to_target gives nothing, expected what is to be continued with"
    : kind === "generate_until" && item.answers.length === 0
    ? "there are no answers, expected at least one that is right"
    : metrics.includes("classification") && item.classes.length === 0
    ? "all_classes is empty, expected the classes that an answer may name"
    : metrics.includes("retrieval")
    ? noParagraph(item.answers)
    : undefined;
  if (problem !== undefined) throw new TypeError(`Cannot use ${item.at}: ${problem}`);
}

function noParagraph(answers: readonly string[]): string | undefined {
  const wrong = answers.find((answer) => paragraphOf(answer) === undefined);
  return wrong === undefined
    ? undefined
    : `the answer "${wrong.slice(0, 60)}" names no paragraph, expected such as Paragraph 7`;
}
