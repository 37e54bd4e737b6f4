import { strict as assert } from "node:assert";
import { splitFiles } from "../../../stages/tasks/split_files.ts";

Deno.test("files of a split are found in every layout of hubs", () => {
  const of = (paths: string[], config = "default", split = "test") =>
    splitFiles(paths, { config, split });
  const shards = ["data/test-00001-of-00002.parquet", "data/test-00000-of-00002.parquet"];
  assert.deepEqual(of([...shards, "data/train-00000-of-00001.parquet"]), shards.toSorted());
  assert.deepEqual(
    of(
      ["ARC-Easy/test-00000-of-00001.parquet", "ARC-Challenge/test-00000-of-00001.parquet"],
      "ARC-Easy",
    ),
    [
      "ARC-Easy/test-00000-of-00001.parquet",
    ],
  );
  assert.deepEqual(of(["main/test/0000.parquet", "main/train/0000.parquet"], "main"), [
    "main/test/0000.parquet",
  ]);
  assert.deepEqual(of(["README.md", "test.jsonl.gz", "dev.jsonl"]), ["test.jsonl.gz"]);
  assert.deepEqual(of(["dev.jsonl.zst"], "default", "dev"), ["dev.jsonl.zst"]);
  assert.deepEqual(of(["wikitext-2-raw-v1/test.parquet"], "wikitext-2-raw-v1"), [
    "wikitext-2-raw-v1/test.parquet",
  ]);
  assert.deepEqual(of(["piqa.py", "contest.jsonl", "test.txt", "latest.jsonl"]), []);
});
