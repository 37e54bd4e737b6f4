import { strict as assert } from "node:assert";
import { Gpu } from "../../kernels/device/gpu.ts";
import { OutOfMemoryError } from "../../kernels/device/memory.ts";
import { parseManifest } from "../../pipeline/manifest/read_manifest.ts";
import { run } from "../../pipeline/run/runner.ts";
import { Store } from "../../pipeline/store/store.ts";
import * as stages from "../../stages/mod.ts";

const MANIFEST = `
steps:
  source: { stage: load }
  text: { stage: tokenize, from: { model: source }, with: { text: "stories:calibration", bytes: 2000 } }
  stats: { stage: calibrate, from: { model: source, tokens: text }, with: { windows: 1, context: 32, rows: 8 } }
`;

/** What happens to a device at its twentieth launch. */
const FAULTS: Readonly<Record<string, readonly [fault: (gpu: Gpu) => void, expected: RegExp]>> = {
  "is lost": [
    (gpu) => gpu.lose(),
    /Cannot go on with the GPU: the device was lost, .*/,
  ],
  "has no memory left": [
    () => {
      throw new OutOfMemoryError("Cannot allocate 8 bytes on the device for x: raise --memory");
    },
    /Cannot allocate 8 bytes on the device for x: raise --memory/,
  ],
};

for (const [what, [fault, expected]] of Object.entries(FAULTS)) {
  Deno.test(`a run whose device ${what} leaves nothing half-written, and goes on with another`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const store = new Store(`${directory}/store`);
      const made = async (gpu: Gpu) => {
        const manifest = parseManifest(MANIFEST, { path: `${directory}/a.yaml`, stages });
        const states: string[] = [];
        const tools = { device: () => Promise.resolve(gpu), memoryBytes: 2 ** 28 };
        const said: string[] = [];
        await run(manifest, {
          store,
          stages,
          tools: () => tools,
          emit: (event) => {
            said.push(JSON.stringify(event));
            if (event.type !== "summary") return;
            states.push(...event.steps.map(({ state }) => state));
          },
        }).catch((error) => said.push(String(error)));
        return { states, said: said.join("\n") };
      };
      const broken = await Gpu.open();
      const { run: launch } = broken;
      let launches = 0;
      broken.run = function (...given: Parameters<typeof launch>) {
        if (++launches === 20) fault(broken);
        return launch.apply(broken, given);
      } as typeof launch;
      const first = await made(broken);
      await broken[Symbol.asyncDispose]().catch(() => {});
      assert.match(first.said, expected);
      assert.deepEqual(first.states, ["run", "run", "failed"]);
      assert.equal((await store.keys()).length, 2);
      assert.deepEqual([...Deno.readDirSync(`${store.path}/tmp`)], []);
      const { states } = await (async () => {
        await using gpu = await Gpu.open();
        return await made(gpu);
      })();
      assert.deepEqual(states, ["hit", "hit", "run"]);
      assert.equal((await store.keys()).length, 3);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
