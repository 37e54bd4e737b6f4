import { fileURLToPath } from "node:url";
import { ungzipped } from "./gzip_text.ts";

const EMBEDDED = fileURLToPath(new URL("../../configs/embedded", import.meta.url));
const FOLDER = fileURLToPath(new URL("../testdata/tasks", import.meta.url));

/** What lm-eval said to an item; see `tests/oracle/lm_eval_items.py`. */
export interface GoldenItem {
  readonly logLikelihoods?: readonly number[];
  readonly greedy?: readonly boolean[];
  readonly scores?: Readonly<Record<string, number>>;
  readonly text?: string;
  readonly taken?: Readonly<Record<string, readonly [answer: string, right: number]>>;
}

/** A task on a model, as lm-eval ran it. */
export interface GoldenCase {
  readonly task: string;
  readonly tokenizer: "plain" | "first" | "last";
  readonly maxLength: number;
  readonly shots?: number;
  readonly limit?: number;
  readonly items: readonly GoldenItem[];
  readonly results: Readonly<Record<string, number>>;
}

/** All that lm-eval was asked. */
export async function goldenCases(): Promise<readonly GoldenCase[]> {
  return JSON.parse(await ungzipped(`${FOLDER}/golden.json.gz`));
}

/** A file of rows of a task. */
export function rowsOf(task: string, split: string): string {
  return `${FOLDER}/${task}-${split}.jsonl`;
}

/** Writes the embedded model with the tokenizer that a case has. */
export async function writeTaskModel(
  directory: string,
  kind: GoldenCase["tokenizer"],
): Promise<void> {
  for (const { name } of Deno.readDirSync(EMBEDDED)) {
    if (/\.(json|safetensors)$/.test(name)) {
      await Deno.copyFile(`${EMBEDDED}/${name}`, `${directory}/${name}`);
    }
  }
  const edit = async (name: string, change: (json: Record<string, unknown>) => void) => {
    const path = `${directory}/${name}`;
    const json = JSON.parse(await Deno.readTextFile(path));
    change(json);
    await Deno.writeTextFile(path, JSON.stringify(json));
  };
  if (kind === "last") await edit("tokenizer_config.json", (json) => delete json.bos_token);
  if (kind === "first") {
    const token = "<|endoftext|>";
    const special = { SpecialToken: { id: token, type_id: 0 } };
    await edit("tokenizer.json", (json) => {
      json.post_processor = {
        type: "TemplateProcessing",
        single: [special, { Sequence: { id: "A", type_id: 0 } }],
        pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
        special_tokens: { [token]: { id: token, ids: [0], tokens: [token] } },
      };
    });
  }
}

/** MMLU's development questions, a line of JSON each. */
export async function mmluLines(): Promise<readonly string[]> {
  return (await ungzipped(`${FOLDER}/mmlu-dev.jsonl.gz`)).trimEnd().split("\n");
}
