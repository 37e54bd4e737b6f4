import assert from "node:assert/strict";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { sampleText } from "../../../stages/data/text_sample.ts";

/** Rows of random words of two kinds of characters, 6 MB in all, which pack to more than 2 MB. */
const ROWS = Array.from({ length: 6000 }, (_, row) => {
  let state = row + 1;
  const words = Array.from({ length: 120 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % 9 === 0 ? "é日" : state.toString(36);
  });
  return words.join(" ");
});
const LINES = ROWS.map((text, id) => JSON.stringify({ id, text }));

const bytesOf = (texts: readonly string[]) => new TextEncoder().encode(texts.join("\n\n")).length;

Deno.test("the length of a large file's texts is told from its beginning", async () => {
  const json = LINES.join("\n");
  const files = {
    "JSON lines": json,
    "JSON array": `[${LINES}]`,
    "JSON lines in gzip": gzipSync(json, { level: 1 }),
    "JSON lines in zstd": zstdCompressSync(json),
    "text in gzip": gzipSync(ROWS.join("\n\n"), { level: 1 }),
    "text": ROWS.join("\n\n"),
  };
  const expected = bytesOf(ROWS);
  for (const [form, content] of Object.entries(files)) {
    await using file = await temporaryFile(content);
    const { parts, bytes } = await sampleText(file.path, { bytes: 1 });
    // A block that is not whole yet is some percent of what is read.
    assert.ok(Math.abs(bytes / expected - 1) < 0.05, `${form}: ${bytes} of ${expected}`);
    assert.equal(parts.length, 8);
    for (const part of parts) assert.match(part, /[0-9a-z]{4}/);
  }
});

Deno.test("so is the length of the first of them", async () => {
  await using file = await temporaryFile(gzipSync(LINES.join("\n"), { level: 1 }));
  for (const documents of [10, 200, 5000]) {
    const { bytes } = await sampleText(file.path, { bytes: 1, documents });
    const expected = bytesOf(ROWS.slice(0, documents));
    assert.ok(Math.abs(bytes / expected - 1) < 0.02, `${documents}: ${bytes} of ${expected}`);
  }
});

async function temporaryFile(
  content: string | Uint8Array,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempFile();
  await Deno.writeFile(
    path,
    typeof content === "string" ? new TextEncoder().encode(content) : content,
  );
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}
