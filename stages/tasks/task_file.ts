import { parse } from "yaml";
import { z } from "zod";

const template = z.string();
const words = z.string().regex(/\S/).transform((text) => text.trim().split(/\s+/));

/** What stands in the place of something in a text, one after another. */
const substitutions = z.array(z.union([
  z.strictObject({ text: z.string().min(1), with: z.string() }),
  z.strictObject({ regex: z.string().min(1), with: z.string() }),
]));

/** How an answer is taken from what was generated. */
const filter = z.strictObject({
  regex: z.string().min(1),
  take: z.enum(["first", "last"]).default("first"),
});

/** Metrics of each kind; the first one named by a task stands for it. */
const METRICS = {
  multiple_choice: ["acc", "acc_norm", "acc_bytes", "exact_match"],
  loglikelihood: ["acc", "perplexity"],
  loglikelihood_rolling: ["word_perplexity", "byte_perplexity", "bits_per_byte"],
  generate_until: [
    "exact_match",
    "qa_f1",
    "rouge_l",
    "classification",
    "retrieval",
    "count",
    "code_similarity",
  ],
} as const;

const schema = z.strictObject({
  about: z.string().min(1).describe("What the task is and where its protocol is from."),
  output_type: z.enum(Object.keys(METRICS) as (keyof typeof METRICS)[]).describe(
    "What a model is asked: as lm-eval calls it.",
  ),
  data: z.strictObject({
    place: z.string().min(1).describe(
      "hf:datasets/org/name@revision, a directory laid out alike, a file, or generated:name.",
    ),
    config: z.string().default("default").describe("Configuration of the data set."),
    split: z.string().default("test").describe("Split that is scored."),
  }),
  variants: z.record(z.string(), z.record(z.string(), words)).optional().describe(
    "A variable, and by group the words that are its values: a task for every value.",
  ),
  description: template.default("").describe("What stands before everything."),
  doc_to_text: z.union([template, z.array(template).min(2)]).describe(
    "The context; a list where each choice has one of its own.",
  ),
  doc_to_choice: z.union([template, z.array(template).min(2)]).optional().describe(
    "A template that gives the list of choices, or one for each.",
  ),
  doc_to_target: template.default("").describe(
    "The number of the right choice, what is to be continued with, or the right answer.",
  ),
  answers: template.optional().describe("A template that gives the list of all right answers."),
  target_delimiter: z.string().default(" ").describe("Between a context and what continues it."),
  substitute: substitutions.default([]).describe("Changes of contexts, choices and targets."),
  counted: template.optional().describe(
    "What words and bytes of a text are counted of; the text unless said.",
  ),
  few_shot: z.strictObject({
    split: z.string().optional(),
    shots: z.int().nonnegative().default(0),
    sampler: z.enum(["random", "first_n"]).default("random"),
    /** One more is drawn than shown, as lm-eval does for tasks that name no split of tests. */
    spare: z.boolean().default(false),
    delimiter: z.string().default("\n\n"),
  }).prefault({}).describe("Examples before the question, as lm-eval draws them."),
  generation: z.strictObject({
    /** Texts that end an answer, and are not of it. */
    until: z.array(z.string().min(1)).default([]),
    /** Texts whose last token ends an answer, as the model's own last token does. */
    stop_tokens: z.array(z.string().min(1)).default([]),
    max_tokens: z.int().positive().default(256),
    /** Tokens before which no token ends it. */
    min_tokens: z.int().nonnegative().default(0),
    truncate: z.enum(["left", "middle"]).default("left"),
    chat: z.boolean().default(false),
    first_line: z.boolean().default(false),
  }).prefault({}).describe("How answers are generated, and what is kept of them."),
  filters: z.record(z.string(), filter).default({}).describe(
    "How answers are taken from texts; each gives a score of its own.",
  ),
  exact_match: z.strictObject({
    ignore_case: z.boolean().default(false),
    substitute: substitutions.default([]),
  }).prefault({}).describe("What answers are compared without."),
  metrics: z.array(z.string()).min(1),
});

/** A task: where its rows are, how they become questions, and how answers are scored. */
export type TaskFile = z.infer<typeof schema>;

/** One change of a text. */
export type Substitution = TaskFile["substitute"][number];

const group = z.strictObject({
  about: z.string().min(1),
  tasks: z.array(z.string().min(1)).min(1),
  mean: z.enum(["none", "items", "tasks"]).default("none"),
});

/** Several tasks under one name, and whether their scores have a mean, over items or over tasks. */
export type TaskGroup = z.infer<typeof group>;

/** Reads what a file says: a task or a group; throws a `SyntaxError` or `TypeError` with all problems. */
export function parseTaskFile(text: string, path: string): TaskFile | TaskGroup {
  let json: unknown;
  try {
    json = parse(text, { maxAliasCount: 0 });
  } catch (cause) {
    throw new SyntaxError(
      `Cannot read task "${path}": it is no YAML (${(cause as Error).message}), expected a task`,
      { cause },
    );
  }
  const isGroup = typeof json === "object" && json !== null && "tasks" in json;
  const read = (isGroup ? group : schema).safeParse(json);
  if (!read.success) {
    const problems = read.error.issues.map(({ path, message }) =>
      `${path.join(".") || "the file"}: ${message}`
    );
    throw new TypeError(
      `Cannot read task "${path}": ${problems.join("; ")}, expected the keys of a task`,
    );
  }
  if (!isGroup) checkKind(read.data as TaskFile, path);
  return read.data;
}

function checkKind(task: TaskFile, path: string): void {
  const { output_type: kind, metrics, doc_to_text: text, doc_to_choice: choices } = task;
  const allowed: readonly string[] = METRICS[kind];
  const unknown = metrics.find((name) => !allowed.includes(name));
  const contexts = Array.isArray(text);
  const problem = unknown !== undefined
    ? `metrics has ${unknown}, expected those of ${kind}: ${allowed.join(", ")}`
    : kind === "multiple_choice" && !choices
    ? "there is no doc_to_choice, expected one"
    : kind !== "multiple_choice" && (choices || contexts)
    ? `${choices ? "doc_to_choice" : "a list of contexts"} is of no use to ${kind}, expected none`
    : contexts && typeof choices !== "string"
    ? "each choice has a context of its own, expected one doc_to_choice that continues them all"
    : undefined;
  if (problem !== undefined) throw new TypeError(`Cannot use task "${path}": ${problem}`);
}
