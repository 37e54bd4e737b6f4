import { strict as assert } from "node:assert";
import fc from "fast-check";
import { GREEDY } from "../../../stages/engine/engine.ts";
import { Pages } from "../../../stages/engine/pages.ts";
import { type Chunk, Scheduler } from "../../../stages/engine/scheduler.ts";
import { generated, newSequence, type Sequence } from "../../../stages/engine/sequence.ts";

function sequence(id: number, prompt: readonly number[], maxTokens = 8): Sequence {
  return newSequence(id, { prompt, maxTokens, sampling: GREEDY, stopTokens: [] });
}

function ids(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

function words(chunks: readonly Chunk[]): string[] {
  return chunks.map(({ sequence: { id }, start, count, last }) =>
    `${id}: ${start}+${count}${last ? " last" : ""}`
  );
}

/** Runs a step as a model would that answers with the length of the sequence. */
function run(scheduler: Scheduler): string[] {
  const chunks = scheduler.next();
  for (const chunk of chunks) {
    scheduler.done(chunk);
    if (chunk.last) chunk.sequence.tokens.push(chunk.sequence.tokens.length);
  }
  return words(chunks);
}

Deno.test("the scheduler runs prompts in chunks beside those that generate", () => {
  const pages = new Pages(20);
  const scheduler = new Scheduler(pages, { tokens: 100, sequences: 3 });
  scheduler.add(sequence(1, ids(0, 70)));
  assert.deepEqual(run(scheduler), ["1: 0+70 last"]);
  scheduler.add(sequence(2, ids(1000, 150)));
  scheduler.add(sequence(3, ids(2000, 10)));
  assert.deepEqual(run(scheduler), ["1: 70+1 last", "2: 0+99"]);
  assert.deepEqual(run(scheduler), ["1: 71+1 last", "2: 99+51 last", "3: 0+10 last"]);
  assert.deepEqual(run(scheduler), ["1: 72+1 last", "2: 150+1 last", "3: 10+1 last"]);
});

Deno.test("the scheduler admits no more sequences than it may, and by free pages", () => {
  const scheduler = new Scheduler(new Pages(4), { tokens: 1000, sequences: 2 });
  for (const [id, length] of [[1, 64], [2, 100], [3, 3]] as const) {
    scheduler.add(sequence(id, ids(1000 * id, length)));
  }
  // 64 tokens and the next one take two pages.
  assert.deepEqual(run(scheduler), ["1: 0+64 last", "2: 0+100 last"]);
  assert.equal(scheduler.counts.waiting, 1);
});

Deno.test("the scheduler tells the adapters of what runs and waits, each once", () => {
  const scheduler = new Scheduler(new Pages(4), { tokens: 1000, sequences: 3 });
  const adapters = [2, undefined, 2, 1, 1];
  for (const [id, adapter] of adapters.entries()) {
    const request = { prompt: ids(1000 * id, 10), maxTokens: 8, sampling: GREEDY, stopTokens: [] };
    scheduler.add(newSequence(id, { ...request, ...adapter !== undefined && { adapter } }));
  }
  assert.deepEqual(scheduler.counts.adapters, { running: [], waiting: [1, 2] });
  run(scheduler);
  assert.deepEqual(scheduler.counts.adapters, { running: [2], waiting: [1] });
});

Deno.test("the scheduler lets the sequence that began last begin anew where pages run out", () => {
  const pages = new Pages(3);
  const scheduler = new Scheduler(pages, { tokens: 1000, sequences: 4 });
  const [first, second] = [sequence(1, ids(0, 120), 100), sequence(2, ids(500, 50), 100)];
  scheduler.add(first);
  scheduler.add(second);
  assert.deepEqual(run(scheduler), ["1: 0+120 last", "2: 0+50 last"]);
  for (let i = 0; i < 8; i++) run(scheduler);
  assert.equal(first.tokens.length, 129);
  // The first needs a third page now.
  assert.deepEqual(run(scheduler), ["1: 128+1 last"]);
  const { adapters: _, ...counts } = scheduler.counts;
  assert.deepEqual(counts, { running: 1, waiting: 1, waitingTokens: 59, preemptions: 1 });
  scheduler.remove(first);
  assert.deepEqual(run(scheduler), ["2: 0+59 last"]);
  assert.equal(second.cached, 0);
});

Deno.test("a prompt that begins alike uses the pages that are there, also after its sequence ended", () => {
  const pages = new Pages(8);
  const scheduler = new Scheduler(pages, { tokens: 1000, sequences: 4 });
  const prompt = ids(0, 200);
  const first = sequence(1, prompt);
  scheduler.add(first);
  run(scheduler);
  scheduler.add(sequence(2, [...prompt.slice(0, 130), ...ids(900, 70)]));
  assert.deepEqual(run(scheduler), ["1: 200+1 last", "2: 128+72 last"]);
  scheduler.remove(first);
  const third = sequence(3, prompt);
  scheduler.add(third);
  assert.deepEqual(run(scheduler).at(-1), "3: 192+8 last");
  assert.equal(third.cached, 192);
  assert.deepEqual(pages.prefixCache, { queries: 600, hits: 128 + 192 });
});

Deno.test("with sinks a first page has fewer tokens, and prompts that begin alike use it with them", () => {
  const pages = new Pages(9, 4);
  const scheduler = new Scheduler(pages, { tokens: 1000, sequences: 4 });
  // The first page has 52 tokens: 52 and the next one take two.
  scheduler.add(sequence(1, ids(0, 52)));
  assert.deepEqual(run(scheduler), ["1: 0+52 last"]);
  assert.equal(pages.counts.used, 2);
  scheduler.add(sequence(2, ids(0, 130)));
  assert.deepEqual(run(scheduler).at(-1), "2: 52+78 last");
  scheduler.add(sequence(3, [...ids(0, 116), 7]));
  assert.deepEqual(run(scheduler).at(-1), "3: 116+1 last");
  // 116 tokens again, whose last one has to run; and 52 that are not the same.
  scheduler.add(sequence(4, ids(0, 116)));
  assert.deepEqual(run(scheduler).at(-1), "4: 52+64 last");
  assert.deepEqual(pages.prefixCache, { queries: 415, hits: 52 + 116 + 52 });
});

Deno.test("a prompt is never taken from the cache to its last token, nor one whose scores are asked for", () => {
  const pages = new Pages(8);
  const scheduler = new Scheduler(pages, { tokens: 1000, sequences: 4 });
  scheduler.add(sequence(1, ids(0, 128)));
  run(scheduler);
  scheduler.add(sequence(2, ids(0, 128)));
  assert.deepEqual(run(scheduler).at(-1), "2: 64+64 last");
  const request = { prompt: ids(0, 128), maxTokens: 1, sampling: GREEDY, stopTokens: [] };
  scheduler.add(newSequence(3, { ...request, promptLogprobs: 0 }));
  assert.deepEqual(run(scheduler).at(-1), "3: 0+128 last");
});

Deno.test("a page that was taken for other tokens is not found under the old ones", () => {
  const pages = new Pages(3);
  const scheduler = new Scheduler(pages, { tokens: 1000, sequences: 4 });
  const first = sequence(1, ids(0, 130));
  scheduler.add(first);
  run(scheduler);
  scheduler.remove(first);
  assert.deepEqual(pages.counts, { used: 0, cached: 2, total: 3 });
  const second = sequence(2, ids(500, 130));
  scheduler.add(second);
  run(scheduler);
  scheduler.remove(second);
  const third = sequence(3, ids(0, 130));
  scheduler.add(third);
  assert.deepEqual(run(scheduler), ["3: 0+130 last"]);
});

Deno.test("whatever comes and goes, pages are neither lost nor used twice, and all sequences end", () => {
  const arrival = fc.record({
    kind: fc.integer({ min: 0, max: 2 }),
    length: fc.integer({ min: 1, max: 200 }),
    maxTokens: fc.integer({ min: 1, max: 150 }),
    cancelled: fc.option(fc.integer({ min: 0, max: 30 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(
      fc.array(arrival, { maxLength: 25 }),
      fc.integer({ min: 7, max: 14 }),
      fc.constantFrom(0, 1, 4, 16),
      (all, total, sinks) => {
        const pages = new Pages(total, sinks);
        const scheduler = new Scheduler(pages, { tokens: 96, sequences: 5 });
        const live = new Map<Sequence, number | undefined>();
        let steps = 0;
        const coming = [...all];
        while (coming.length > 0 || live.size > 0) {
          const next = coming.shift();
          if (next) {
            const { kind, length, maxTokens, cancelled } = next;
            const made = sequence(steps, ids(1000 * kind, length), maxTokens);
            scheduler.add(made);
            live.set(made, cancelled);
          }
          for (const chunk of scheduler.next()) {
            assert.ok(chunk.start === chunk.sequence.computed && chunk.count > 0);
            const held = chunk.sequence.pages.length * 64 - 3 * sinks;
            assert.ok(held >= chunk.start + chunk.count);
            scheduler.done(chunk);
            if (chunk.last) chunk.sequence.tokens.push(7);
          }
          for (const [each, cancelled] of live) {
            const over = generated(each) >= each.request.maxTokens;
            if (!over && !(cancelled !== undefined && steps > each.id + cancelled)) continue;
            scheduler.remove(each);
            live.delete(each);
          }
          // A page is in one place, or shared because it holds the same block.
          const held = [...live.keys()].flatMap(({ pages }) => pages);
          assert.equal(new Set(held).size, pages.counts.used);
          assert.ok(++steps < 20_000, "some sequence never ends");
        }
        assert.equal(pages.available, total);
        assert.ok(scheduler.idle);
      },
    ),
    { numRuns: 60, seed: 7 },
  );
});
