import { itemsFile } from "../report/task_result.ts";
import type { Share } from "../report/estimates.ts";

/** What a model said to the questions of an item. */
export interface ItemAnswer {
  /** Sums of log-likelihoods, one for every continuation. */
  readonly logLikelihoods?: readonly number[];
  /** Whether each continuation is what the model would say. */
  readonly greedy?: readonly boolean[];
  /** What it said, as it was generated. */
  readonly text?: string;
}

/** An item as the report keeps it: what was said, and what it counts for each score. */
export interface ItemResult extends ItemAnswer {
  readonly index: number;
  /** Where its row is. */
  readonly at: string;
  /** The right choice. */
  readonly gold?: number;
  /** The choice of the score that stands for the task, or what was taken for the answer. */
  readonly prediction?: number | string;
  /** Right answers, where they are texts. */
  readonly answers?: readonly string[];
  /** Whether the baseline had it right or wrong where the model has not. */
  readonly flip?: "lost" | "won";
  /** Of items that flipped: what the baseline took, and the end of the question. */
  readonly before?: number | string;
  readonly asked?: string;
  /** By score. */
  readonly shares: Readonly<Record<string, Share>>;
}

/** Writes the items of a task, a line each. */
export async function writeItemResults(
  directory: string,
  task: string,
  items: readonly ItemResult[],
): Promise<void> {
  const lines = items.map((item) => `${JSON.stringify(item)}\n`);
  await Deno.writeTextFile(`${directory}/${itemsFile(task)}`, lines.join(""));
}

/** Reads the items of a task. */
export async function readItemResults(directory: string, task: string): Promise<ItemResult[]> {
  const text = await Deno.readTextFile(`${directory}/${itemsFile(task)}`);
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}
