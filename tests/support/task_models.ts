import { fileURLToPath } from "node:url";
import type { Artifact } from "../../pipeline/artifact.ts";
import { ungzipped } from "./gzip_text.ts";

const EMBEDDED = fileURLToPath(new URL("../../configs/embedded", import.meta.url));
const FOLDER = fileURLToPath(new URL("../testdata/tasks", import.meta.url));

const FAMILIES = fileURLToPath(new URL("../testdata/families", import.meta.url));

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

/** All that lm-eval was asked of the embedded model. */
export async function goldenCases(): Promise<readonly GoldenCase[]> {
  return JSON.parse(await ungzipped(`${FOLDER}/golden.json.gz`));
}

/** What lm-eval was asked of every family; see `tests/oracle/lm_eval_families.py`. */
export async function familyCases(): Promise<Readonly<Record<string, readonly GoldenCase[]>>> {
  return JSON.parse(await ungzipped(`${FOLDER}/families.json.gz`));
}

/** A file of rows of a task. */
export function rowsOf(task: string, split: string): string {
  return `${FOLDER}/${task}-${split}.jsonl`;
}

/** A text as JSON, changed. */
async function edit(path: string, change: (json: Record<string, unknown>) => void): Promise<void> {
  const json = JSON.parse(await Deno.readTextFile(path));
  change(json);
  await Deno.writeTextFile(path, JSON.stringify(json));
}

/** The model in a directory, with the tokenizer that a case has. */
async function asCase(path: string, kind: GoldenCase["tokenizer"]): Promise<Artifact<"model">> {
  if (kind === "last") {
    await edit(`${path}/tokenizer_config.json`, (json) => delete json.bos_token);
  }
  if (kind === "first") {
    const token = "<|endoftext|>";
    const special = { SpecialToken: { id: token, type_id: 0 } };
    await edit(`${path}/tokenizer.json`, (json) => {
      json.post_processor = {
        type: "TemplateProcessing",
        single: [special, { Sequence: { id: "A", type_id: 0 } }],
        pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
        special_tokens: { [token]: { id: token, ids: [0], tokens: [token] } },
      };
    });
  }
  return { kind: "model", key: path, digest: path, path, scores: {} };
}

/** The embedded model with the tokenizer that a case has. */
export async function taskModel(
  path: string,
  kind: GoldenCase["tokenizer"],
): Promise<Artifact<"model">> {
  for (const { name } of Deno.readDirSync(EMBEDDED)) {
    if (/\.(json|safetensors)$/.test(name)) {
      await Deno.copyFile(`${EMBEDDED}/${name}`, `${path}/${name}`);
    }
  }
  return await asCase(path, kind);
}

/** A model of `testdata/families` with a tokenizer of as many tokens as it has. */
export async function familyTaskModel(
  path: string,
  family: string,
  kind: GoldenCase["tokenizer"],
): Promise<Artifact<"model">> {
  for (const name of ["config.json", "model.safetensors"]) {
    await Deno.copyFile(`${FAMILIES}/${family}/${name}`, `${path}/${name}`);
  }
  await Deno.copyFile(`${FOLDER}/small_tokenizer.json`, `${path}/tokenizer.json`);
  const [bos_token, eos_token] = ["<|endoftext|>", "<|endoftext|>"];
  await Deno.writeTextFile(
    `${path}/tokenizer_config.json`,
    JSON.stringify({ tokenizer_class: "PreTrainedTokenizerFast", bos_token, eos_token }),
  );
  return await asCase(path, kind);
}

/** MMLU's development questions, a line of JSON each. */
export async function mmluLines(): Promise<readonly string[]> {
  return (await ungzipped(`${FOLDER}/mmlu-dev.jsonl.gz`)).trimEnd().split("\n");
}
