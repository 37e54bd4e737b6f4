import type { Headline, Table } from "../../description.ts";
import type { Summary, UnmetExpectation } from "../../event.ts";
import { count, formatScores, formatSeconds, shortNumber } from "../../words.ts";
import { foldTable } from "./columns.ts";
import { headlineText } from "./headline_text.ts";
import { COLORS, type Finished, type Paint, shortPath } from "./screen.ts";
import { padText, textWidth } from "./text_width.ts";

/** A command and what it is for. */
export interface Onward {
  readonly about: string;
  readonly command: string;
}

/** How to tell the end of a run. */
export interface SummaryTelling {
  /** Columns of the terminal; 0 for a pipe. */
  readonly columns: number;
  readonly finished: readonly Finished[];
  readonly headlines: readonly Headline[];
  readonly paint: Paint;
  /** Whether a good run is told by its results alone. */
  readonly brief: boolean;
  /** Whether steps are told with the paths of their artifacts. */
  readonly paths: boolean;
  /** The command that goes on after a stop. */
  readonly again: string | undefined;
  /** What one might do next. */
  readonly onward: readonly Onward[];
}

/** How a run ended: its steps in a table, what came out, and a last line. */
export function summaryText(summary: Summary, telling: SummaryTelling): string {
  const { ok, seconds, steps, unmet = [] } = summary;
  const { headlines, paint, brief, columns, again, onward } = telling;
  const ends = endsOf(summary, telling);
  const saved = ends.reduce((sum, one) => sum + one.saved, 0);
  const table = (brief && ok) || beganNothing(summary) ? [] : [stepsText(ends, telling)];
  const bad = steps.filter(({ state }) => state === "failed").map(({ name }) => name);
  const end = ok
    ? paint(`All went well in ${formatSeconds(seconds)}`, COLORS.run)
    : bad.length > 0
    ? paint(`Failed: ${bad.join(", ")}`, COLORS.failed)
    : unmet.length > 0
    ? paint(
      `Failed: ${count(unmet.length, "score is", "scores are")} not as expected`,
      COLORS.failed,
    )
    : paint(`Stopped after ${formatSeconds(seconds)}`, COLORS.stopped);
  const made = steps.filter(({ state }) => state === "run").length;
  const reused = steps.filter(({ state }) => state === "hit").length;
  const numbers = beganNothing(summary)
    ? "nothing was begun"
    : `${count(made, "step")} made, ${reused} reused${
      saved >= WORTH_SECONDS ? `, which saved ${formatSeconds(saved)}` : ""
    }`;
  const goOn = ok || bad.length + unmet.length > 0
    ? ""
    : `What is finished is kept; to go on:\n  ${again ?? "run the same command again"}\n`;
  return [
    ...table,
    ...headlines.map((headline) => headlineText(headline, { columns, paint })),
    ...unmet.length > 0 ? [unmet.map((one) => `${unmetText(one)}\n`).join("")] : [],
    `${end} (${numbers})\n${goOn}${
      onwardText(beganNothing(summary) ? [] : ok ? onward : onward.slice(0, 1))
    }`,
  ].map((part) => `\n${part}`).join("");
}

/** What a score is and should be; its artifact stays. */
function unmetText({ step, score, value, expected }: UnmetExpectation): string {
  const is = value === undefined ? "is not there" : `is ${shortNumber(value, 6)}`;
  return `${step}.${score} ${is}, expected ${expected}; its artifact is kept`;
}

/** Columns below which a table of steps is let run over the end of its lines. */
const NARROW = 40;
/** Saved time that is worth a word, in seconds. */
const WORTH_SECONDS = 1;

/** A step and how it ended. */
interface StepEnd {
  readonly step: Summary["steps"][number];
  readonly end: Finished | undefined;
  /** Seconds that reuse saved. */
  readonly saved: number;
}

function endsOf(
  { steps }: Summary,
  { finished }: Pick<SummaryTelling, "finished">,
): readonly StepEnd[] {
  return steps.map((step) => {
    const end = finished.find((event) => event.step === step.name);
    const saved = end?.type === "reuse" ? Math.max(0, end.seconds - step.seconds) : 0;
    return { step, end, saved };
  });
}

/** Whether a run was refused before it did anything. */
function beganNothing({ ok, steps }: Summary): boolean {
  return !ok &&
    steps.every(({ state, seconds }) =>
      seconds === 0 && (state === "failed" || state === "blocked" || state === "skipped")
    );
}

/** The steps of a run with what is worth a column: no scores where a headline has them. */
function stepsText(
  ends: readonly StepEnd[],
  { columns: width, headlines, paint, paths }: SummaryTelling,
): string {
  const total = ends.reduce((sum, one) => sum + one.saved, 0);
  const scored = !headlines.some(({ tellsScores }) => tellsScores) &&
    ends.some(({ end }) => Object.keys(end?.scores ?? {}).length > 0);
  const number = true;
  const columns = [
    { heading: "step", cell: ({ step }: StepEnd) => step.name },
    { heading: "state", cell: ({ step }: StepEnd) => step.state },
    { heading: "seconds", number, cell: ({ step }: StepEnd) => step.seconds.toFixed(1) },
    ...total < WORTH_SECONDS ? [] : [{
      heading: "saved",
      cell: ({ step, saved }: StepEnd) => step.state === "hit" ? formatSeconds(saved) : "",
    }],
    ...scored
      ? [{ heading: "scores", cell: ({ end }: StepEnd) => formatScores(end?.scores ?? {}) }]
      : [],
    ...paths ? [{ heading: "artifact", cell: ({ end }: StepEnd) => end ? pathText(end) : "" }] : [],
  ];
  const table: Table = { columns, rows: ends.map((end) => columns.map(({ cell }) => cell(end))) };
  const [first = "", ...lines] = foldTable(table, width >= NARROW ? width : Infinity);
  return `${paint(first, COLORS.note)}\n${lines.join("\n")}\n`;
}

/** Twelve letters of the key and a star: short, and a shell still finds it. */
function pathText({ path, key }: Finished): string {
  return `${shortPath(path).slice(0, 12 - key.length)}*`;
}

function onwardText(onward: readonly Onward[]): string {
  const [one, ...more] = onward;
  if (!one) return "";
  if (more.length === 0) return `${one.about}: ${one.command}\n`;
  const width = Math.max(...onward.map(({ about }) => textWidth(about)));
  return `\n${
    onward.map(({ about, command }) => `${padText(about, width)}  ${command}\n`).join("")
  }`;
}
