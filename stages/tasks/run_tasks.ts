import { deserialize, serialize } from "node:v8";
import type { Device } from "../../kernels/device/device.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { architectureOf } from "../models/architecture.ts";
import type { Model } from "../models/model.ts";
import { openCheckpoint } from "../models/open_checkpoint.ts";
import { checkTokenRows } from "../models/token_rows.ts";
import { openTokenizer, type Tokenizer } from "../models/tokenizer.ts";
import type { TaskResult, TaskResults } from "../report/task_result.ts";
import { openServedTokenizer, type ServedTokenizer } from "../serve/served_tokenizer.ts";
import { answerWish } from "./answer_prompts.ts";
import { type AnswerWish, generateAnswers } from "./generate_answers.ts";
import { type ItemAnswer, readItemResults, writeItemResults } from "./item_results.ts";
import type { PreparedTask } from "./prepare_tasks.ts";
import { scoreItem } from "./score_items.ts";
import { type ScoreKeeper, scoreRequests } from "./score_requests.ts";
import { groupResults, summarize, withFlips } from "./summarize.ts";
import type { TaskItem } from "./task_items.ts";
import { RequestEncoder } from "./token_requests.ts";

/** What tasks are run with. */
export interface TasksRun {
  readonly device: Device;
  readonly model: Model;
  /** The model's artifact. */
  readonly path: string;
  /** The report of the baseline, with what its tasks found. */
  readonly baseline: { readonly path: string; readonly tasks: readonly TaskResult[] } | undefined;
  /** Where items are written. */
  readonly out: string;
  readonly memoryBytes: number;
  readonly journal: ScoreKeeper;
  readonly signal: AbortSignal;
  /** Told of tokens, about, of all that go through the model. */
  progress(done: number, total: number, note: string): void;
  /** Told of what to beware of. */
  warn(text: string): void;
  /** Told of each task that is done. */
  scored(result: TaskResult): void;
}

/** About how many tokens an item is. */
function tokensOf({ pairs }: TaskItem, maxTokens: number): number {
  const [first] = pairs;
  const shared = first?.context.length ?? 0;
  const own = pairs.reduce((sum, { continuation }) => sum + continuation.length, 0);
  return Math.ceil((shared + own) / 4) + maxTokens;
}

/** About how many tokens go through a model for all items of tasks. */
export function tasksTokens(prepared: readonly PreparedTask[]): number {
  return prepared.reduce((sum, { task: { file }, items }) => {
    const generated = file.output_type === "generate_until" ? file.generation.max_tokens : 0;
    return items.reduce((sum, item) => sum + tokensOf(item, generated), sum);
  }, 0);
}

/** Throws a `TypeError` unless the baseline's report has what each task is compared with. */
export function checkBaselineTasks(
  prepared: readonly PreparedTask[],
  { tasks }: { readonly tasks: readonly TaskResult[] },
): void {
  for (const { task: { name }, digest } of prepared) {
    const found = tasks.find(({ task }) => task === name);
    if (found?.digest === digest) continue;
    throw new TypeError(
      `Cannot compare task "${name}" with the baseline's report: ${
        found
          ? "it was asked other questions, expected the same"
          : `it has ${tasks.map(({ task }) => task).join(", ") || "no tasks"}, expected ${name}`
      }; give both evaluate steps the same tasks`,
    );
  }
}

/** Asks a model the questions of tasks, scores its answers and keeps them; see {@linkcode TaskResults}. */
export async function runTasks(
  prepared: readonly PreparedTask[],
  run: TasksRun,
): Promise<TaskResults> {
  const { out, baseline } = run;
  const total = tasksTokens(prepared);
  using checkpoint = await openCheckpoint(run.path);
  const tokenizers = tokenizersOf(checkpoint);
  let before = 0;
  const results: TaskResult[] = [];
  for (const one of prepared) {
    const { task: { name } } = one;
    const size = tasksTokens([one]);
    const progress = (items: number) => {
      const { length } = one.items;
      run.progress(
        before + size * items / length,
        total,
        `${name}, ${Math.floor(items)} of ${length}`,
      );
    };
    const answers = await answersOf(one, { ...run, tokenizers, done: progress });
    const items = one.items.map((item, at) => scoreItem(one.task.file, item, answers[at]!));
    const other = baseline && await readItemResults(baseline.path, name);
    await writeItemResults(out, name, withFlips(one, items, other));
    const result = summarize(one, items, other);
    results.push(result);
    run.scored(result);
    before += size;
  }
  return { tasks: results, groups: groupResults(prepared, results) };
}

