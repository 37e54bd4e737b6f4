import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RowTemplate } from "../jinja/row_template.ts";
import { parseTaskFile, type TaskFile, type TaskGroup } from "./task_file.ts";
import type { RowsPlace } from "./task_rows.ts";
import type { TaskChoice } from "./task_choice.ts";

const FOLDER = fileURLToPath(new URL("../../configs/tasks", import.meta.url));

/** lm-eval's seed of examples. */
const SEED = 1234;

/** A task as it is to be run. */
export interface Task {
  readonly name: string;
  /** Groups that it counts to, as they were asked for. */
  readonly groups: readonly GroupMembership[];
  readonly file: TaskFile;
  /** Values of its variable, beside the fields of rows. */
  readonly variables: Readonly<Record<string, string>>;
  readonly shots: number;
  readonly limit: number | undefined;
  readonly seed: number;
  readonly maxLength: number | undefined;
  /** Where rows of a split are. */
  rows(split: string): RowsPlace;
}

/** A group, and over what its score is a mean. */
export interface GroupMembership {
  readonly name: string;
  readonly mean: "items" | "tasks";
}

/**
 * The tasks that are asked for, groups and variants one by one, each once.
 *
 * Throws a `TypeError` for a name that nothing has, and for a file that is no task.
 */
export async function findTasks(choices: readonly TaskChoice[]): Promise<readonly Task[]> {
  const tasks = new Map<string, Task>();
  for (const choice of choices) {
    for (const task of await tasksOf(choice, { base: ".", groups: [], trail: [] })) {
      const known = tasks.get(task.name);
      if (!known) tasks.set(task.name, task);
      else {
        const groups = [...known.groups, ...task.groups];
        const names = new Map(groups.map((group) => [group.name, group]));
        tasks.set(task.name, { ...known, groups: [...names.values()] });
      }
    }
  }
  return [...tasks.values()];
}

interface Around {
  readonly base: string;
  readonly groups: readonly GroupMembership[];
  /** Groups within groups, so that none holds itself. */
  readonly trail: readonly string[];
}

async function tasksOf(choice: TaskChoice, around: Around): Promise<readonly Task[]> {
  const { task: name } = choice;
  if (around.trail.includes(name)) {
    throw new TypeError(`Cannot use group "${name}": it holds itself, expected tasks`);
  }
  const own = /\.ya?ml$/.test(name);
  const path = own
    ? (isAbsolute(name) ? name : join(around.base, name))
    : join(FOLDER, `${name}.yaml`);
  const text = await Deno.readTextFile(path).catch(() => undefined);
  if (text === undefined) return await variantOf(choice, around);
  const file = parseTaskFile(text, path);
  const short = own ? path.split(/[\\/]/).at(-1)!.replace(/\.ya?ml$/, "") : name;
  if ("tasks" in file) {
    return await groupOf(file, { short, choice, path, around });
  }
  return variantsOf(file, { short, choice, path, groups: around.groups });
}

async function groupOf(
  { tasks: names, mean }: TaskGroup,
  { short, choice, path, around }: {
    readonly short: string;
    readonly choice: TaskChoice;
    readonly path: string;
    readonly around: Around;
  },
): Promise<readonly Task[]> {
  const groups = mean === "none" ? around.groups : [...around.groups, { name: short, mean }];
  const inner = { base: dirname(path), groups, trail: [...around.trail, choice.task] };
  const found: Task[] = [];
  for (const task of names) found.push(...await tasksOf({ ...choice, task }, inner));
  return found;
}

/** A task that is one value of another's variable, or one of its groups of values. */
async function variantOf(choice: TaskChoice, { groups }: Around): Promise<readonly Task[]> {
  const names = (await Array.fromAsync(Deno.readDir(FOLDER), ({ name }) => name))
    .filter((name) => name.endsWith(".yaml")).map((name) => name.slice(0, -".yaml".length));
  const { task: wanted } = choice;
  for (const name of names.filter((name) => wanted.startsWith(`${name}_`))) {
    const path = join(FOLDER, `${name}.yaml`);
    const file = parseTaskFile(await Deno.readTextFile(path), path);
    if ("tasks" in file) continue;
    const all = variantsOf(file, { short: name, choice, path, groups });
    const one = all.filter((task) => task.name === wanted);
    if (one.length > 0) return one.map((task) => ({ ...task, groups }));
    const some = all.filter((task) => task.groups.some((group) => group.name === wanted));
    if (some.length > 0) {
      const group = { name: wanted, mean: "items" as const };
      return some.map((task) => ({ ...task, groups: [...groups, group] }));
    }
  }
  throw new TypeError(
    `Cannot find task "${wanted}": there is no such file, expected a file that ends in .yaml or one of ${
      names.toSorted().join(", ")
    }`,
  );
}

function variantsOf(
  file: TaskFile,
  { short, choice, path, groups }: {
    readonly short: string;
    readonly choice: TaskChoice;
    readonly path: string;
    readonly groups: readonly GroupMembership[];
  },
): readonly Task[] {
  const make = (
    name: string,
    variables: Task["variables"],
    groups: readonly GroupMembership[],
  ): Task => ({
    name,
    groups,
    file,
    variables,
    shots: choice.shots ?? file.few_shot.shots,
    limit: choice.limit,
    seed: choice.seed ?? SEED,
    maxLength: choice.max_length,
    rows: placing({ file, data: choice.data, variables, path }),
  });
  if (!file.variants) return [make(short, {}, groups)];
  return Object.entries(file.variants).flatMap(([variable, byGroup]) =>
    Object.entries(byGroup).flatMap(([group, values]) =>
      values.map((value) =>
        make(`${short}_${value}`, { [variable]: value }, [
          ...groups,
          { name: short, mean: "items" },
          { name: `${short}_${group}`, mean: "items" },
        ])
      )
    )
  );
}

function placing(
  { file: { data: own }, data, variables, path }: {
    readonly file: TaskFile;
    readonly data: TaskChoice["data"];
    readonly variables: Task["variables"];
    readonly path: string;
  },
): Task["rows"] {
  const config = new RowTemplate(own.config).text(variables);
  return (split) => {
    // What is said beside a task is beside whoever says it, what a task says is beside its file.
    const given = typeof data === "object" ? data[split] : data;
    return given === undefined
      ? { place: own.place, config, split, base: dirname(path) }
      : { place: given, config, split, base: "." };
  };
}
