// Slow: changes one byte after another of a file.
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { openTorchFile } from "../../stages/formats/torch/file.ts";
import { temporary } from "../support/directory.ts";

const DATA = fileURLToPath(new URL("../testdata/torch", import.meta.url));

Deno.test("a file that any byte was changed in is read or refused in a sentence", async () => {
  const bytes = await Deno.readFile(`${DATA}/post_scale_row/scale.pt`);
  await using folder = await temporary();
  const path = `${folder.path}/file.pt`;
  let refused = 0;
  for (let at = 0; at < bytes.length; at += 7) {
    const changed = bytes.slice();
    changed[at]! ^= 1 << at % 8;
    await Deno.writeFile(path, changed);
    try {
      using file = await openTorchFile(path);
      for (const name of file.tensors.keys()) await file.readRaw(name);
    } catch (error) {
      refused++;
      assert.match((error as Error).message, /^Cannot read /);
    }
  }
  assert.ok(refused > 50);
});
