import { strict as assert } from "node:assert";
import { protocolId } from "../../../stages/metrics/perplexity.ts";
import { cutWindows, type WindowChoice, windowCount } from "../../../stages/models/text_windows.ts";

const TEXT = Uint32Array.of(11, 12, 13, 14, 15, 16, 17, 18, 19);

const cut = (choice: WindowChoice, text = TEXT) => [...cutWindows(text, choice, 2)];

Deno.test("windows follow each other from the start, or from where they are asked for", () => {
  assert.deepEqual(cut({ context: 4, windows: "all" }), [11, 12, 13, 14, 15, 16, 17, 18]);
  assert.deepEqual(cut({ context: 4, windows: 1 }), [11, 12, 13, 14]);
  assert.deepEqual(cut({ context: 3, windows: { first: 1, count: 2 } }), [14, 15, 16, 17, 18, 19]);
});

Deno.test("the first token stands before every window, which has one token less of the text", () => {
  const expected = [2, 11, 12, 13, 2, 14, 15, 16, 2, 17, 18, 19];
  assert.deepEqual(cut({ context: 4, windows: "all", bos: "window" }), expected);
  const last = { context: 4, windows: { first: 2, count: 1 }, bos: "window" } as const;
  assert.deepEqual(cut(last), expected.slice(8));
  assert.equal(windowCount(46_945, { context: 512, windows: "all", bos: "window" }).count, 91);
});

Deno.test("or once before the text", () => {
  const expected = [2, 11, 12, 13, 14, 15, 16, 17];
  assert.deepEqual(cut({ context: 4, windows: "all", bos: "text" }), expected);
  assert.deepEqual(
    cut({ context: 4, windows: { first: 1, count: 1 }, bos: "text" }),
    expected.slice(4),
  );
  assert.deepEqual(cut({ context: 5, windows: "all", bos: "text" }), [2, ...TEXT]);
});

Deno.test("a text that begins with the first token does not get it twice", () => {
  const begun = Uint32Array.of(2, ...TEXT);
  for (const bos of ["window", "text"] as const) {
    for (const context of [3, 4, 5]) {
      const choice = { context, windows: "all", bos } as const;
      assert.deepEqual(cut(choice, begun), cut(choice));
    }
  }
  assert.deepEqual(cut({ context: 4, windows: 1 }, begun), [2, 11, 12, 13]);
});

Deno.test("a text of too few windows is refused with what it would take", () => {
  const cases: readonly (readonly [WindowChoice, string])[] = [
    [
      { context: 4, windows: 3 },
      "3 windows of 4 tokens: the text has 9 tokens, expected at least 12",
    ],
    [
      { context: 16, windows: "all" },
      "0 windows of 16 tokens: the text has 9 tokens, expected at least 16",
    ],
    [
      { context: 4, windows: { first: 2, count: 1 } },
      "1 windows of 4 tokens behind the first 2: the text has 9 tokens, expected at least 12",
    ],
    [
      { context: 4, windows: 4, bos: "window" },
      "4 windows of 4 tokens: the text has 9 tokens, expected at least 12",
    ],
    [
      { context: 4, windows: 3, bos: "text" },
      "3 windows of 4 tokens: the text has 9 tokens, expected at least 11",
    ],
  ];
  for (const [choice, words] of cases) {
    assert.throws(() => cut(choice), {
      name: "RangeError",
      message: `Cannot cut ${words}; lower windows or context`,
    });
  }
});

Deno.test("the protocol names what was added and left out; without either it is as it was", () => {
  const usual = "windows, tail dropped, no token added, fresh context, mean of window means";
  assert.equal(protocolId({ windows: 8 }), usual);
  assert.equal(protocolId({ windows: "all" }), usual);
  assert.equal(
    protocolId({ windows: 8, bos: "window" }),
    usual.replace("no token added", "first token before every window"),
  );
  assert.equal(
    protocolId({ windows: { first: 8, count: 2 }, bos: "text" }),
    "windows from 8, tail dropped, first token before the text, fresh context, mean of window means",
  );
});
