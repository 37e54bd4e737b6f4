import type { Substitution } from "./task_file.ts";

/** A text after changes, one after another; `$1` stands for a group of a regular expression. */
export function changedText(text: string, changes: readonly Substitution[]): string {
  return changes.reduce(
    (text, change) =>
      "text" in change
        ? text.replaceAll(change.text, () => change.with)
        : text.replaceAll(expression(change.regex), change.with),
    text,
  );
}

/** A regular expression as task files write it: everywhere, by code points; `(?s)` lets `.` be any. */
export function expression(source: string): RegExp {
  return source.startsWith("(?s)") ? new RegExp(source.slice(4), "gsu") : new RegExp(source, "gu");
}
