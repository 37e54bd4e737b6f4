import { strict as assert } from "node:assert";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { startHub } from "../../support/hub_stub.ts";
import { rowFiles, type RowsPlace, taskRows } from "../../../stages/tasks/task_rows.ts";

async function inFolder(
  files: Readonly<Record<string, string | Uint8Array>>,
  test: (place: RowsPlace) => Promise<void>,
): Promise<void> {
  const base = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      await Deno.mkdir(`${base}/${name}`.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeFile(
        `${base}/${name}`,
        typeof content === "string" ? new TextEncoder().encode(content) : content,
      );
    }
    await test({ place: base, config: "default", split: "test", base: "." });
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}

const ROWS = '{"a":1}\n{"a":2}\n';

Deno.test("rows of a directory's split come file after file, whatever packs them", async () => {
  const files = {
    "data/test-00000-of-00002.jsonl.gz": Uint8Array.from(gzipSync(ROWS)),
    "data/test-00001-of-00002.jsonl": '{"a":3}\n',
    "data/train.jsonl": '{"a":9}\n',
  };
  await inFolder(files, async (place) => {
    const rows = await Array.fromAsync(taskRows(place));
    assert.deepEqual(rows.map(({ fields }) => fields.a), [1, 2, 3]);
    assert.match(rows[2]!.at, /test-00001-of-00002\.jsonl:1$/);
  });
});

Deno.test("parquet's rows have whole numbers as numbers", async () => {
  const place = fileURLToPath(new URL("../../testdata/rows_zstd.parquet", import.meta.url));
  const rows = await Array.fromAsync(taskRows({ place, config: "", split: "", base: "." }));
  assert.ok(rows.length > 0);
  for (const { fields } of rows) {
    for (const value of Object.values(fields)) assert.notEqual(typeof value, "bigint");
  }
});

Deno.test("data sets without rows of the split are refused, with what is there", async () => {
  await inFolder({ "train.jsonl": ROWS }, async (place) => {
    await assert.rejects(
      () => rowFiles(place),
      /Cannot read split test of configuration default of ".*": there are train\.jsonl, expected parquet or JSON lines named after the split; give the rows as a file with data/,
    );
  });
  await inFolder({ "own.py": "import datasets", "README.md": "" }, async (place) => {
    await assert.rejects(
      () => rowFiles(place),
      /its rows come from the script own\.py, which is not run/,
    );
  });
  await inFolder({ "test.jsonl": "a,b\n1,2\n" }, async (place) => {
    await assert.rejects(() => Array.fromAsync(taskRows(place)), /it is CSV, expected JSON lines/);
  });
  await assert.rejects(
    () => rowFiles({ place: "none.jsonl", config: "", split: "test", base: "." }),
    /Cannot read rows of "none\.jsonl": there is no such file, expected/,
  );
});

Deno.test("rows of the hub are those of the split's files, or of the file that is named", async () => {
  const of = (place: string, split = "test") => ({ place, config: "one", split, base: "." });
  const fields = async (place: RowsPlace) =>
    (await Array.fromAsync(taskRows(place))).map(({ fields }) => fields.a);
  {
    await using hub = await startHub({
      "one/test-00000-of-00002.jsonl": '{"a":1}\n',
      "one/test-00001-of-00002.jsonl": '{"a":2}\n',
      "one/train-00000-of-00001.jsonl": "",
      "two/test-00000-of-00001.jsonl": '{"a":3}\n',
    });
    assert.deepEqual(await fields(of("hf:datasets/maker/rows@v1")), [1, 2]);
    assert.deepEqual(hub.fetched().sort(), [
      "one/test-00000-of-00002.jsonl",
      "one/test-00001-of-00002.jsonl",
    ]);
    assert.deepEqual(await fields(of("hf:datasets/maker/rows@v1/two/test-00000-of-00001.jsonl")), [
      3,
    ]);
    await assert.rejects(
      () => rowFiles(of("hf:datasets/maker/rows@v1", "validation")),
      /Cannot read split validation of configuration one of "hf:datasets\/maker\/rows@v1": there are /,
    );
  }
  await using _hub = await startHub({ "rows.py": "import datasets", "README.md": "" });
  await assert.rejects(
    () => rowFiles(of("hf:datasets/maker/rows")),
    /its rows come from the script rows\.py, which is not run, expected parquet or JSON lines/,
  );
});