/** The model's tokenizer, which takes long to open: once for all tasks, as scores and as answers need it. */
interface Tokenizers {
  plain(): Tokenizer;
  served(): ServedTokenizer;
}

function tokenizersOf({ tokenizer: files, files: texts, config }: Checkpoint): Tokenizers {
  if (!files) {
    throw new TypeError(
      "Cannot score tasks: the model has no tokenizer.json, expected one beside its weights",
    );
  }
  let plain: Tokenizer | undefined;
  let served: ServedTokenizer | undefined;
  const rows = () => architectureOf(config).config.vocabulary;
  return {
    plain: () => plain ??= openTokenizer(files),
    served: () => served ??= openServedTokenizer(files, texts, config, rows()),
  };
}

async function answersOf(
  prepared: PreparedTask,
  { tokenizers, ...run }: TasksRun & { readonly tokenizers: Tokenizers; done(items: number): void },
): Promise<readonly ItemAnswer[]> {
  const { task: { file, maxLength = run.model.config.positions } } = prepared;
  if (file.output_type !== "generate_until") {
    const encoder = new RequestEncoder(tokenizers.plain(), maxLength);
    return await likelihoodsOf(prepared, { ...run, encoder });
  }
  const tokenizer = tokenizers.served();
  const encoder = new RequestEncoder(tokenizer, maxLength);
  const wishes = prepared.items.map((item) =>
    told(item, () => answerWish(file, item, { tokenizer, encoder }))
  );
  return await textsOf(prepared, wishes, { ...run, tokenizer });
}

async function likelihoodsOf(
  { task: { name, file }, items }: PreparedTask,
  { encoder, done, device, model, ...run }:
    & TasksRun
    & { readonly encoder: RequestEncoder; done(items: number): void },
): Promise<readonly ItemAnswer[]> {
  const rolling = file.output_type === "loglikelihood_rolling";
  const parts = items.map((item) =>
    told(
      item,
      () =>
        rolling
          ? [encoder.rolling(item.pairs[0]!.continuation)]
          : item.pairs.map((pair) => [encoder.pair(pair)]),
    )
  );
  const requests = parts.flat(2);
  const empty = rolling ? 0 : requests.filter(({ scored }) => scored === 0).length;
  if (empty > 0) {
    run.warn(
      `${empty} continuations of task "${name}" have no tokens of their own: they become one with the context's last, and count as certain, as in lm-eval`,
    );
  }
  checkTokenRows(requests.map(({ ids }) => ids), model.config);
  const scores = await scoreRequests(device, model, requests, {
    ...run,
    name: `task-${name}`,
    progress: (count) => done(items.length * count / Math.max(1, requests.length)),
  });
  let at = 0;
  return parts.map((pairs) => {
    const sums = pairs.map((windows) => windows.map(() => scores[at++]!));
    return {
      logLikelihoods: sums.map((all) =>
        all.reduce((sum, { logLikelihood }) => sum + logLikelihood, 0)
      ),
      greedy: sums.map((all) => all.every(({ greedy }) => greedy)),
    };
  });
}

async function textsOf(
  { task: { name }, items }: PreparedTask,
  wishes: readonly AnswerWish[],
  { journal, done, device, model, ...run }:
    & TasksRun
    & {
      readonly tokenizer: Parameters<typeof generateAnswers>[3]["tokenizer"];
      done(items: number): void;
    },
): Promise<readonly ItemAnswer[]> {
  const answers: ItemAnswer[] = [];
  let count = 0;
  const left: (AnswerWish & { readonly place: number })[] = [];
  const entry = (place: number) => `task-${name}-answer-${place}`;
  for (const place of items.keys()) {
    const known = await journal.read(entry(place));
    if (known) {
      answers[place] = { text: deserialize(known) };
      done(++count);
    } else left.push({ ...wishes[place]!, place });
  }
  if (left.length > 0 && !model.resident) {
    throw new RangeError(
      `Cannot generate answers of task "${name}": the model's weights take ${model.sizes.bytes} bytes of ${run.memoryBytes}, expected all of them to fit on the device; give it more with --memory`,
    );
  }
  await generateAnswers(device, model, left, {
    ...run,
    async take(place, text) {
      await journal.write(entry(place), serialize(text));
      answers[place] = { text };
      done(++count);
    },
  });
  return answers;
}

/** Does something with an item; what is wrong with it is told with its place. */
function told<T>(item: TaskItem, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new RangeError(`${cause.message} (${item.at})`, { cause });
  }
}
