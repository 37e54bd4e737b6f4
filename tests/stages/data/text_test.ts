import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { stories } from "../../../stages/data/stories.ts";
import { readSourceText, type TextOptions } from "../../../stages/data/text.ts";
import { textSources } from "../../../stages/data/text_sources.ts";
import { sampleText } from "../../../stages/data/text_sample.ts";
import { openPlaces } from "../../support/hostile_places.ts";

/** Rows as `tests/oracle/rows_parquet.py` wrote them. */
const ROWS = ["", " = Title = \n", "", "Naïve café, 日本語 😀\n", "a\n\nb", "last"];
const JOINED = ROWS.join("\n\n");

const LINES = ROWS.map((text) => JSON.stringify({ id: 1, text, other: `<${text}>` }));

Deno.test("a text file is read as it is, without the mark of its encoding", async () => {
  for (
    const text of ["a\r\nb\n\n \n", "日本語 😀", "{ braces } and [brackets]", '"Hello," he said.']
  ) {
    await using file = await temporaryFile(text);
    const { text: got, form, documents, characters } = await readSourceText(file.path);
    assert.deepEqual([got, form, documents, characters], [text, "text", 1, [...text].length]);
    assert.deepEqual(await textSources(file.path), [file.path]);
    await using marked = await temporaryFile(`\ufeff${text}`);
    assert.equal((await readSourceText(marked.path)).text, text);
  }
});

const FORMS: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>> = {
  "JSON lines": LINES.join("\n"),
  "JSON lines of Windows, with a mark and empty lines": `\ufeff\r\n${LINES.join("\r\n")}\r\n\r\n`,
  "JSON array": `[${LINES}]`,
  "JSON array over many lines": `\n${
    JSON.stringify(LINES.map((line) => JSON.parse(line)), undefined, 2)
  }\n`,
  "JSON array of texts": JSON.stringify(ROWS),
  "parquet with snappy": await Deno.readFile(testdata("rows_snappy.parquet")),
  "parquet with zstd": await Deno.readFile(testdata("rows_zstd.parquet")),
};

const PACKED: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  "": (bytes) => bytes,
  " in gzip": (bytes) => gzipSync(bytes),
  " in zstd": (bytes) => zstdCompressSync(bytes),
};

for (const [form, content] of Object.entries(FORMS)) {
  Deno.test(`${form} is read, packed or not, whatever its file is called`, async () => {
    for (const [how, pack] of Object.entries(PACKED)) {
      // As C4's shards are called, as data sets are, and as nothing is: no name is believed.
      for (const suffix of [".json.gz", ".jsonl", ".txt", ".bin"]) {
        await using file = await temporaryFile(pack(bytesOf(content)), suffix);
        const got = await readSourceText(file.path);
        assert.deepEqual([got.text, got.documents], [JOINED, ROWS.length]);
        assert.ok(got.form.endsWith(how) && form.startsWith(got.form.split(" in ")[0]!), got.form);
      }
    }
  });
}

Deno.test("packed files that follow each other in one are one text, as `cat a.gz b.gz` makes it", async () => {
  for (const pack of [gzipSync, zstdCompressSync]) {
    await using file = await temporaryFile(Buffer.concat([pack("first\n"), pack("second\n")]));
    assert.equal((await readSourceText(file.path)).text, "first\nsecond\n");
  }
});

Deno.test("characters, escapes and elements may lie across the pieces that a file is read in", async () => {
  // Of 1, 2, 3 and 4 bytes, so that pieces of a power of two end at every place within them.
  const rows = Array.from({ length: 9000 }, (_, i) => `${i}é日😀\\"]},{[\n`.repeat(1 + i % 3));
  const texts = [
    rows.map((text) => JSON.stringify({ text })).join("\n"),
    JSON.stringify(rows.map((text) => ({ text })), undefined, 1),
  ];
  for (const content of texts) {
    for (const pack of Object.values(PACKED)) {
      await using file = await temporaryFile(pack(bytesOf(content)));
      assert.equal((await readSourceText(file.path)).text, rows.join("\n\n"));
    }
  }
  const plain = rows.join("");
  await using file = await temporaryFile(plain);
  const { text, characters } = await readSourceText(file.path);
  assert.equal(text, plain);
  assert.equal(characters, [...plain].length);
});

