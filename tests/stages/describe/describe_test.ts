import { strict as assert } from "node:assert";
import { join } from "node:path";
import { describePath } from "../../../stages/describe/describe.ts";
import { ROOT } from "../../support/source_files.ts";

Deno.test("who asks for a headline alone has those kinds looked at that have one", async () => {
  const found: string[] = [];
  for (const kind of ["deployment", "export", "model", "report", "stats", "tokens"]) {
    const text = await Deno.readTextFile(join(ROOT, `stages/describe/${kind}.ts`));
    const tells = /\bheadline\b/.test(text);
    if (tells) found.push(kind);
    // Nothing is there, which whoever looks at it says.
    const asked = describePath("/nowhere", { kind, headlineOnly: true });
    if (tells) await assert.rejects(asked, kind);
    else assert.equal(await asked, undefined, kind);
    await assert.rejects(describePath("/nowhere", { kind }), kind);
  }
  assert.deepEqual(found, ["deployment", "report"]);
});
