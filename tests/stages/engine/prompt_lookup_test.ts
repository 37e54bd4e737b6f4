import { strict as assert } from "node:assert";
import { PromptLookup, standing } from "../../../stages/engine/prompt_lookup.ts";

Deno.test("a draft is what stood behind the longest row of tokens that is also the end", () => {
  const tokens = [1, 2, 3, 4, 5, 9, 2, 3, 4, 6, 7, 2, 3, 4];
  // 3 alike twice: the later one.
  assert.deepEqual(new PromptLookup().draft(tokens, 3), [6, 7, 2]);
  // 4 alike once, though 3 alike stand later.
  assert.deepEqual(new PromptLookup().draft([1, ...tokens.slice(1, -3), 1, 2, 3, 4], 2), [5, 9]);
  assert.deepEqual(new PromptLookup().draft(tokens, 0), []);
  for (const none of [[], [1], [1, 1], [3, 4, 5, 8, 4, 5], [1, 2, 3, 4, 5]]) {
    assert.deepEqual(new PromptLookup().draft(none, 4), [], none.join());
  }
});

Deno.test("what repeats without end is guessed beyond what was said", () => {
  assert.deepEqual(new PromptLookup().draft([8, 1, 2, 1, 2, 1, 2], 4), [1, 2, 1, 2]);
  assert.deepEqual(new PromptLookup().draft([5, 5, 5, 5], 4), [5, 5, 5, 5]);
});

Deno.test("what was looked at before is not looked at again, and the draft is the same", () => {
  const all = Array.from({ length: 200 }, (_, i) => (i * i * 7 + i) % 11);
  const lookup = new PromptLookup();
  for (let length = 1; length <= all.length; length++) {
    const tokens = all.slice(0, length);
    assert.deepEqual(lookup.draft(tokens, 4), new PromptLookup().draft(tokens, 4));
  }
});

Deno.test("drafts become longer where they were right, and rarer where they were wrong", () => {
  const tokens = Array<number>(60).fill(5);
  const lookup = new PromptLookup();
  assert.equal(lookup.draft(tokens, 20).length, 4);
  lookup.tell(4, 4);
  assert.equal(lookup.draft(tokens, 20).length, 8);
  lookup.tell(8, 3);
  assert.equal(lookup.draft(tokens, 20).length, 3);
  const pauses: number[] = [];
  for (let i = 0; i < 4; i++) {
    lookup.tell(1, 0);
    let pause = 0;
    while (lookup.draft(tokens, 20).length === 0) pause++;
    pauses.push(pause);
  }
  assert.deepEqual(pauses, [1, 2, 4, 8]);
});

Deno.test("of drawn tokens those stand that the draft foretold, and one more", () => {
  const drawn = [3, 4, 5, 6].map((token) => ({ token }));
  const tokens = (draft: number[], all = drawn) => standing(draft, all).map(({ token }) => token);
  assert.deepEqual(tokens([3, 4, 5]), [3, 4, 5, 6]);
  assert.deepEqual(tokens([3, 9, 5]), [3, 4]);
  assert.deepEqual(tokens([9, 4, 5]), [3]);
  assert.deepEqual(tokens([]), [3]);
  // Where fewer were drawn, fewer stand.
  assert.deepEqual(tokens([3, 4, 5], drawn.slice(0, 2)), [3, 4]);
});
