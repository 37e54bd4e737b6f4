import { strict as assert } from "node:assert";
import { appendKv, rope, ropeAppend } from "../../kernels/mod.ts";
import { ENGINES } from "../support/devices.ts";
import { casesOf, hostsOf } from "../support/kernel_cases.ts";
import { launch } from "../support/launch.ts";

for (const [on, open] of Object.entries(ENGINES)) {
  Deno.test(`turning heads and appending them in one launch has the bits of two on ${on}`, async () => {
    await using device = await open();
    for (const one of casesOf("ropeAppend", ropeAppend)) {
      if (one.timedOnly) continue;
      const { slots, keys, values, ...inputs } = hostsOf(one);
      const pages = { slots: slots!, keys: keys!, values: values! };
      const options = one.options as (typeof ropeAppend.cases)[number]["options"];
      const { q, k, v } = await launch(device, rope, { inputs, options, names: ["q", "k", "v"] });
      const appended = await launch(device, appendKv, {
        inputs: { k: k!, v: v!, ...pages },
        options,
        names: ["keys", "values"],
      });
      const fused = await launch(device, ropeAppend, {
        inputs: { ...inputs, ...pages },
        options,
        names: ["q", "keys", "values"],
      });
      assert.deepEqual(fused, { q, ...appended }, one.label);
    }
  });
}
