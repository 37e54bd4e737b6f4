import { parse } from "yaml";
import { z } from "zod";

const place = z.string().min(1);

const own = z.strictObject({
  task: z.string().min(1).describe("Name of a task or group, or a file that ends in .yaml."),
  data: z.union([place, z.record(z.string(), place)]).optional().describe(
    "Where its rows are: a file, a directory, hf:datasets/org/name, or one of these a split.",
  ),
  shots: z.int().nonnegative().optional().describe("Examples before each question."),
  limit: z.int().positive().optional().describe("Only so many rows, the first ones."),
  seed: z.int().nonnegative().optional().describe("Draws the examples; 1234 unless said."),
  max_length: z.int().min(2).optional().describe(
    "Most tokens of context and answer; what the model was made for unless said.",
  ),
});

/** A task by its name or file, with what is to be otherwise. */
const choice = z.union([z.string().min(1), own]);
const choices = z.array(choice);

/** What `evaluate` takes as tasks: names with commas between them, one task or a list. */
export const taskChoices = z.union([choice, choices]).optional()
  .transform((given, context): readonly TaskChoice[] | undefined => {
    if (given === undefined || given === "none") return undefined;
    const read = z.union([choice, choices]).safeParse(
      typeof given === "string" ? fromText(given) : given,
    );
    if (!read.success) {
      context.addIssue(
        `Cannot read tasks "${given}": expected names with commas between them, or a list of names and { task, data, shots, limit, seed, max_length }`,
      );
      return z.NEVER;
    }
    const list = [read.data].flat()
      .map((one): TaskChoice => typeof one === "string" ? { task: one } : one);
    return list.length === 0 ? undefined : list;
  })
  .describe(
    "Tasks to score beside the text: names and groups of configs/tasks/, files of your own, or { task, data, shots, limit, seed, max_length }; none unless said.",
  );

/** Names with commas between them, or a list as YAML has it, as the command line gives it. */
function fromText(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return text.split(",").map((name) => name.trim()).filter(Boolean);
  try {
    return parse(text, { maxAliasCount: 0 });
  } catch {
    return undefined;
  }
}

/** One task or group that is asked for. */
export interface TaskChoice {
  readonly task: string;
  readonly data?: string | Readonly<Record<string, string>> | undefined;
  readonly shots?: number | undefined;
  readonly limit?: number | undefined;
  readonly seed?: number | undefined;
  readonly max_length?: number | undefined;
}
