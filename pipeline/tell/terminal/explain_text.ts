import { shown } from "../../plan/difference.ts";
import type { Cause, ExplainedField, Explanation } from "../../plan/explanation.ts";
import { COLORS, painter, type Screen } from "./screen.ts";
import { formatTable } from "./columns.ts";
import { plainText } from "../../words.ts";

/** An explanation as people read it: what and why, the key document, where differences start. */
export function explainText(explanation: Explanation, screen: Screen): string {
  const { name, stage, state, reason, against, fields, causes, key, keyBefore } = explanation;
  const paint = painter(screen);
  const head = `${name} (${stage}): ${paint(state, COLORS[state])}, ${plainText(reason)}`;
  const keys: ExplainedField = {
    field: "key",
    before: keyBefore,
    now: key,
    state: stateOf(keyBefore, key),
    words: "not known yet",
  };
  const rows = against && keyBefore
    ? [keys, ...fields].map((field) => compared(field))
    : [keys, ...fields].map(({ field, now, words }) => ["", field, valueText(now, words)]);
  const columns = against && keyBefore ? ["", "field", "then", "now"] : ["", "field", "now"];
  const [headings, ...lines] = formatTable(columns, rows).split("\n");
  const because = causes.flatMap((cause) => causeLines(cause, ""));
  return [
    head,
    against
      ? `Compared with run ${against.id} (${against.state})${
        keyBefore ? "" : ", in which it was not begun"
      }`
      : "No run is known in which it had an artifact",
    "",
    paint(headings ?? "", COLORS.note),
    ...lines,
    ...because.length > 0 ? ["", ...because] : [],
    "",
  ].join("\n");
}

function compared({ field, before, now, state, words }: ExplainedField): string[] {
  const mark = { same: "", changed: "≠", unknown: "?" }[state];
  const files = state === "changed" ? /^input .* changed: (\d+ of .*)$/.exec(words ?? "")?.[1] : "";
  const here = state === "unknown" && now === undefined ? words ?? "unknown" : valueText(now);
  return [mark, field, valueText(before), files ? `${here}: ${files}` : here];
}

function valueText(value: unknown, words = ""): string {
  return value === undefined ? words : plainText(shown(value));
}

function stateOf(before: string | undefined, now: string | undefined): ExplainedField["state"] {
  return now === undefined ? "unknown" : now === before ? "same" : "changed";
}

function causeLines({ step, words, causes }: Cause, indent: string): string[] {
  return [
    `${indent}because "${step}" ${plainText(words)}`,
    ...causes.flatMap((cause) => causeLines(cause, `${indent}  `)),
  ];
}
