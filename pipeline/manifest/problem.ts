/** A line and a column of a text, both counted from 1. */
export interface Mark {
  readonly line: number;
  readonly col: number;
}

/** Where something was written: in a file, or in a `--set` argument, which has no mark. */
export interface Place {
  readonly source: string;
  readonly mark?: Mark;
}

/** One thing wrong with a manifest, and where. */
export interface Problem extends Place {
  readonly message: string;
}

/** Takes note of a problem at a place; checking goes on, so that all are told at once. */
export type Report = (place: Place, message: string) => void;

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
  // Names and settings may hold whatever the user typed.
  // deno-lint-ignore no-control-regex -- control characters are what is taken out
  return `${place}: ${message}`.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
}

/** Problems in the order of the files, those of the command line last, none twice. */
export function sortProblems(problems: readonly Problem[], files: readonly string[]): Problem[] {
  const rank = ({ source, mark }: Problem) => [
    files.includes(source) ? files.indexOf(source) : files.length,
    mark?.line ?? 0,
    mark?.col ?? 0,
  ];
  const unique = new Map(problems.map((problem) => [formatProblem(problem), problem]));
  const ranked = [...unique.values()].map((problem) => ({ problem, ranks: rank(problem) }));
  return ranked.sort((a, b) => compare(a.ranks, b.ranks)).map(({ problem }) => problem);
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((rank, i) => rank !== b[i]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}