Deno.test("a field may be chosen, some texts taken, and data read as plain text", async () => {
  await using file = await temporaryFile(LINES.join("\n"));
  const read = async (options: TextOptions) => (await readSourceText(file.path, options)).text;
  assert.equal(await read({ field: "other" }), ROWS.map((text) => `<${text}>`).join("\n\n"));
  assert.equal(await read({ documents: 2 }), ROWS.slice(0, 2).join("\n\n"));
  assert.equal(await read({ plain: true }), LINES.join("\n"));
  const path = testdata("rows_zstd.parquet");
  assert.equal((await readSourceText(path, { documents: 5 })).text, ROWS.slice(0, 5).join("\n\n"));
  await using table = await temporaryFile('id,text\n1,"a, b"\n');
  assert.equal((await readSourceText(table.path, { plain: true })).text, 'id,text\n1,"a, b"\n');
});

Deno.test("what has no parts to choose from is refused where some are chosen", async () => {
  await using file = await temporaryFile("Once there was a girl.\n");
  const wanted = "expected JSON lines, a JSON array or parquet; leave";
  await assert.rejects(readSourceText(file.path, { field: "text" }), {
    message: `Cannot choose field of "${file.path}": it is one plain text, ${wanted} field out`,
  });
  await assert.rejects(readSourceText("stories:test", { documents: 3 }), {
    message: `Cannot choose documents of "stories:test": it is stories, whose length bytes says, ` +
      `${wanted} documents out`,
  });
});

Deno.test("conversations are laid out one behind the other, in either of their two forms", async () => {
  const turns = [{ role: "user", content: "hi" }, { role: "assistant", content: "ho" }];
  const shared = [{ from: "human", value: "hi" }, { from: "gpt", value: "ho" }];
  const layOut: TextOptions["layOut"] = ({ turns, tools }) =>
    turns.map(({ role, content }) => `${role}=${content};`).join("") + (tools ? "T" : "") + "\n";
  const led = "system=be kind;user=hi;assistant=ho;";
  const rows = [
    [{ messages: turns }, "user=hi;assistant=ho;"],
    [{ conversations: shared, system: "be kind" }, led],
    [{ messages: [{ role: "system", content: "be kind" }, ...turns], system: "not this" }, led],
    [{ conversations: turns, tools: [{ name: "f" }] }, "user=hi;assistant=ho;T"],
    [
      { messages: turns.map((turn) => ({ ...turn, from: null, value: null })), tools: [] },
      "user=hi;assistant=ho;",
    ],
  ] as const;
  await using file = await temporaryFile(rows.map(([row]) => JSON.stringify(row)).join("\n"));
  const got = await readSourceText(file.path, { layOut });
  assert.equal(got.text, rows.map(([, text]) => `${text}\n`).join(""));
  assert.deepEqual([got.chat, got.documents, got.form], [true, rows.length, "JSON lines"]);
  await using chosen = await temporaryFile(JSON.stringify([{ text: "t", chosen: turns }]));
  const { text } = await readSourceText(chosen.path, { layOut, field: "chosen" });
  assert.equal(text, "user=hi;assistant=ho;\n");
});

Deno.test("conversations that cannot be laid out are refused with their place", async () => {
  const layOut = () => {
    throw new Error("roles must alternate");
  };
  const user = { role: "user", content: "hi" };
  const cases: readonly (readonly [unknown[], RegExp])[] = [
    [
      [{ messages: [user] }],
      /^Cannot read the conversation of \S+:1: roles must alternate, expected /,
    ],
    [[{ messages: [] }], /field "messages" of \S+:1: it is an empty list, expected messages/],
    [
      [{ conversations: [{ from: "narrator", value: "x" }] }],
      /message 1 of field "conversations" of \S+:1: it is from "narrator", expected one of system, human/,
    ],
    [
      [{ messages: [{ content: "x" }] }],
      /message 1 of .*: it has content, expected role and content/,
    ],
    [
      [{ text: "a" }, { messages: [user] }],
      /:2: it is a conversation, expected a text as before it/,
    ],
  ];
  for (const [rows, message] of cases) {
    await using file = await temporaryFile(rows.map((row) => JSON.stringify(row)).join("\n"));
    await assert.rejects(readSourceText(file.path, { layOut }), { message });
  }
});

