import type { Task } from "./find_tasks.ts";
import { openFewShot } from "./few_shot.ts";
import { checkNeeds } from "./item_needs.ts";
import { ItemLayout, type ItemTexts } from "./item_texts.ts";
import { rowFiles, taskRows } from "./task_rows.ts";
import type { TextPair } from "./token_requests.ts";

/** One question of a task. */
export interface TaskItem extends ItemTexts {
  readonly index: number;
  /** Where its row is. */
  readonly at: string;
  /** What is scored, or generated behind. */
  readonly pairs: readonly TextPair[];
  /** Classes that an answer may name, where the row says them. */
  readonly classes: readonly string[];
}

/** Reads the questions of a task; throws a `TypeError` with row and field for what does not fit. */
export async function readItems(task: Task, signal?: AbortSignal): Promise<readonly TaskItem[]> {
  const { name, file, variables, limit = Infinity } = task;
  const layout = new ItemLayout(name, file, variables);
  const examples = await openFewShot(task, layout, signal);
  const items: TaskItem[] = [];
  for await (const row of taskRows(task.rows(file.data.split), signal)) {
    if (items.length >= limit) break;
    signal?.throwIfAborted();
    const texts = layout.texts(row);
    const before = layout.description + examples.before(row);
    const classes = row.fields.all_classes;
    const item = {
      ...texts,
      index: items.length,
      at: row.at,
      pairs: pairsOf(task, texts, before),
      classes: Array.isArray(classes) ? classes.map(String) : [],
    };
    checkNeeds(file, item);
    items.push(item);
  }
  if (items.length > 0) return items;
  throw new TypeError(
    `Cannot run task "${name}": split ${file.data.split} of "${
      task.rows(file.data.split).place
    }" has no rows, expected at least one`,
  );
}

/** What stands for the questions of a task in a key: their files' digests, by split. */
export async function taskSources(task: Task): Promise<readonly string[]> {
  const { data, few_shot: { split = data.split } } = task.file;
  const splits = task.shots > 0 ? new Set([data.split, split]) : new Set([data.split]);
  const files: string[] = [];
  for (const each of splits) files.push(...await rowFiles(task.rows(each)));
  return files;
}

function pairsOf({ file }: Task, texts: ItemTexts, before: string): readonly TextPair[] {
  const { contexts, choices, target } = texts;
  const [first = ""] = contexts;
  const delimiter = file.target_delimiter;
  switch (file.output_type) {
    case "multiple_choice":
      return contexts.length > 1
        ? contexts.map((context) => ({
          context: before + context,
          continuation: delimiter + choices[0],
        }))
        : choices.map((choice) => ({ context: before + first, continuation: delimiter + choice }));
    case "loglikelihood":
      return [{ context: before + first, continuation: target }];
    case "loglikelihood_rolling":
      return [{ context: "", continuation: target }];
    case "generate_until":
      return [{ context: before + first, continuation: "" }];
  }
}
