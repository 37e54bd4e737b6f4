import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { Model } from "../../../stages/models/model.ts";
import { openPlaces } from "../../../stages/models/places.ts";
import { Walk } from "../../../stages/models/walk.ts";

const PATH = fileURLToPath(
  new URL("../../testdata/families/llama_llama3_gqa_tied", import.meta.url),
);
const TEXTS = [Uint32Array.of(1, 2, 3), Uint32Array.of(4, 5, 6), Uint32Array.of(7, 8, 9)];

/** Opens a walk over some texts; the device is closed behind it, which throws for what is left on it. */
async function walking(
  use: (walk: Walk, model: Model, device: ReferenceDevice) => Promise<void>,
): Promise<void> {
  await using device = new ReferenceDevice();
  using model = await Model.open(PATH, device, { weightBytes: 0 });
  using places = openPlaces(device, model.config, TEXTS[0]!.length);
  using walk = await Walk.open(device, model, TEXTS, { places, windows: [2, 0, 1], most: 2 });
  await use(walk, model, device);
}

Deno.test("a walk takes windows in their order through layer after layer, as many as it may", () =>
  walking(async (walk, model) => {
    const steps: string[] = [];
    const passed = ({ layer, window }: { readonly layer: number; readonly window: number }) =>
      void steps.push(`${layer} ${window}`);
    await walk.look({ passed });
    assert.equal(walk.layer, 0, "whoever looks stays");
    await walk.reach(2, { passed });
    assert.deepEqual(steps, ["0 2", "0 0", "0 2", "0 0", "1 2", "1 0"]);
    assert.equal(walk.layer, model.config.layers);
  }));

Deno.test("a walk leaves no tensor on the device where a layer fails in the midst of a window", async () => {
  const failure = new Error("the layer fails");
  for (const go of ["pass", "look"] as const) {
    await assert.rejects(() =>
      walking(async (walk, model) => {
        await walk.pass({});
        await walk[go]({
          observe: (window) => (tap) => {
            if (window === 0 && tap === "queries") throw failure;
          },
        });
        assert.fail(`${model.config.layers} layers passed`);
      }), failure);
  }
});

Deno.test("a look ends at the last site that is wanted, and leaves streams as they were", async () => {
  const sites = ["attention.in", "attention.out", "mlp.in", "mlp.out"] as const;
  await walking(async (walk) => {
    await walk.pass({});
    for (const [at, until] of sites.entries()) {
      const told: string[] = [];
      await walk.look({
        until,
        observe: (window) => (tap) => window === 2 && tap.includes(".") && told.push(tap),
      });
      assert.deepEqual(told, sites.slice(0, at + 1));
    }
    assert.equal(walk.layer, 1);
  });
});

Deno.test("windows apart go through a layer of their own, which is disposed behind the last", async () => {
  const ran: string[] = [];
  await walking(async (walk, model, device) => {
    const named = async (name: string, layer: number) => {
      const own = await model.architecture.family.load(device, model, layer);
      return {
        run: (...given: Parameters<typeof own.run>) => {
          ran.push(name);
          return own.run(...given);
        },
        [Symbol.dispose]() {
          ran.push(`${name} ends`);
          own[Symbol.dispose]();
        },
      };
    };
    await walk.pass({
      replace: (layer) => named("replaced", layer),
      apart: { has: (window) => window === 0, layer: (layer) => named("apart", layer) },
    });
  });
  assert.deepEqual(ran, ["replaced", "apart", "apart ends", "replaced ends"]);
});
