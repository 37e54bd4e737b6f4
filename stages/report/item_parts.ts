import { estimateScore, scoreForm, type Share } from "./estimates.ts";
import {
  type GroupResult,
  headScore,
  itemsFile,
  shareKey,
  type TaskResult,
  type TaskResults,
} from "./task_result.ts";

/** A score of a task or a group, item by item. */
export interface ItemParts {
  /** What was asked, and what of the answers counts: only equal ones are held against each other. */
  readonly of: string;
  /**
   * A value an item, whose mean is the score: by how much each moves it, as its error is made of (see
   * `estimateScore()`). Of a plain mean these are what the items count; undefined where the report has
   * no items.
   */
  values(): Promise<readonly number[] | undefined>;
}

/** The items behind a score that stands for a task or a group; items are read when they are asked for. */
export function itemParts(
  directory: string,
  { tasks, groups }: TaskResults,
  name: string,
): ItemParts {
  const group = groups.find((one) => one.group === name);
  const members = tasks.filter(({ task, groups }) => group ? groups.includes(name) : task === name);
  const asked = members.map((task) => `${task.digest} ${shareKey(headScore(task))}`);
  return {
    of: [group?.mean ?? "items", ...asked].join(" "),
    values: () => valuesOf(directory, members, group?.mean ?? "items"),
  };
}

async function valuesOf(
  directory: string,
  members: readonly TaskResult[],
  mean: GroupResult["mean"],
): Promise<readonly number[] | undefined> {
  const estimates = [];
  for (const member of members) {
    const shares = await sharesOf(directory, member);
    if (shares === undefined) return undefined;
    estimates.push(estimateScore(shares, scoreForm(headScore(member).metric)));
  }
  const items = estimates.reduce((sum, { influences }) => sum + influences.length, 0);
  const shareOf = ({ length }: readonly number[]) =>
    mean === "items" ? length / items : 1 / estimates.length;
  const score = estimates.reduce(
    (sum, { value, influences }) => sum + value * shareOf(influences),
    0,
  );
  return estimates.flatMap(({ influences }) => {
    const weight = shareOf(influences) * items / influences.length;
    return influences.map((influence) => score + weight * influence);
  });
}

/** What each item counts for the score that stands for its task. */
async function sharesOf(
  directory: string,
  result: TaskResult,
): Promise<readonly Share[] | undefined> {
  const key = shareKey(headScore(result));
  const text = await Deno.readTextFile(`${directory}/${itemsFile(result.task)}`)
    .catch(() => undefined);
  const lines = text?.split("\n").filter((line) => line !== "") ?? [];
  if (lines.length !== result.items) return undefined;
  return lines.map((line) => JSON.parse(line).shares[key]);
}
