/** A line and a column of a text, both counted from 1. */
export interface Mark {
  readonly line: number;
  readonly col: number;
}

/** One thing wrong with a manifest. `source` is a file or a `--set` argument, which has no mark. */
export interface Problem {
  readonly source: string;
  readonly mark?: Mark;
  readonly message: string;
}

/** Takes note of a problem; checking goes on, so that all are told at once. */
export type Report = (problem: Problem) => void;

/** Everything wrong with a manifest; the message has a `file:line:col: Cannot …` a line. */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

/** A problem as one line that editors and terminals turn into a link. */
export function formatProblem({ source, mark, message }: Problem): string {
  const place = mark === undefined ? source : `${source}:${mark.line}:${mark.col}`;
  return `${place}: ${message}`;
}

/** Problems in the order of the file, those of the command line last, none twice. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const lineOf = ({ mark }: Problem) => mark?.line ?? Infinity;
  const unique = new Map(problems.map((problem) => [formatProblem(problem), problem]));
  return [...unique.values()].sort((a, b) =>
    lineOf(a) === lineOf(b) ? (a.mark?.col ?? 0) - (b.mark?.col ?? 0) : lineOf(a) - lineOf(b)
  );
}
