import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import type { GenerationEvent } from "../../../stages/engine/engine.ts";
import { answer, type AnswerRequest } from "../../../stages/serve/answer.ts";
import {
  openServedTokenizer,
  type ServedTokenizer,
} from "../../../stages/serve/served_tokenizer.ts";
import { watchForStops } from "../../../stages/serve/stop_strings.ts";
import { codePoints, openTextStream, textOf } from "../../../stages/serve/text_stream.ts";
import { embeddedTokenizer, sentencePieceFiles } from "../../support/server_stub.ts";
import sentencepiece from "../../testdata/sentencepiece_tokens.json" with { type: "json" };

const TEXTS = [
  "a cat 🐈 and a 👩‍👩‍👧‍👦 family",
  "日本語です。中文, 한국어",
  "naïve café — “quotes” ½ ٣",
  "\ufeffmark\u0000\u0085  spaces \n\n\t",
  "real \ufffd replacement",
];

/** Pieces of a text as tokens complete them; each must be whole characters. */
function streamed(tokenizer: ServedTokenizer, ids: readonly number[], within: boolean): string[] {
  const stream = openTextStream(tokenizer, { within });
  const pieces = ids.map((id) => stream.push(id));
  for (const piece of pieces) ok(piece.isWellFormed(), JSON.stringify(piece));
  const rest = stream.end();
  return [...pieces, rest];
}

Deno.test("a text of a byte-level tokenizer comes in whole characters that add up to it", async () => {
  const tokenizer = await embeddedTokenizer();
  for (const text of TEXTS) {
    const ids = tokenizer.encode(text);
    const pieces = streamed(tokenizer, ids, true);
    strictEqual(pieces.join(""), text);
    if (!text.includes("\ufffd")) ok(!pieces.some((piece) => piece.includes("\ufffd")), text);
  }
  const split = tokenizer.encode("🐈");
  ok(split.length > 1, "the vocabulary has no token for it, so this test would show nothing");
  deepStrictEqual(streamed(tokenizer, split, true), [...split.slice(1).map(() => ""), "🐈", ""]);
});

Deno.test("a text of a SentencePiece tokenizer comes in whole characters that add up to it", () => {
  const tokenizer = sentencePieceTokenizer();
  let parts = 0;
  for (const { text, ids } of sentencepiece.cases) {
    const want = text.replaceAll("▁", " ");
    strictEqual(streamed(tokenizer, ids, false).join(""), want, JSON.stringify(text));
    strictEqual(streamed(tokenizer, ids, false).join(""), tokenizer.decode(ids));
    parts += ids.filter((id) => /^<0x/.test(tokenizer.token(id)!)).length;
  }
  ok(parts > 0, "no case has bytes");
});

Deno.test("an answer of a SentencePiece tokenizer keeps the space before its first word", () => {
  const tokenizer = sentencePieceTokenizer();
  const ids = tokenizer.encode("the fox");
  strictEqual(streamed(tokenizer, ids, true).join(""), " the fox");
  strictEqual(streamed(tokenizer, ids, false).join(""), "the fox");
});

Deno.test("a stream of any tokens gives what decoding them at once gives", async () => {
  const tokenizer = await embeddedTokenizer();
  const words = Array.from({ length: tokenizer.size }, (_, id) => id)
    .filter((id) => !tokenizer.special(id));
  fc.assert(fc.property(fc.array(fc.constantFrom(...words), { maxLength: 30 }), (ids) => {
    strictEqual(streamed(tokenizer, ids, true).join(""), tokenizer.decode(ids));
  }));
});

Deno.test("tokens that are no text are left out unless they are asked for", async () => {
  const tokenizer = await embeddedTokenizer();
  const ids = [...tokenizer.encode("a"), tokenizer.eos!, ...tokenizer.encode("b")];
  strictEqual(streamed(tokenizer, ids, true).join(""), "ab");
  const stream = openTextStream(tokenizer, { special: true });
  strictEqual(ids.map((id) => stream.push(id)).join(""), "a<|endoftext|>b");
  strictEqual(textOf(tokenizer, tokenizer.eos!), "<|endoftext|>");
});

