// Slow: kills programs that change a store or copy from it, and looks at what is left.
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { callProgram } from "../support/cli_call.ts";
import { temporary } from "../support/directory.ts";
import { words } from "../support/random.ts";
import { filesBelow, makeArtifact } from "../support/remote_place.ts";
import { toyCommand } from "../support/toy/command.ts";
import * as stages from "../support/toy/stages.ts";

/** Steps of a manifest, and what is not used of the store once they are others. */
const STEPS = 150;
/** Steps whose artifacts go elsewhere and come from there. */
const FEW = 40;
/** Bytes of an artifact that takes some time to copy. */
const LARGE = 1 << 27;

const random = words("kills");
const upTo = (most: number) => random.next().value / 2 ** 32 * most;

const manifest = (first: number, steps = STEPS) =>
  `steps:\n${
    Array.from({ length: steps }, (_, at) =>
      `  a${at}: { stage: constant, with: { value: ${first + at} } }`)
      .join("\n")
  }\n`;

/** Uses a command in this process, and gives what it says; fails where it does not end well. */
async function call(...args: readonly string[]): Promise<string> {
  const { status, out, errors } = await callProgram({ stages }, ...args);
  strictEqual(status, 0, `${args}: ${out}${errors}`);
  return out;
}

/** Starts a command, kills it some time after something is so, and says whether that was in its midst. */
async function killed(
  args: readonly string[],
  { begun, most }: { begun(): Promise<boolean>; readonly most: number },
): Promise<boolean> {
  const child = toyCommand(args, { stdout: "null", stderr: "null" }).spawn();
  let over = false;
  void child.status.then(() => over = true);
  while (!over && !await begun()) await sleep(1);
  await sleep(upTo(most));
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  return (await child.status).signal === "SIGKILL";
}

/** Whether there is another round: on some machines, fast or busy ones, more kills come too late. */
function goesOn(
  round: number,
  kills: number,
  { rounds, wanted }: { readonly rounds: number; readonly wanted: number },
): boolean {
  return round < rounds || (kills < wanted && round < 5 * rounds);
}

const countIn = (path: string) =>
  Array.fromAsync(Deno.readDir(path)).then(({ length }) => length, () => 0);

Deno.test("`gc` that is killed while it removes leaves a store that is whole", async () => {
  await using place = await temporary();
  const [store, a] = [`${place.path}/store`, `${place.path}/a.yaml`];
  await Deno.writeTextFile(a, manifest(0));
  await call("run", a, "--json", "--store", store);
  let kills = 0;
  for (let round = 0; goesOn(round, kills, { rounds: 8, wanted: 4 }); round++) {
    // What the last round has left is no longer used then.
    await Deno.writeTextFile(a, manifest(1000 * (round + 1)));
    await call("run", a, "--json", "--store", store);
    const all = await countIn(`${store}/artifacts`);
    ok(all >= 2 * STEPS, `${all}`);
    const begun = async () => await countIn(`${store}/artifacts`) < all;
    const amid = await killed(["gc", "--store", store], { begun, most: 40 });
    if (amid) kills++;
    await call("verify", "--full", "--store", store);
    const told = JSON.parse((await call("gc", "--json", "--store", store)).trim());
    strictEqual(told.artifacts, STEPS);
    strictEqual(await countIn(`${store}/artifacts`), STEPS);
    const again = await call("run", a, "--json", "--store", store);
    const { steps } = JSON.parse(again.trim().split("\n").at(-1)!);
    deepStrictEqual(new Set(steps.map(({ state }: { state: string }) => state)), new Set(["hit"]));
  }
  ok(kills >= 4, `${kills} kills came before the end`);
});

Deno.test("`checkout` and `verify` that are killed leave no half of a directory, and the store", async () => {
  await using place = await temporary();
  const store = `${place.path}/store`;
  const { key, path } = await makeArtifact(store, { weights: new Uint8Array(LARGE).fill(7) });
  const out = `${place.path}/out`;
  const before = await filesBelow(store);
  let kills = 0;
  for (let round = 0; goesOn(round, kills, { rounds: 6, wanted: 3 }); round++) {
    const names = await countIn(place.path);
    const begun = async () => await countIn(place.path) > names;
    if (await killed(["checkout", key, out, "--store", store], { begun, most: 100 })) kills++;
    const there = await Deno.stat(`${out}/weights`).catch(() => undefined);
    if (there) strictEqual(there.size, LARGE);
    await call("checkout", key, out, "--force", "--store", store);
    deepStrictEqual(await Deno.readFile(`${out}/weights`), await Deno.readFile(`${path}/weights`));
    await Deno.remove(out, { recursive: true });
    for await (const { name } of Deno.readDir(place.path)) {
      if (name !== "store") await Deno.remove(`${place.path}/${name}`, { recursive: true });
    }
  }
  ok(kills >= 3, `${kills} kills came before the end`);
  kills = 0;
  for (let round = 0; goesOn(round, kills, { rounds: 2, wanted: 2 }); round++) {
    const begun = () => Promise.resolve(true);
    if (await killed(["verify", "--full", "--store", store], { begun, most: 300 })) kills++;
    await call("verify", "--full", "--store", store);
  }
  ok(kills >= 2, `${kills} kills came before the end of verify`);
  const kept = (names: readonly string[]) =>
    names.filter((name) => /^(artifacts|files)\//.test(name));
  deepStrictEqual(kept(await filesBelow(store)), kept(before));
});

Deno.test("a run that is killed while it pushes or fetches goes on where others see it whole", async () => {
  await using place = await temporary();
  const [shared, a] = [`${place.path}/shared`, `${place.path}/a.yaml`];
  await Deno.mkdir(shared);
  let kills = 0;
  for (let round = 0; goesOn(round, kills, { rounds: 2, wanted: 2 }); round++) {
    const [here, there] = ["here", "there"].map((name) => `${place.path}/${name}-${round}`);
    await Deno.writeTextFile(a, manifest(1000 * round, FEW));
    const run = (store: string) => ["run", a, "--json", "--remote", shared, "--store", store];
    const pushed = await countIn(`${shared}/artifacts`);
    const pushing = async () => await countIn(`${shared}/artifacts`) > pushed;
    if (await killed(run(here!), { begun: pushing, most: 300 })) kills++;
    await call(...run(here!));
    await call("verify", "--full", "--store", here!);
    strictEqual(await countIn(`${shared}/artifacts`), pushed + FEW);
    const fetching = async () => await countIn(`${there}/artifacts`) > 0;
    if (await killed(run(there!), { begun: fetching, most: 300 })) kills++;
    const last = JSON.parse((await call(...run(there!))).trim().split("\n").at(-1)!);
    ok(
      !last.steps.some(({ state }: { state: string }) => state === "run"),
      "it made what is there",
    );
    await call("verify", "--full", "--store", there!);
    const digests = async (store: string) =>
      (await filesBelow(`${store}/files`)).filter((name) => !name.endsWith(".next")).sort();
    deepStrictEqual(await digests(there!), await digests(here!));
  }
  ok(kills >= 2, `${kills} kills came before the end`);
});