Deno.test("stories are told of the split and length asked for", async () => {
  for (const split of ["train", "calibration", "test"] as const) {
    const { text } = await readSourceText(`stories:${split}`, { bytes: 5000 });
    assert.equal(text, stories({ split, bytes: 5000 }));
    assert.deepEqual(await textSources(`stories:${split}`), []);
  }
});

Deno.test("`readSourceText()` says what is wrong with a place", async () => {
  const message =
    `Cannot read "none.txt": there is no such file, expected a file of text, JSON lines, a JSON ` +
    `array or parquet, hf:datasets/organization/name@revision/file, wikitext2, c4, pile or stories:test`;
  await assert.rejects(readSourceText("none.txt"), { name: "TypeError", message });
  await assert.rejects(textSources("none.txt"), { name: "TypeError", message });
  await assert.rejects(readSourceText("."), { message: /^Cannot read "\.": it is a directory, / });
  await assert.rejects(readSourceText("stories:dev"), {
    name: "RangeError",
    message:
      `Cannot read "stories:dev": there is no split "dev", expected train, calibration, test`,
  });
});

Deno.test("`readSourceText()` names the line and the field where JSON lines are wrong", async () => {
  await using broken = await temporaryFile(`{"text":"a"}\n{"text":`);
  await assert.rejects(readSourceText(broken.path), {
    name: "SyntaxError",
    message:
      `Cannot read ${broken.path}:2: it is no JSON, expected an object, or set plain: true ` +
      "if it is meant to be read as text",
  });
  await using list = await temporaryFile(`{"text":"a"}\n["b"]`);
  await assert.rejects(readSourceText(list.path), {
    name: "TypeError",
    message: `Cannot read ${list.path}:2: it is no object, expected one a line, or set plain: ` +
      "true if it is meant to be read as text",
  });
  await using other = await temporaryFile(`{"body":"a","id":1}`);
  const at = `of ${other.path}:1: it is`;
  const wanted = "expected a text or a list of messages; there are body, id, choose one with field";
  await assert.rejects(readSourceText(other.path), {
    name: "TypeError",
    message: `Cannot read field "text" ${at} missing, ${wanted}`,
  });
  await assert.rejects(readSourceText(other.path, { field: "id" }), {
    name: "TypeError",
    message: `Cannot read field "id" ${at} a number, ${wanted}`,
  });
});

Deno.test("`readSourceText()` names column and row where parquet is wrong", async () => {
  const path = testdata("rows_snappy.parquet");
  await assert.rejects(readSourceText(path, { field: "body" }), {
    name: "TypeError",
    message: `Cannot read column "body" of "${path}": there is none, expected one of id, text, ` +
      "maybe; choose it with field",
  });
  await assert.rejects(readSourceText(path, { field: "maybe" }), {
    name: "TypeError",
    message: `Cannot read field "maybe" of row 2 of "${path}": it is null, expected a text or a ` +
      "list of messages; there are maybe, choose one with field",
  });
  await using file = await temporaryFile("PAR1 and no more", ".parquet");
  await assert.rejects(readSourceText(file.path), (error: Error) => {
    assert.equal(error.name, "SyntaxError");
    assert.ok(error.message.startsWith(`Cannot read "${file.path}": `), error.message);
    return error.message.endsWith(", expected a whole parquet file; fetch it again");
  });
});

function testdata(name: string): string {
  return fileURLToPath(new URL(`../../testdata/${name}`, import.meta.url));
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

async function temporaryFile(
  content: string | Uint8Array,
  suffix = ".txt",
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempFile({ suffix });
  await Deno.writeFile(path, bytesOf(content));
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
        await read().catch((error: Error) =>
          assert.match(error.message, /^Cannot (read|choose field of) /)
        );
      }
    } finally {
      await Deno.remove(path);
    }
  }
});

Deno.test("places without an end are refused at their beginning", async () => {
  await using places = await openPlaces();
  const message = /^Cannot read ".*sparse": there is a NUL in line 1 at byte 0, expected text$/;
  await assert.rejects(readSourceText(places.sparse), { message });
  for (const place of [places.pipe, places.device]) {
    await assert.rejects(
      readSourceText(place),
      /^TypeError: Cannot read ".*": it is no file/,
    );
  }
});
