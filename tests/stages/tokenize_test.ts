import { strict as assert } from "node:assert";
import { gzipSync } from "node:zlib";
import type { NoteLevel } from "../../pipeline/artifact.ts";
import { EMBEDDED } from "../../stages/models/checkpoint_place.ts";
import { stories } from "../../stages/data/stories.ts";
import { factsOf } from "../../stages/facts.ts";
import { tokenize } from "../../stages/tokenize.ts";
import { GOLDEN } from "../support/golden_text.ts";
import { forgetful } from "../support/journal_stub.ts";

const MODEL = { kind: "model", key: "m", digest: "m", path: EMBEDDED, scores: {} } as const;

/** What tokenizing a file gives, and what is said of it. */
interface Given {
  readonly ids: readonly number[];
  readonly notes: readonly (readonly [text: string, level: NoteLevel | undefined])[];
  readonly data: Readonly<Record<string, unknown>> | undefined;
  /** Tokens forecast before. */
  readonly forecast: number;
}

async function tokenized(content: string | Uint8Array, params: object = {}): Promise<Given> {
  await using place = await temporary();
  const text = `${place.path}/given.txt`;
  await Deno.writeFile(
    text,
    typeof content === "string" ? new TextEncoder().encode(content) : content,
  );
  const out = `${place.path}/out`;
  await Deno.mkdir(out);
  const notes: [string, NoteLevel | undefined][] = [];
  let data: Given["data"];
  const parsed = tokenize.params.parse({ text, ...params });
  const model = await factsOf(MODEL) as Parameters<
    NonNullable<typeof tokenize.forecast>
  >[0]["model"];
  const { facts } = await tokenize.forecast!({ model }, parsed, { memoryBytes: 1e9 });
  const job: Parameters<typeof tokenize.run>[0] = {
    tools: { device: () => Promise.reject(new Error("a device for tokens")), memoryBytes: 1e9 },
    out,
    journal: forgetful,
    signal: new AbortController().signal,
    progress: () => {},
    note(text, more, level) {
      notes.push([text, level]);
      data ??= more;
    },
  };
  await tokenize.run(job, { model: MODEL }, parsed);
  const { buffer } = await Deno.readFile(`${out}/tokens.u32`);
  const { count } = facts as { readonly count: number };
  return { ids: [...new Uint32Array(buffer)], notes, data, forecast: count };
}

Deno.test("JSON lines in gzip, as C4 is published, give the tokens of their texts", async () => {
  const rows = Array.from({ length: 40 }, (_, i) => `${GOLDEN.text} ${i}\n`);
  const lines = rows.map((text) => JSON.stringify({ text, timestamp: "2019", url: "http://x" }));
  const [got, plain] = [
    await tokenized(gzipSync(lines.join("\n"))),
    await tokenized(rows.join("\n\n")),
  ];
  assert.deepEqual(got.ids, plain.ids);
  // Those of the Rust library.
  assert.deepEqual(got.ids.slice(0, GOLDEN.ids.length - 1), GOLDEN.ids.slice(0, -1));
  const characters = rows.join("\n\n").length;
  const words = `${got.ids.length} tokens from ${characters} characters of 40 documents`;
  assert.deepEqual(got.notes, [[`${words} (JSON lines in gzip), none unknown`, undefined]]);
  assert.equal(got.data?.["form"], "JSON lines in gzip");
  for (const { ids, forecast } of [got, plain]) {
    assert.ok(Math.abs(forecast / ids.length - 1) < 0.02, `${forecast} of ${ids.length}`);
  }
});

Deno.test("a text's tokens are forecast though it is packed, in JSON, or taken in part", async () => {
  const text = stories({ split: "test", bytes: 60_000 });
  const rows = text.split("\n\n");
  const lines = rows.map((text) => JSON.stringify({ text, id: 7 })).join("\n");
  for (const content of [gzipSync(text), lines]) {
    const { ids, forecast } = await tokenized(content);
    assert.ok(Math.abs(forecast / ids.length - 1) < 0.05, `${forecast} of ${ids.length}`);
  }
  const few = await tokenized(gzipSync(lines), { documents: 20 });
  assert.deepEqual(few.ids, (await tokenized(rows.slice(0, 20).join("\n\n"))).ids);
  assert.ok(Math.abs(few.forecast / few.ids.length - 1) < 0.05, `${few.forecast}`);
});

Deno.test("conversations are laid out by the model's own template, which writes its special tokens", async () => {
  const turns = [{ role: "user", content: "Once there was" }, {
    role: "assistant",
    content: "a girl",
  }];
  const { ids, notes } = await tokenized(JSON.stringify({ messages: turns }));
  // The template beside the model: its first token, then contents with ends of lines between them.
  const plain = await tokenized("Once there was\na girl", { special: false });
  assert.deepEqual(ids, [0, ...plain.ids]);
  assert.match(notes[0]![0], / of 1 conversation \(JSON lines\), none unknown$/);
});

Deno.test("text that is no text of the model's is warned of", async () => {
  // Its vocabulary has English stories, and the bytes of everything else.
  const { notes } = await tokenized("日本語の文章".repeat(100));
  assert.match(
    notes[1]![0],
    /^3\.00 tokens a character are as many as binary or encoded data takes/,
  );
  assert.equal(notes[1]![1], "warning");
});

Deno.test("what no step could read is refused by the forecast, before any work", async () => {
  const model = await factsOf(MODEL) as Parameters<
    NonNullable<typeof tokenize.forecast>
  >[0]["model"];
  await using place = await temporary();
  const text = `${place.path}/a.json`;
  await Deno.writeTextFile(text, '[{"body": "a"}]');
  const params = tokenize.params.parse({ text });
  await assert.rejects(
    async () => await tokenize.forecast!({ model }, params, { memoryBytes: 1e9 }),
    /^TypeError: Cannot read field "text" of element 1 of .*: it is missing, expected a text/,
  );
});

async function temporary(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
