import { strict as assert } from "node:assert";
import { GENERATED_ROWS } from "../../../stages/tasks/story_items.ts";

Deno.test("the answers of items are what their stories say", () => {
  for (const [name, make] of Object.entries(GENERATED_ROWS)) {
    const items = make("test");
    assert.equal(items.length, 100, name);
    assert.deepEqual(make("test"), items, "the same each time");
    assert.notDeepEqual(make("calibration"), items);
  }
  const [ending] = GENERATED_ROWS.story_endings!("test");
  assert.match(String(ending!.context), /The sheep had run away\..* She$/);
  assert.equal(
    (ending!.endings as string[])[ending!.answer as number],
    "blew it three times, and the sheep came back",
  );
  const [holder] = GENERATED_ROWS.story_holders!("test");
  assert.match(String(holder!.context), /said Karl\.[^]*The small whistle was safe with$/);
  assert.equal((holder!.children as string[])[holder!.answer as number], "Greta");
  const [last] = GENERATED_ROWS.story_last_words!("test");
  assert.match(String(last!.text), /always slept on the old chair\.[^]* slept on the old chair$/);
});
