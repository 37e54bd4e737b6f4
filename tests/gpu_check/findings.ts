/** What a row of a table says, by column. */
export type Row = Readonly<Record<string, string | number | boolean>>;

/** A part of a check. */
export interface Section {
  readonly title: string;
  /** `wrong` where something did not agree, `skipped` and `failed` with a reason. */
  state: "done" | "wrong" | "skipped" | "failed" | "cut off";
  reason?: string;
  /** What was at work where it was cut off: what a driver that ends the process was given. */
  at?: string;
  seconds: number;
  readonly rows: Row[];
}

/** All that a check has found so far. */
export interface Findings {
  readonly made: string;
  readonly where: string;
  readonly adapter: Row;
  readonly sections: Section[];
}

/** Notes a row of a section; false where it is what nobody wants. */
export type Tell = (row: Row, fine?: boolean) => void;

/** What a part is made with. */
export interface Making {
  readonly tell: Tell;
  /** Notes what begins, for the case that a driver ends the process in it. */
  at(what: string): void;
  /** Notes what is not made, since no time is left for it. */
  leave(what: string): void;
  /** Whether no time is left. */
  late(): boolean;
  /** The seconds that are left. */
  left(): number;
  /** Ends work when no time is left. */
  signal(): AbortSignal;
}

/** A part of a check that is still to be made. */
export interface Part {
  readonly title: string;
  /** Makes rows until it is done, or until there is no time left. */
  run(making: Making): Promise<void>;
}

/** Thrown by a part that cannot be made here, with the reason. */
export class Skipped extends Error {
  override readonly name = "Skipped";
}

/** When a check ends, on the clock of `performance.now()`. */
export interface Times {
  /** When nothing more is begun. */
  readonly deadline: number;
  /** When what has not come back is waited for no longer. */
  readonly end: number;
}

/** The share of its time, and the most milliseconds, that a check keeps for what has begun. */
const TAIL = { share: 0.1, most: 20_000 };

/** The times of a check that begins now and takes so many minutes at most. */
export function timesOf(minutes: number): Times {
  const whole = 60_000 * minutes;
  const end = performance.now() + whole;
  return { deadline: end - Math.min(TAIL.most, TAIL.share * whole), end };
}

/** Why a part was not begun, and why one that was has no end. */
const NO_TIME = "no time was left: --minutes";
export const NOT_BACK = "the driver had not come back when the time was over";

/** How many things that were left out a reason names. */
const NAMED = 12;

/**
 * Makes parts one after another until the time is over, the first ones first, and hands over what was
 * found before each piece of work and after each row, so that nothing is lost where a driver ends the
 * process. What a part that failed has left is put right by `renew`, for those behind it. A part that
 * has not come back at the end is left as it is.
 */
export async function makeParts(
  findings: Findings,
  parts: readonly Part[],
  { deadline, end = Infinity, keep, renew }: Partial<Pick<Times, "end">> & {
    readonly deadline: number;
    keep(findings: Findings): void;
    renew?(): Promise<void>;
  },
): Promise<void> {
  const late = () => performance.now() > deadline;
  for (const part of parts) {
    const section: Section = { title: part.title, state: "cut off", seconds: 0, rows: [] };
    findings.sections.push(section);
    if (late()) {
      Object.assign(section, { state: "skipped", reason: NO_TIME });
      keep(findings);
      continue;
    }
    const start = performance.now();
    let [wrong, over] = [0, false];
    const left: string[] = [];
    try {
      await before(
        end,
        () => over = true,
        part.run({
          tell(row, fine = true) {
            if (over) return;
            section.rows.push(row);
            section.seconds = (performance.now() - start) / 1000;
            if (!fine) wrong++;
            keep(findings);
          },
          at(what) {
            if (over) return;
            section.at = what;
            section.seconds = (performance.now() - start) / 1000;
            keep(findings);
          },
          leave: (what) => void left.push(what),
          late,
          left: () => (deadline - performance.now()) / 1000,
          signal: () => AbortSignal.timeout(timerOf(deadline)),
        }),
      );
      const reasons = [
        ...wrong > 0 ? [`${wrong} of ${section.rows.length} rows are not as expected`] : [],
        ...over ? [NOT_BACK] : [],
        ...left.length > 0 ? [`no time was left for ${listed(left)}`] : [],
      ];
      section.state = wrong > 0 ? "wrong" : reasons.length > 0 ? "cut off" : "done";
      if (reasons.length > 0) section.reason = reasons.join("; ");
    } catch (error) {
      section.state = error instanceof Skipped ? "skipped" : "failed";
      section.reason = (error as Error).message;
      // A device that cannot be had again fails the next part, with its reason.
      if (section.state === "failed") await renew?.().catch(() => {});
    }
    if (!over && section.state !== "failed") delete section.at;
    section.seconds = (performance.now() - start) / 1000;
    keep(findings);
  }
}

/** Findings of a check that ends in a part which has not come back, of so many parts. */
export function withoutRest(findings: Findings, titles: readonly string[]): Findings {
  const begun = findings.sections.map((section) =>
    section.state === "cut off" && !section.reason ? { ...section, reason: NOT_BACK } : section
  );
  const rest = titles.slice(begun.length).map((title): Section => (
    { title, state: "skipped", reason: NO_TIME, seconds: 0, rows: [] }
  ));
  return { ...findings, sections: [...begun, ...rest] };
}

/** Waits for work, at most until the end: what has not come back by then may come back unheard. */
async function before(end: number, over: () => void, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ended = new Promise<void>((resolve) => {
    timer = setTimeout(() => resolve(over()), timerOf(end));
  });
  try {
    await Promise.race([work, ended]);
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds from now to a time, as timers take them: whole ones, up to 24 days. */
function timerOf(time: number): number {
  return Math.min(2 ** 31 - 1, Math.max(1, Math.ceil(time - performance.now())));
}

function listed(names: readonly string[]): string {
  const more = names.length - NAMED;
  return more > 0 ? `${names.slice(0, NAMED).join(", ")} and ${more} more` : names.join(", ");
}

/** Whether nothing is wrong in what was looked at. */
export function isFine({ sections }: Findings): boolean {
  return sections.every(({ state }) => state !== "wrong" && state !== "failed");
}

/** The findings as a page of Markdown, to be pasted into an issue. */
export function markdownOf(findings: Findings): string {
  const { made, where, adapter, sections } = findings;
  const lines = [
    `# GPU check: ${adapter.name}`,
    "",
    `${made}, ${where}: ${isFine(findings) ? "nothing is wrong" : "something is wrong"}`,
    "",
    ...tableOf(Object.entries(adapter).map(([what, value]) => ({ what, value }))),
  ];
  for (const { title, state, reason, at, seconds, rows } of sections) {
    lines.push("", `## ${title}: ${state}`, "");
    const said = [`${seconds.toFixed(1)} s`, at && `at ${at}`, reason].filter(Boolean);
    lines.push(said.join("; "), "");
    lines.push(...tableOf(rows));
  }
  return `${lines.join("\n")}\n`;
}

function tableOf(rows: readonly Row[]): string[] {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (columns.length === 0) return [];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const cell = (value: Row[string] | undefined) =>
    value === undefined ? "" : String(value).replaceAll("|", "\\|").replaceAll("\n", " ");
  return [
    line(columns),
    line(columns.map(() => "---")),
    ...rows.map((row) => line(columns.map((column) => cell(row[column])))),
  ];
}
