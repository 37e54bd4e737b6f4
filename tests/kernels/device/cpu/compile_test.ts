import { strict as assert } from "node:assert";
import { compiled } from "../../../../kernels/device/cpu/compile.ts";
import { loadModule, moduleUrl, SIMD_KINDS } from "../../../../kernels/device/cpu/module.ts";
import * as kernels from "../../../../kernels/mod.ts";

for (const kind of SIMD_KINDS) {
  Deno.test(`the module with ${kind} SIMD is what the pinned compiler makes of the assembly`, async () => {
    const [made, committed] = await Promise.all([compiled(kind), Deno.readFile(moduleUrl(kind))]);
    assert.ok(
      made.length === committed.length && made.every((byte, at) => byte === committed[at]),
      `${moduleUrl(kind)} is not what its sources make; run deno task assembly`,
    );
  });
}

Deno.test("the module has a program for every kernel of the registry", async () => {
  const { programs } = await loadModule();
  for (const name of Object.keys(kernels)) assert.ok(programs.includes(name), name);
});
