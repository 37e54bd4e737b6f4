import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { ungzipped } from "./gzip_text.ts";

const FILE = fileURLToPath(new URL("../testdata/longbench_metrics.json.gz", import.meta.url));

/** An answer, what is right, and the score that LongBench gives; see `tests/oracle/longbench_metrics.py`. */
export interface LongBenchScore {
  readonly answer: string;
  readonly right: string;
  readonly classes?: readonly string[];
  readonly score: number;
}

/** Asserts that a measure scores at least a hundred texts as LongBench does, not all of them alike. */
export async function scoresAsLongBench(
  name: string,
  measure: (row: LongBenchScore) => number,
): Promise<void> {
  const all: Record<string, LongBenchScore[]> = JSON.parse(await ungzipped(FILE));
  const rows = all[name]!;
  assert.ok(rows.length >= 100, `${rows.length} texts`);
  assert.ok(new Set(rows.map(({ score }) => score)).size > 3, "the scores differ");
  for (const row of rows) {
    const own = measure(row);
    assert.ok(Math.abs(own - row.score) < 1e-12, `${JSON.stringify(row)}: ${own}`);
  }
}
