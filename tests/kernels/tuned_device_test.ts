import { strict as assert } from "node:assert";
import { join } from "node:path";
import { findAdapter, nameOf } from "../../kernels/device/adapter.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { Choices } from "../../kernels/device/limits.ts";
import { chooseTunedDevice, openTunedDevice } from "../../kernels/tuned_device.ts";

const FOUND: Choices = { subgroups: true, integerTile: 32 };

/** Opens this machine's adapter with what a file keeps, and tells the choices and how often it was measured. */
async function opened(
  path: string,
  find: () => Promise<Choices> = () => Promise.resolve(FOUND),
): Promise<{ readonly choices: Choices | undefined; readonly measured: number }> {
  let measured = 0;
  const count = () => {
    measured++;
    return find();
  };
  const name = nameOf((await findAdapter()).info);
  await using device = await openTunedDevice(`gpu:${name}`, { path, measured: true, find: count });
  assert.ok(device instanceof Gpu);
  return { choices: device.limits.choices, measured };
}

Deno.test("an adapter is measured once, and what was found is kept by its name", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, "cache", "plans.json");
    assert.deepEqual(await opened(path), { choices: FOUND, measured: 1 });
    assert.deepEqual(await opened(path), { choices: FOUND, measured: 0 });
    const name = nameOf((await findAdapter()).info);
    const chosen = await chooseTunedDevice(`gpu:${name}`, { path });
    assert.deepEqual(chosen.limits.choices, FOUND);
    const kept = JSON.parse(await Deno.readTextFile(path));
    assert.deepEqual(kept, { version: 4, adapters: { [name]: FOUND } });
    // Another adapter's plans stay as they are.
    const other = { ...kept, adapters: { another: { slices: false } } };
    await Deno.writeTextFile(path, JSON.stringify(other));
    assert.equal((await opened(path)).measured, 1);
    const both = JSON.parse(await Deno.readTextFile(path));
    assert.deepEqual(both.adapters, { another: { slices: false }, [name]: FOUND });
    assert.deepEqual([...Deno.readDirSync(join(directory, "cache"))].map(({ name }) => name), [
      "plans.json",
    ]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a file that is damaged, of another version, or holds no plans is as none", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const name = nameOf((await findAdapter()).info);
    for (
      const text of [
        "{",
        "null",
        "[]",
        JSON.stringify({ version: 0, adapters: { [name]: FOUND } }),
        JSON.stringify({ version: 4, adapters: { [name]: { integerTile: 48 } } }),
        JSON.stringify({ version: 4, adapters: { [name]: { subgroups: "yes" } } }),
        JSON.stringify({ version: 4, adapters: { [name]: { unknown: true } } }),
      ]
    ) {
      const path = join(directory, "plans.json");
      await Deno.writeTextFile(path, text);
      assert.deepEqual(await opened(path), { choices: FOUND, measured: 1 }, text);
    }
    // Where nothing can be written, it is measured each time.
    await Deno.writeTextFile(join(directory, "file"), "");
    assert.equal((await opened(join(directory, "file", "plans.json"))).measured, 1);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("where measuring fails, usual plans run and nothing is kept", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, "plans.json");
    const failing = () => Promise.reject(new Error("the device was lost"));
    assert.deepEqual(await opened(path, failing), { choices: undefined, measured: 1 });
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a software driver is not measured by itself, and keeps the usual plans", async () => {
  const { info } = await findAdapter();
  if (!info.isFallbackAdapter) return;
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, "plans.json");
    const never = () => Promise.reject(new Error("it was measured"));
    await using device = await openTunedDevice(`gpu:${nameOf(info)}`, { path, find: never });
    assert.equal(device.limits.choices, undefined);
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
