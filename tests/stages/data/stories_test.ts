import { strict as assert } from "node:assert";
import { type Split, stories } from "../../../stages/data/stories.ts";

const told = (split: Split) => stories({ split, bytes: 200_000 }).trim().split(/\n\n+/);

Deno.test("stories() tells the same stories every time, of about the length asked for", () => {
  const text = stories({ split: "test", bytes: 50_000 });
  assert.equal(text, stories({ split: "test", bytes: 50_000 }));
  assert.ok(text.length > 48_000 && text.length < 60_000, `${text.length}`);
});

Deno.test("stories() shares no story between splits", () => {
  const [train, calibration, test] = [told("train"), told("calibration"), told("test")];
  const seen = new Set([...train, ...calibration]);
  assert.equal(seen.size, train.length + calibration.length);
  for (const story of test) assert.ok(!seen.has(story), story);
});

Deno.test("stories() uses a few hundred words", () => {
  const words = new Set(told("train").join(" ").toLowerCase().match(/[a-z]+/g));
  assert.ok(words.size > 200 && words.size < 1000, `${words.size}`);
});
