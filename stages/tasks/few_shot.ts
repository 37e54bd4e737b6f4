import { PythonRandom } from "./mersenne_twister.ts";
import type { Task } from "./find_tasks.ts";
import type { ItemLayout, ItemTexts } from "./item_texts.ts";
import { type TaskRow, taskRows } from "./task_rows.ts";

/** Gives the examples before each question, which are drawn in order. */
export interface FewShot {
  /** What stands before the question of a row; to be asked row after row. */
  before(row: TaskRow): string;
}

/**
 * Reads the examples of a task and draws them as lm-eval 0.4.13 does (`api/samplers.py`): Python's
 * `Random(seed).sample` anew for every row, one more where a row may be an example of itself.
 *
 * Throws a `RangeError` where there are fewer examples than shots.
 */
export async function openFewShot(
  { name, file: { few_shot: fewShot, data, target_delimiter: delimiter }, ...task }: Task,
  layout: ItemLayout,
  signal?: AbortSignal,
): Promise<FewShot> {
  const { shots, seed } = task;
  if (shots === 0) return { before: () => "" };
  const split = fewShot.split ?? data.split;
  // Where rows may be examples of themselves, one more is drawn than shown.
  const own = split === data.split || fewShot.spare;
  const rows: TaskRow[] = [];
  for await (const row of taskRows(task.rows(split), signal)) rows.push(row);
  const drawn = fewShot.sampler === "random" && own ? shots + 1 : shots;
  if (rows.length < drawn) {
    throw new RangeError(
      `Cannot show ${shots} examples of task "${name}": split ${split} has ${rows.length} rows, expected at least ${drawn}; lower shots`,
    );
  }
  const contents = rows.map(({ fields }) => JSON.stringify(fields));
  const shown = new Map<number, string>();
  const exampleOf = (at: number): string => {
    const text = shown.get(at) ??
      `${questionAndAnswer(layout.texts(rows[at]!), delimiter)}${fewShot.delimiter}`;
    shown.set(at, text);
    return text;
  };
  const random = new PythonRandom(seed);
  return {
    before({ fields }) {
      const content = own ? JSON.stringify(fields) : undefined;
      const others = (places: readonly number[]) => places.filter((at) => contents[at] !== content);
      const all = [...rows.keys()];
      let chosen: readonly number[];
      if (fewShot.sampler === "first_n") {
        chosen = others(all);
      } else {
        chosen = others(random.sample(rows.length, drawn));
        // Rows that come twice leave too few: they are drawn again from the others.
        if (chosen.length < shots) {
          const pool = others(all);
          chosen = random.sample(pool.length, shots).map((at) => pool[at]!);
        }
      }
      return chosen.slice(0, shots).map(exampleOf).join("");
    },
  };
}

function questionAndAnswer(
  { contexts, choices, gold, target, answers }: ItemTexts,
  delimiter: string,
): string {
  const context = contexts.length > 1 ? contexts[gold!]! : contexts[0]!;
  const answer = contexts.length > 1
    ? choices[0]!
    : gold === undefined
    ? answers[0] ?? target
    : choices[gold]!;
  return answer === "" ? context : `${context}${delimiter}${answer}`;
}
