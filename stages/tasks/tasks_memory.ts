import type { Device } from "../../kernels/device/device.ts";
import { EngineMemory } from "../engine/engine_memory.ts";
import { planMemory } from "../engine/engine_sizes.ts";
import type { ModelFiles } from "../models/family.ts";
import { streamShare } from "../models/memory_shares.ts";
import type { Model } from "../models/model.ts";
import { FOREVER } from "../models/peaks.ts";
import type { Tokenizer } from "../models/tokenizer.ts";
import { scoreTrees } from "./log_likelihoods.ts";
import type { PrefixTree } from "./prefix_tree.ts";
import type { PreparedTask } from "./prepare_tasks.ts";
import { batchRows, requestBatches, streamBytes } from "./score_requests.ts";
import type { TaskItem } from "./task_items.ts";
import { RequestEncoder } from "./token_requests.ts";

/** Items that are made into tokens to see how large batches become: the first ones, and the longest. */
const FIRST_ITEMS = 300;
const LONGEST_ITEMS = 20;
const FIRST_TREES = 200;
/** Bytes of an item in a report beside its texts, and of the summary of a task. */
const ITEM_BYTES = 400;
const TASK_BYTES = 2_000;
/** Characters of a token where no tokenizer can be asked. */
const USUAL_CHARACTERS = 4;

/** What tasks are counted with. */
export interface TasksCount {
  readonly files: ModelFiles;
  readonly tokenizer: Tokenizer | undefined;
  readonly memoryBytes: number;
}

/**
 * Runs tasks on a device that counts, with a model of headers, as they are run behind the windows of an
 * evaluation; gives the bytes that engines for generation would plan.
 */
export async function countTasks(
  device: Device,
  model: Model,
  prepared: readonly PreparedTask[],
  { files, tokenizer, memoryBytes }: TasksCount,
): Promise<number> {
  if (!tokenizer) return 0;
  const { positions, ropes } = model.config;
  let planned = 0;
  const trees: PrefixTree[] = [];
  for (const { task: { file, maxLength = positions }, items } of prepared) {
    const encoder = new RequestEncoder(tokenizer, maxLength);
    if (file.output_type === "generate_until") {
      const prompt = longest(items).reduce(
        (most, { pairs }) => Math.max(most, encoder.encode(pairs[0]!.context).length),
        1,
      );
      const context = Math.min(maxLength, prompt + file.generation.max_tokens);
      const memory = new EngineMemory(device.limits, files);
      const plan = await planMemory(memory, { memoryBytes, wishes: { context } });
      planned = Math.max(planned, plan.weightBytes + plan.workspaceBytes + plan.kvBytes);
      continue;
    }
    const rolling = file.output_type === "loglikelihood_rolling";
    const some = items.length <= FIRST_ITEMS
      ? items
      : [...items.slice(0, FIRST_ITEMS), ...longest(items)];
    const requests = some.flatMap(({ pairs }) =>
      rolling ? encoder.rolling(pairs[0]!.continuation) : pairs.map((pair) => encoder.pair(pair))
    );
    const rows = batchRows(device);
    for (const { tree } of requestBatches(requests, { rows, ropes })) trees.push(tree);
  }
  // Free buffers of every size that batches have had stay, so that several are run, in their order.
  const run = [...trees.slice(0, FIRST_TREES), ...largestOf(trees.slice(FIRST_TREES))];
  const share = model.resident ? 0 : streamShare(memoryBytes);
  for (const group of groupsWithin(run, share, model.config.hidden)) {
    for await (const _ of scoreTrees(device, model, group, { signal: FOREVER }));
  }
  return planned;
}

/** Bytes of the texts of tasks, and of what is kept of them. */
export function tasksBytes(
  prepared: readonly PreparedTask[],
): { readonly texts: number; readonly disk: number } {
  const disk = prepared.reduce((sum, { items, task: { file } }) => {
    const text = file.output_type === "generate_until"
      ? USUAL_CHARACTERS * file.generation.max_tokens
      : 0;
    return sum + TASK_BYTES + items.reduce(
      (sum, { answers, pairs }) =>
        sum + ITEM_BYTES + text + 30 * pairs.length + answers.join("").length,
      0,
    );
  }, 0);
  const texts = prepared.reduce(
    (sum, { items }) => items.reduce((sum, { pairs }) => sum + sizeOf(pairs), sum),
    0,
  );
  return { texts, disk };
}

/** Trees that go through a layer together: as many as fit into so many bytes, at least one. */
function* groupsWithin(
  trees: readonly PrefixTree[],
  bytes: number,
  hidden: number,
): Generator<readonly PrefixTree[]> {
  let group: PrefixTree[] = [];
  let held = 0;
  for (const tree of trees) {
    const own = streamBytes(tree, hidden);
    if (group.length > 0 && held + own > bytes) {
      yield group;
      group = [];
      held = 0;
    }
    group.push(tree);
    held += own;
  }
  if (group.length > 0) yield group;
}

function longest(items: readonly TaskItem[]): readonly TaskItem[] {
  return items.toSorted((a, b) => sizeOf(b.pairs) - sizeOf(a.pairs)).slice(0, LONGEST_ITEMS);
}

function sizeOf(pairs: TaskItem["pairs"]): number {
  const own = pairs.reduce((sum, { continuation }) => sum + continuation.length, 0);
  return own + (pairs[0]?.context.length ?? 0);
}

/** The trees of most rows, of most runs and of most that is scored: no other takes more. */
function largestOf(trees: readonly PrefixTree[]): readonly PrefixTree[] {
  const most = (of: (tree: PrefixTree) => number) =>
    trees.toSorted((a, b) => of(b) - of(a)).slice(0, 3);
  return [
    ...new Set([
      ...most(({ ids }) => ids.length),
      ...most(({ runs }) => runs.length),
      ...most(({ runs }) => runs.reduce((sum, { path }) => sum + path.length, 0)),
      ...most(({ targets }) => targets.length),
    ]),
  ];
}
