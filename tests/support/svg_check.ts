import { strict as assert } from "node:assert";

/** Throws unless a text is one SVG element whose tags, attributes and entities are in order. */
export function assertWellFormed(svg: string): void {
  const open: string[] = [];
  let end = 0;
  for (const match of svg.matchAll(/<(\/?)([a-z]\w*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/gi)) {
    const [whole, closing, name, , empty] = match;
    assert.doesNotMatch(svg.slice(end, match.index), /[<>]|&(?!\w+;|#\d+;)/);
    end = match.index + whole.length;
    if (closing) assert.equal(open.pop(), name);
    else if (!empty) open.push(name!);
  }
  assert.deepEqual(open, []);
  assert.equal(svg.slice(end).trim(), "");
  assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
}
