/** One score of a task. */
export interface TaskScore {
  readonly metric: string;
  /** How answers were taken from texts, where there are several ways. */
  readonly filter?: string;
  readonly value: number;
  /** Standard error of the value; absent where one item alone was scored. */
  readonly error?: number;
  readonly higherIsBetter: boolean;
  /** Against the baseline on the same items. */
  readonly paired?: PairedScore;
}

/** How a score differs from the baseline's, item by item. */
export interface PairedScore {
  /** The value less the baseline's. */
  readonly difference: number;
  /** Standard error of the difference. */
  readonly error?: number;
  /** Items that the baseline had right and the model has wrong, and the reverse, where items are right or wrong. */
  readonly lost?: number;
  readonly won?: number;
}

/** What a task found. */
export interface TaskResult {
  readonly task: string;
  readonly about: string;
  readonly groups: readonly string[];
  readonly items: number;
  readonly shots: number;
  /** What was asked: sha256 of all questions with what decides their scores. Results are comparable where it is equal. */
  readonly digest: string;
  /** The first one stands for the task. */
  readonly scores: readonly TaskScore[];
}

/** What the tasks of a group found together. */
export interface GroupResult {
  readonly group: string;
  /** Whether it is the mean over all items, or over tasks. */
  readonly mean: "items" | "tasks";
  readonly tasks: number;
  readonly score: TaskScore;
}

/** All that the tasks of an evaluation found. */
export interface TaskResults {
  readonly tasks: readonly TaskResult[];
  readonly groups: readonly GroupResult[];
}

/** The score that stands for a task. */
export function headScore({ scores }: TaskResult): TaskScore {
  return scores[0]!;
}

/** How a score is called: its metric, and its filter behind it. */
export function scoreName({ metric, filter }: Pick<TaskScore, "metric" | "filter">): string {
  return filter === undefined ? metric : `${metric}, ${filter}`;
}

/** What it is called among the shares of an item. */
export function shareKey({ metric, filter }: Pick<TaskScore, "metric" | "filter">): string {
  return filter === undefined ? metric : `${metric},${filter}`;
}

/** The file of a task's items in a report, a line of JSON each. */
export function itemsFile(task: string): string {
  return `items-${task}.jsonl`;
}
