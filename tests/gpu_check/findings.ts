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
  /** Whether no time is left. */
  late(): boolean;
  /** The seconds that are left. */
  left(): number;
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

/**
 * Makes parts one after another until the time is over, the first ones first, and hands over what was
 * found before each piece of work and after each row, so that nothing is lost where a driver ends the
 * process. What a part that failed has left is put right by `renew`, for those behind it.
 */
export async function makeParts(
  findings: Findings,
  parts: readonly Part[],
  { deadline, keep, renew }: {
    readonly deadline: number;
    keep(findings: Findings): void;
    renew?(): Promise<void>;
  },
): Promise<void> {
  const late = () => performance.now() > deadline;
  const left = () => (deadline - performance.now()) / 1000;
  for (const part of parts) {
    const section: Section = { title: part.title, state: "cut off", seconds: 0, rows: [] };
    findings.sections.push(section);
    if (late()) {
      Object.assign(section, { state: "skipped", reason: "no time was left: --minutes" });
      keep(findings);
      continue;
    }
    const start = performance.now();
    let wrong = 0;
    try {
      await part.run({
        tell(row, fine = true) {
          section.rows.push(row);
          section.seconds = (performance.now() - start) / 1000;
          if (!fine) wrong++;
          keep(findings);
        },
        at(what) {
          section.at = what;
          section.seconds = (performance.now() - start) / 1000;
          keep(findings);
        },
        late,
        left,
      });
      section.state = wrong > 0 ? "wrong" : late() ? "cut off" : "done";
      if (wrong > 0) section.reason = `${wrong} of ${section.rows.length} rows are not as expected`;
    } catch (error) {
      section.state = error instanceof Skipped ? "skipped" : "failed";
      section.reason = (error as Error).message;
      // A device that cannot be had again fails the next part, with its reason.
      if (section.state === "failed") await renew?.().catch(() => {});
    }
    if (section.state === "done" || section.state === "wrong") delete section.at;
    section.seconds = (performance.now() - start) / 1000;
    keep(findings);
  }
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
