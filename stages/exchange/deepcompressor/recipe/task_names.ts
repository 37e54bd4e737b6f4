import type { DeepCompressorRecipe } from "./read_recipe.ts";

/** What a recipe's `eval` section asks beside perplexity, as `evaluate` takes it, and what is told of it. */
export interface AskedTasks {
  readonly value: string;
  readonly comment?: string;
}

/** Names of groups as they are here. */
const GROUPS: Readonly<Record<string, string>> = { "zero-shot": "zero_shot" };
/** LongBench's tasks that are scored by Chinese words. */
const CHINESE = ["multifieldqa_zh", "dureader", "vcsum", "lsht", "passage_retrieval_zh"];
/** Those in English. */
const ENGLISH = [
  ..."narrativeqa qasper multifieldqa_en hotpotqa 2wikimqa musique gov_report qmsum multi_news trec"
    .split(" "),
  ..."triviaqa samsum passage_count passage_retrieval_en lcc repobench-p".split(" "),
];

/**
 * The tasks of the recipe's evaluators: lm_eval takes all, longbench its own. Perplexity on texts is
 * the evaluate steps' own, whatever the recipe calls it.
 */
export function tasksOf(
  { evaluation: { tasks, evaluators, shots, length } }: Pick<DeepCompressorRecipe, "evaluation">,
): AskedTasks {
  const names = [...new Set(tasks.map((name) => name.toLowerCase()))].sort();
  const plain = evaluators.includes("lm_eval")
    ? names.filter((name) => !isLongBench(name)).map((name) => GROUPS[name] ?? name)
    : [];
  const long = evaluators.includes("longbench")
    ? names.flatMap((name) =>
      name === "longbench" ? ["longbench_en"] : ENGLISH.includes(name) ? [`longbench_${name}`] : []
    )
    : [];
  const left = names.filter((name) => CHINESE.includes(name) || name === "longbench-e");
  const comments = [
    ...left.length > 0 ? [`without counterpart here: ${left.join(", ")}`] : [],
    ...long.includes("longbench_en") ? ["the English tasks of LongBench"] : [],
  ];
  const all = [...plain, ...long];
  if (all.length === 0) return { value: "none", ...told(comments) };
  const most = length > 0 ? [`max_length: ${length}`] : [];
  // Examples are lm_eval's alone.
  const shown = shots === undefined ? most : [`shots: ${shots}`, ...most];
  const of = (task: string, more: readonly string[]) =>
    more.length === 0 ? task : `{ task: ${[task, ...more].join(", ")} }`;
  const listed = [...plain.map((task) => of(task, shown)), ...long.map((task) => of(task, most))];
  const value = listed.every((one, at) => one === all[at])
    ? all.join(",")
    : `[${listed.join(", ")}]`;
  return { value, ...told(comments) };
}

function isLongBench(name: string): boolean {
  return /^longbench/.test(name) || ENGLISH.includes(name) || CHINESE.includes(name);
}

function told(comments: readonly string[]): Pick<AskedTasks, "comment"> {
  return comments.length > 0 ? { comment: comments.join("; ") } : {};
}
