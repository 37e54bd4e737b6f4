import { strict as assert } from "node:assert";
import { FileJournal, type JournalOwner } from "../../../pipeline/store/journal.ts";

const KEY = "5".repeat(64);

Deno.test("a journal gives its entries back to the machine that made them, to another a word", async () => {
  const directory = await Deno.makeTempDir();
  const bytes = new TextEncoder().encode("one\ntwo");
  const told: string[] = [];
  const onForeign = (machine: string) => told.push(machine);
  const open = (owner: JournalOwner) => new FileJournal(directory, KEY, { ...owner, onForeign });
  {
    await using journal = open({ machine: "CPU engine with fused multiply-add" });
    await journal.write("layer-0", bytes);
    await journal.write("layer-1", bytes);
    assert.deepEqual(await journal.read("layer-0"), bytes);
  }
  {
    await using journal = open({ machine: "CPU engine with fused multiply-add" });
    assert.deepEqual(await journal.read("layer-1"), bytes);
    assert.deepEqual(told, []);
  }
  {
    await using journal = open({ machine: "another" });
    assert.equal(await journal.read("layer-0"), undefined);
    assert.equal(await journal.read("layer-1"), undefined);
    assert.deepEqual(told, ["CPU engine with fused multiply-add"]);
    await journal.write("layer-0", bytes);
    assert.deepEqual(await journal.read("layer-0"), bytes);
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("an entry of a journal that is damaged anywhere is not kept", async () => {
  const directory = await Deno.makeTempDir();
  {
    await using journal = new FileJournal(directory, KEY, { machine: "here" });
    await journal.write("layer", new Uint8Array([1, 2, 3]));
  }
  const whole = await Deno.readFile(`${directory}/layer`);
  for (let at = 0; at < whole.length; at++) {
    const damaged = whole.slice();
    damaged[at]! ^= 1;
    await Deno.writeFile(`${directory}/layer`, damaged);
    await using journal = new FileJournal(directory, KEY, { machine: "here" });
    assert.equal(await journal.read("layer"), undefined, `byte ${at}`);
  }
  await Deno.remove(directory, { recursive: true });
});
