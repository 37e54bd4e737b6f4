import { createHash } from "node:crypto";
import { findTasks, type Task } from "./find_tasks.ts";
import type { TaskChoice } from "./task_choice.ts";
import { readItems, type TaskItem, taskSources } from "./task_items.ts";
import { type RowsPlace, taskRows } from "./task_rows.ts";

/** A task with its questions. */
export interface PreparedTask {
  readonly task: Task;
  readonly items: readonly TaskItem[];
  /** See {@linkcode TaskResult}. */
  readonly digest: string;
}

/** Finds tasks and reads their questions, all of them before any work. */
export async function prepareTasks(
  choices: readonly TaskChoice[],
  signal?: AbortSignal,
): Promise<readonly PreparedTask[]> {
  const prepared: PreparedTask[] = [];
  for (const task of await findTasks(choices)) {
    const items = await readItems(task, signal);
    prepared.push({ task, items, digest: digestOf(task, items) });
  }
  return prepared;
}

/** What decides what tasks ask, beside the model: definitions and digests of rows, never places. */
export async function tasksFingerprint(
  choices: readonly TaskChoice[],
  digest: (path: string) => Promise<string>,
): Promise<unknown> {
  const tasks = await findTasks(choices);
  return await Promise.all(tasks.map(async (task) => {
    const { name, groups, file: { data, ...file }, shots, seed, variables } = task;
    const files = await Promise.all((await taskSources(task)).map((path) => digest(path)));
    const { split } = data;
    const rows = files.length > 0 ? files : [await rowsDigest(task.rows(split))];
    const { limit = null, maxLength = null } = task;
    return { name, groups, file, split, variables, shots, seed, limit, maxLength, rows };
  }));
}

/** The digest of rows that are in no file. */
async function rowsDigest(place: RowsPlace): Promise<string> {
  const hash = createHash("sha256");
  for await (const { fields } of taskRows(place)) hash.update(JSON.stringify(fields));
  return hash.digest("hex");
}

function digestOf({ file, maxLength }: Task, items: readonly TaskItem[]): string {
  const { output_type, metrics, filters, exact_match, generation } = file;
  const hash = createHash("sha256");
  const rules = { output_type, metrics, filters, exact_match, generation, maxLength };
  hash.update(JSON.stringify(rules));
  for (const { pairs, choices, gold, answers, counted, classes } of items) {
    hash.update(JSON.stringify([pairs, choices, gold ?? null, answers, counted, classes]));
  }
  return hash.digest("hex");
}
