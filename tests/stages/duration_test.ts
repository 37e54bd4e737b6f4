import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { CPU_LIMITS } from "../../kernels/device/limits.ts";
import { readManifest } from "../../pipeline/manifest/read_manifest.ts";
import { plan } from "../../pipeline/plan/plan.ts";
import { Store } from "../../pipeline/store/store.ts";
import { duration } from "../../stages/duration.ts";
import * as stages from "../../stages/mod.ts";

const RATES = { bandwidth: 20, float: 0.1, integer: 0.3, written: 3e8, arithmetic: 2e7 };

Deno.test("work takes its roofline and what the host does, and nothing is said of an unknown machine", () => {
  const work = [{ kernel: "matmul", launches: 1, bytes: 0, operations: 3e11, largest: 3e11 }];
  assert.deepEqual(duration(undefined, [{ work }]), {});
  const seconds = (...shares: Parameters<typeof duration>[1]) =>
    duration(RATES, shares).seconds! - duration(RATES, []).seconds!;
  // 3e11 operations at 1e11 a second are 3 s; kernels reach three quarters of it.
  assert.ok(Math.abs(seconds({ work, times: 2 }) - 8) < 1e-9);
  assert.ok(Math.abs(seconds({ written: 6e8 }, { arithmetic: 1e7 }) - 2.5) < 1e-9);
});

Deno.test("every step of QoQ is predicted on a fresh store, and twice the windows take twice as long", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = fileURLToPath(new URL("../../configs/qoq.yaml", import.meta.url));
    const predicted = async (windows: number) => {
      const { steps } = await plan(
        await readManifest(path, { stages, set: [`windows=${windows}`, "samples=4"] }),
        {
          store: new Store(`${directory}/store`),
          stages,
          timing: "always",
          bounds: () => ({
            memoryBytes: 1e9,
            limits: CPU_LIMITS,
            measure: () => Promise.resolve(RATES),
          }),
        },
      );
      return new Map(steps.map(({ name, estimate }) => [name, estimate?.seconds ?? NaN]));
    };
    const [few, more] = [await predicted(4), await predicted(8)];
    const lacking = [...few].filter(([, seconds]) => !(seconds > 0)).map(([name]) => name);
    assert.deepEqual(lacking, []);
    const { seconds: step = 0 } = duration(RATES, []);
    for (const name of ["fp16", "qoq"]) {
      const ratio = (more.get(name)! - step) / (few.get(name)! - step);
      assert.ok(Math.abs(ratio - 2) < 0.01, `${name} takes ${ratio} times as long`);
    }
    assert.equal(more.get("stats"), few.get("stats"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
