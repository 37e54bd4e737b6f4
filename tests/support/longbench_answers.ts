import { ungzipped } from "./gzip_text.ts";
import { fileURLToPath } from "node:url";

/** Rows in LongBench's form, a directory a task. */
export const LONGBENCH_ROWS = new URL("../testdata/tasks/longbench", import.meta.url);

/** What LongBench's steps give for the rows of a task; see `tests/oracle/longbench_answers.py`. */
export interface LongBenchAnswers {
  readonly items: readonly {
    /** How many ids the prompt has, and the SHA-256 of them as u32. */
    readonly tokens: number;
    readonly prompt: string;
    readonly text: string;
    readonly score: number;
  }[];
  /** In percent, of two decimals. */
  readonly score: number;
}

/** By the names of LongBench's tasks. */
export async function longBenchAnswers(): Promise<Readonly<Record<string, LongBenchAnswers>>> {
  return JSON.parse(await ungzipped(fileURLToPath(`${LONGBENCH_ROWS}/golden.json.gz`)));
}
