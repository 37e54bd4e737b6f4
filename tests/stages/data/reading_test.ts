import assert from "node:assert/strict";
import { tellReading } from "../../../stages/data/reading.ts";
import type { GivenText } from "../../../stages/data/text.ts";

const PROSE = "Once there was a gentle girl named Greta. She lived by the mill. ".repeat(20);

function source(text: string, more: Partial<GivenText> = {}): GivenText {
  const characters = [...text].length;
  return { text, form: "text", documents: 1, characters, chat: false, ...more };
}

/** Ids of a tokenizer of a usual size; 3 stands for what it lacks. */
function told(text: string, count: number, { unknown = 0, size = 32_000 } = {}) {
  const ids = Uint32Array.from({ length: count }, (_, i) => i < unknown ? 3 : 5);
  return tellReading(source(text), { ids, size, unknown: 3 });
}

Deno.test("what was read is said with form, documents, characters, tokens and the unknown share", () => {
  const more = { form: "JSON lines in gzip", documents: 256, chat: true };
  const ids = Uint32Array.of(1, 2, 3, 3, 4, 5, 6, 7);
  const { words, data, warnings } = tellReading(source("naïve 😀 text of some words", more), {
    ids,
    size: 100,
    unknown: 3,
  });
  const expected =
    "8 tokens from 26 characters of 256 conversations (JSON lines in gzip), 25.00 % unknown";
  assert.equal(words, expected);
  const form = "JSON lines in gzip";
  assert.deepEqual(data, { tokens: 8, characters: 26, documents: 256, form, unknown: 2 });
  assert.match(warnings[0]!, /^25\.0 % of the tokens stand for what the vocabulary lacks/);
  const plain = told(PROSE, 300);
  assert.equal(
    plain.words,
    `300 tokens from ${PROSE.length} characters of 1 document (text), none unknown`,
  );
  assert.deepEqual(plain.warnings, []);
});

Deno.test("a text of as many tokens as binary data has is warned of, others are not", () => {
  const characters = PROSE.length;
  // Prose, source code, and what a tokenizer of few entries makes of prose.
  assert.deepEqual(told(PROSE, 0.25 * characters).warnings, []);
  assert.deepEqual(told(PROSE, 0.4 * characters).warnings, []);
  assert.deepEqual(told(PROSE, 0.6 * characters, { size: 320 }).warnings, []);
  for (const [share, size] of [[0.7, 32_000], [0.95, 320]] as const) {
    const [warning] = told(PROSE, share * characters, { size }).warnings;
    assert.match(
      warning!,
      new RegExp(`^${share.toFixed(2)} tokens a character are as many as binary`),
    );
  }
  // As bytes of UTF-8 go, a character of Chinese in one token is no binary data.
  assert.deepEqual(told("日本語".repeat(100), 300).warnings, []);
  assert.equal(told("日本語".repeat(100), 900).warnings.length, 1);
});

Deno.test("lost bytes and control characters are warned of", () => {
  const some = told(`${PROSE}${"\ufffd".repeat(20)}\u0000`, 300);
  assert.match(some.warnings.join(), /^1\.6 % of the characters are U\+FFFD or control characters/);
  assert.deepEqual(told(`${PROSE}\ufffd\t\r\n\u001b[1m`, 300).warnings, []);
});

Deno.test("few tokens that the vocabulary lacks are said, but not warned of", () => {
  const { words, warnings } = told(PROSE, 300, { unknown: 2 });
  assert.match(words, /, 0\.67 % unknown$/);
  assert.deepEqual(warnings, []);
});
