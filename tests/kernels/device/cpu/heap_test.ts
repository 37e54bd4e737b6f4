import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FIRST_ADDRESS, Heap, type Region } from "../../../../kernels/device/cpu/heap.ts";
import { SLACK_BYTES } from "../../../../kernels/device/cpu/protocol.ts";

const LINE = 64;
const PAGES = 40;
const END = PAGES * 65536;

/** What is done to a heap; the number chooses among regions that are there. */
const STEP = fc.oneof(
  { weight: 5, arbitrary: fc.record({ create: fc.integer({ min: 0, max: 400_000 }) }) },
  { weight: 3, arbitrary: fc.record({ destroy: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ use: fc.nat() }) },
);

interface Span {
  readonly start: number;
  readonly end: number;
}

/** What a region may be read and written at, whole lines. */
function spanOf({ address, size }: Pick<Region, "address" | "size">): Span {
  return { start: address, end: address + Math.ceil((size + SLACK_BYTES) / LINE) * LINE };
}

function meets(a: Span, b: Span): boolean {
  return a.start < b.end && b.start < a.end;
}

/** Where the lowest room is between regions; none if there is none. */
function lowestRoom(regions: readonly Region[], bytes: number): number | undefined {
  let at = FIRST_ADDRESS;
  for (const { start, end } of regions.map(spanOf).sort((a, b) => a.start - b.start)) {
    if (start - at >= bytes) return at;
    at = end;
  }
  return END - at >= bytes ? at : undefined;
}

Deno.test("regions take the lowest room, touch no other, and know when their bytes were last used", () => {
  fc.assert(fc.property(fc.array(STEP, { maxLength: 60 }), (steps) => {
    const heap = new Heap(2, END);
    const there: Region[] = [];
    const uses: (Span & { readonly turn: number })[] = [];
    for (const [turn, step] of steps.entries()) {
      if ("create" in step) {
        const room = lowestRoom(there, spanOf({ address: 0, size: step.create }).end);
        const region = heap.create(step.create);
        assert.equal(region?.address, room);
        if (!region) continue;
        assert.equal(region.address % LINE, 0);
        assert.deepEqual([region.bank, region.size], [2, step.create]);
        const span = spanOf(region);
        assert.ok(span.end <= heap.memory.buffer.byteLength);
        const before = uses.filter((use) => meets(use, span)).map(({ turn }) => turn);
        assert.ok(region.lastUse >= Math.max(0, ...before));
        there.push(region);
      } else if (there.length > 0 && "destroy" in step) {
        there.splice(step.destroy % there.length, 1)[0]!.destroy();
      } else if (there.length > 0 && "use" in step) {
        const region = there[step.use % there.length]!;
        region.lastUse = turn + 1;
        uses.push({ ...spanOf(region), turn: turn + 1 });
      }
    }
    for (const region of there) region.destroy();
    const held = heap.memory.buffer.byteLength;
    const whole = heap.create(held - FIRST_ADDRESS - SLACK_BYTES);
    assert.equal(whole?.address, FIRST_ADDRESS, "what was given back is one piece");
    assert.equal(heap.memory.buffer.byteLength, held);
    assert.ok(whole.lastUse >= Math.max(0, ...uses.map(({ turn }) => turn)));
  }));
});

Deno.test("a heap ends where it is told to, and at its most", () => {
  const heap = new Heap(0, END);
  const half = END / 2;
  assert.equal(heap.create(half, half), undefined);
  assert.ok(heap.create(half - FIRST_ADDRESS - SLACK_BYTES, half));
  assert.equal(heap.create(0, half), undefined);
  assert.ok(heap.create(half - SLACK_BYTES));
  assert.equal(heap.create(0), undefined);
});
