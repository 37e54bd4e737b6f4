import { strict as assert } from "node:assert";
import { compiled, compiledCopy } from "../../../../kernels/device/cpu/compile.ts";
import {
  COPY_URL,
  loadModule,
  moduleUrl,
  SIMD_KINDS,
} from "../../../../kernels/device/cpu/module.ts";
import * as kernels from "../../../../kernels/mod.ts";

for (
  const [name, make, url] of [
    ...SIMD_KINDS.map((kind) => [`${kind} SIMD`, () => compiled(kind), moduleUrl(kind)] as const),
    ["two memories", compiledCopy, COPY_URL] as const,
  ]
) {
  Deno.test(`the module with ${name} is what the pinned compiler makes of the assembly`, async () => {
    const [made, committed] = await Promise.all([make(), Deno.readFile(url)]);
    assert.ok(
      made.length === committed.length && made.every((byte, at) => byte === committed[at]),
      `${url} is not what its sources make; run deno task assembly`,
    );
  });
}

Deno.test("the module has a program for every kernel of the registry", async () => {
  const { programs } = await loadModule();
  for (const name of Object.keys(kernels)) assert.ok(programs.includes(name), name);
});
