import { strict as assert } from "node:assert";

/** Asserts that a number is another one, give or take so much. */
export function assertWithin(got: number, expected: number, within: number): void {
  assert.ok(Math.abs(got - expected) <= within, `got ${got}, expected ${expected}`);
}
