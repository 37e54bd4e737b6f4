import { strict as assert } from "node:assert";
import { measureMachine } from "../../stages/machine_rates.ts";

Deno.test("a machine's rates are those of a machine", async () => {
  const rates = await measureMachine({ device: "cpu" });
  for (const [name, rate] of Object.entries(rates)) {
    assert.ok(rate > 0 && Number.isFinite(rate), `${name} is ${rate}`);
  }
  // More than a floppy disk has, fewer than a machine of this century.
  const { bandwidth, written, float } = rates;
  assert.ok(bandwidth > 0.01 && bandwidth < 1e4 && written > 1e5 && float > 1e-5 && float < 1e3);
});
