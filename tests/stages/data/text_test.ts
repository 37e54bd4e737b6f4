import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { stories } from "../../../stages/data/stories.ts";
import { readSourceText, textSources } from "../../../stages/data/text.ts";
import { openPlaces } from "../../support/hostile_places.ts";
import { sampleText } from "../../../stages/data/text_sample.ts";

/** Rows as `tests/oracle/rows_parquet.py` wrote them. */
const ROWS = ["", " = Title = \n", "", "Naïve café, 日本語 😀\n", "a\n\nb", "last"];

Deno.test("`readSourceText()` gives a text file as it is", async () => {
  for (const text of ["", "a\r\nb\n\n \n", "\ufeffbegins with a mark", "日本語 \u0000 😀"]) {
    await using file = await temporaryFile(text, ".txt");
    assert.equal(await readSourceText(file.path), text);
    assert.deepEqual(await textSources(file.path), [file.path]);
  }
});

Deno.test("`readSourceText()` joins the rows of JSONL by a blank line", async () => {
  const lines = ROWS.map((text) => JSON.stringify({ id: 1, text, other: `<${text}>` }));
  await using file = await temporaryFile(lines.join("\r\n") + "\n\n", ".jsonl");
  assert.equal(await readSourceText(file.path), ROWS.join("\n\n"));
  assert.equal(
    await readSourceText(file.path, { field: "other" }),
    ROWS.map((text) => `<${text}>`).join("\n\n"),
  );
});

for (const compression of ["snappy", "zstd"]) {
  Deno.test(`\`readSourceText()\` joins a column of parquet compressed with ${compression}`, async () => {
    assert.equal(await readSourceText(testdata(`rows_${compression}.parquet`)), ROWS.join("\n\n"));
  });
}

Deno.test("`readSourceText()` tells stories of the split and length asked for", async () => {
  for (const split of ["train", "calibration", "test"] as const) {
    const told = await readSourceText(`stories:${split}`, { bytes: 5000 });
    assert.equal(told, stories({ split, bytes: 5000 }));
    assert.deepEqual(await textSources(`stories:${split}`), []);
  }
});

Deno.test("`readSourceText()` says what is wrong with a place", async () => {
  const message = `Cannot read "none.txt": there is no such file, expected a text, .jsonl or ` +
    `.parquet file, hf:datasets/organization/name@revision/file or stories:test`;
  await assert.rejects(readSourceText("none.txt"), { name: "TypeError", message });
  await assert.rejects(textSources("none.txt"), { name: "TypeError", message });
  await assert.rejects(readSourceText("stories:dev"), {
    name: "RangeError",
    message:
      `Cannot read "stories:dev": there is no split "dev", expected train, calibration, test`,
  });
});

Deno.test("`readSourceText()` names the line and the field where JSONL is wrong", async () => {
  await using broken = await temporaryFile(`{"text":"a"}\n{"text":`, ".jsonl");
  await assert.rejects(readSourceText(broken.path), {
    name: "SyntaxError",
    message: `Cannot read ${broken.path}:2: it is no JSON, expected an object`,
  });
  await using list = await temporaryFile(`{"text":"a"}\n["b"]`, ".jsonl");
  await assert.rejects(readSourceText(list.path), {
    name: "TypeError",
    message: `Cannot read ${list.path}:2: it is no object, expected one a line`,
  });
  await using other = await temporaryFile(`{"body":"a","id":1}`, ".jsonl");
  const at = `of ${other.path}:1: it is`;
  await assert.rejects(readSourceText(other.path), {
    name: "TypeError",
    message: `Cannot read field "text" ${at} missing, expected text; there are body, id`,
  });
  await assert.rejects(readSourceText(other.path, { field: "id" }), {
    name: "TypeError",
    message: `Cannot read field "id" ${at} a number, expected text; there are body, id`,
  });
});

Deno.test("`readSourceText()` names column and row where parquet is wrong", async () => {
  const path = testdata("rows_snappy.parquet");
  await assert.rejects(readSourceText(path, { field: "body" }), {
    name: "TypeError",
    message:
      `Cannot read column "body" of "${path}": there is none, expected one of id, text, maybe`,
  });
  await assert.rejects(readSourceText(path, { field: "maybe" }), {
    name: "TypeError",
    message: `Cannot read row 2 of column "maybe" of "${path}": it is null, expected text`,
  });
  await using file = await temporaryFile("no parquet at all", ".parquet");
  await assert.rejects(readSourceText(file.path), (error: Error) => {
    assert.equal(error.name, "SyntaxError");
    assert.ok(error.message.startsWith(`Cannot read "${file.path}": `), error.message);
    return error.message.endsWith(", expected a parquet file");
  });
});

function testdata(name: string): string {
  return fileURLToPath(new URL(`../../testdata/${name}`, import.meta.url));
}

async function temporaryFile(
  text: string,
  suffix: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempFile({ suffix });
  await Deno.writeTextFile(path, text);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}

Deno.test("parquet files with a byte or an end gone wrong are read, or refused in a sentence", async () => {
  const whole = await Deno.readFile(testdata("rows_snappy.parquet"));
  let state = 1;
  const random = (below: number) => (state = (state * 1103515245 + 12345) % 2 ** 31) % below;
  for (let i = 0; i < 200; i++) {
    const bytes = whole.slice(0, i % 4 === 0 ? random(whole.length) : whole.length);
    if (i % 4 > 0) bytes[random(bytes.length)] = random(256);
    const path = await Deno.makeTempFile({ suffix: ".parquet" });
    try {
      await Deno.writeFile(path, bytes);
      const reads = [
        () => readSourceText(path),
        () => sampleText(path, { field: "text", bytes: 0 }),
      ];
      for (const read of reads) {
        await read().catch((error: Error) => assert.match(error.message, /^Cannot read /));
      }
    } finally {
      await Deno.remove(path);
    }
  }
});

Deno.test("a text longer than any is refused before it is read", async () => {
  await using places = await openPlaces();
  const message = /^Cannot read ".*sparse": it has 1099511627776 bytes, expected at most 536870888/;
  await assert.rejects(textSources(places.sparse), { message });
  await assert.rejects(sampleText(places.sparse, { field: "text", bytes: 0 }), { message });
  for (const place of [places.pipe, places.device]) {
    await assert.rejects(
      readSourceText(place),
      /^TypeError: Cannot read ".*": there is no such file/,
    );
  }
});
