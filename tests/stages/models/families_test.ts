import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { Model } from "../../../stages/models/model.ts";
import { readersOf } from "../../../stages/models/site.ts";
import { logitsOf, relativeError } from "../../support/forward_pass.ts";
import { DEVICES } from "../../support/devices.ts";
import { familyLogits } from "../../support/family_copy.ts";
import { spreadCpu } from "../../support/spread_banks.ts";

const FOLDER = fileURLToPath(new URL("../../testdata/families", import.meta.url));
const CASES = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort();
/** f32 sums in another order; PyTorch and we differ by about 1e-6. */
const TOLERANCE = 2e-5;

for (const name of CASES) {
  const path = `${FOLDER}/${name}`;
  for (const [on, open] of Object.entries(DEVICES)) {
    Deno.test(`${name} has the logits of transformers on ${on}`, async () => {
      const expected = await familyLogits(name);
      await using device = await open();
      using model = await Model.open(path, device, { weightBytes: Infinity });
      const error = relativeError(await logitsOf(device, model, expected.ids), expected.logits);
      assert.ok(error < TOLERANCE, `relative error is ${error}, expected below ${TOLERANCE}`);
    });
  }

  Deno.test(`${name} gives the same logits a layer at a time`, async () => {
    const { ids } = await familyLogits(name);
    await using device = await Cpu.open();
    using whole = await Model.open(path, device, { weightBytes: Infinity });
    using streamed = await Model.open(path, device, { weightBytes: 0 });
    assert.deepEqual(await logitsOf(device, streamed, ids), await logitsOf(device, whole, ids));
  });

  Deno.test(`${name} gives the same logits with its tensors spread over banks`, async () => {
    const { ids } = await familyLogits(name);
    const logits = async (device: Cpu) => {
      await using _device = device;
      using model = await Model.open(path, device, { weightBytes: Infinity });
      return await logitsOf(device, model, ids);
    };
    assert.deepEqual(await logits(await spreadCpu()), await logits(await Cpu.open()));
  });

  Deno.test(`${name} gives the same logits with tables split over many tensors`, async () => {
    const { ids, logits } = await familyLogits(name);
    const device = new ReferenceDevice();
    const small = { ...device.limits, bindingBytes: 8192 };
    await using split = Object.assign(device, { limits: small });
    using model = await Model.open(path, split, { weightBytes: Infinity });
    // So few tokens that what a layer makes of them fits where tables do not.
    const first = ids.slice(0, 3);
    const expected = logits.subarray(0, first.length * model.config.vocabulary);
    const got = await logitsOf(split, model, first, ids.length);
    assert.ok(relativeError(got, expected) < TOLERANCE);
  });

  Deno.test(`sites of ${name} name every linear once, and weights that exist`, async () => {
    using files = await openModel(path);
    const { checkpoint, architecture: { config, tensors, sites, embeddings } } = files;
    const fed = sites.flatMap((site) => readersOf(site).map(({ weight }) => weight));
    assert.equal(new Set(fed).size, fed.length);
    const matrices = [...tensors].filter(([, shape]) => shape.length === 2).map(([key]) => key);
    const tables = config.tied ? [] : [embeddings];
    assert.deepEqual([...fed, ...tables].sort(), matrices.sort());
    for (const { fedBy: { weight } } of sites) assert.ok(tensors.has(weight), weight);
    assert.deepEqual([...checkpoint.tensors.keys()].sort(), [...tensors.keys()].sort());
  });
}