Deno.test("characters are counted as Python counts them", () => {
  strictEqual(codePoints("a🐈日\u0301"), 4);
  strictEqual(codePoints(""), 0);
});

Deno.test("a text ends before its stop string however it is cut into pieces", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 });
  const stop = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 5 });
  fc.assert(fc.property(letters, stop, fc.infiniteStream(fc.nat(4)), (text, stop, sizes) => {
    const watch = watchForStops([stop]);
    let [shown, stopped, at] = ["", false, 0];
    while (at < text.length && !stopped) {
      const size = sizes.next().value!;
      const seen = watch.push(text.slice(at, at + size));
      at += size;
      shown += seen.text;
      stopped = seen.stopped;
      // Nothing that is shown may later turn out to belong to the stop string.
      ok(text.startsWith(shown));
    }
    if (!stopped) shown += watch.end();
    const found = text.indexOf(stop);
    strictEqual(stopped, found >= 0);
    strictEqual(shown, found < 0 ? text : text.slice(0, found));
  }));
});

Deno.test("a text is held back only while it may become a stop string", () => {
  const watch = watchForStops(["\n\nQ:", "END"]);
  const texts = ["a\n", "\nb", "\n\n", "Q", " E", "N", "D!"].map((text) => watch.push(text));
  deepStrictEqual(texts.map(({ text }) => text), ["a", "\n\nb", "", "", "\n\nQ ", "", ""]);
  deepStrictEqual(texts.map(({ stopped }) => stopped), [...Array(6).fill(false), true]);
  const keeping = watchForStops(["END"], { keep: true });
  deepStrictEqual(keeping.push("the END of"), { text: "the END", stopped: true, stop: "END" });
});

Deno.test("tokens come with the text they begin in, and those of a stop string never", async () => {
  const tokenizer = await embeddedTokenizer();
  const ids = [..."zaaab"].map((letter) => tokenizer.id(letter)!);
  async function* events(): AsyncGenerator<GenerationEvent> {
    yield { type: "prompt", cached: 0, queued: 0 };
    for (const token of ids) yield await Promise.resolve({ type: "token", token, logprob: -1 });
    throw new Error("It went on behind the stop string");
  }
  const request = {
    generation: { stopTokens: [] as number[] },
    stops: ["aab"],
    keepStop: false,
    special: false,
  } as unknown as AnswerRequest;
  const seen = [];
  for await (const event of answer(events(), { request, tokenizer })) {
    if (event.type === "text") seen.push([event.text, event.tokens.map(({ token }) => token)]);
  }
  deepStrictEqual(seen, [["z", [ids[0]]], ["a", [ids[1]]]]);
});

Deno.test("a tokenizer with ends, template and special tokens is read from its files", async () => {
  const tokenizer = await embeddedTokenizer();
  deepStrictEqual(tokenizer.ends, [0]);
  match(tokenizer.chatTemplate!, /bos_token/);
  deepStrictEqual(tokenizer.info["eos_token"], "<|endoftext|>");
  const files = sentencePieceFiles();
  const more = openServedTokenizer({
    ...files,
    config: {
      ...files.config as object,
      chat_template: [{ name: "tool", template: "t" }, { name: "default", template: "d" }],
    },
  }, new Map([["generation_config.json", '{"eos_token_id": [2, 7]}']]));
  deepStrictEqual([more.ends, more.chatTemplate], [[2, 7], "d"]);
  const own = openServedTokenizer(files, new Map([["chat_template.jinja", "own"]]));
  const config = { eos_token_id: [1, 9] };
  deepStrictEqual(openServedTokenizer(files, new Map(), config).ends, [2, 1, 9]);
  strictEqual(own.chatTemplate, "own");
});

Deno.test("a tokenizer that cannot be streamed is refused in a sentence", () => {
  const files = sentencePieceFiles();
  const tokenizer = {
    ...files.tokenizer as object,
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  };
  throws(() => openServedTokenizer({ ...files, tokenizer }), {
    message: "Cannot stream text of a tokenizer: its decoder is WordPiece, " +
      "expected ByteLevel, ByteFallback or Metaspace",
  });
});

function sentencePieceTokenizer(): ServedTokenizer {
  return openServedTokenizer(sentencePieceFiles());
}
