import { deepStrictEqual, notStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Artifact, KeyDocument } from "../../../pipeline/artifact.ts";
import { DigestMemo } from "../../../pipeline/store/digests.ts";
import { keyOf } from "../../../pipeline/store/key.ts";
import { allRuns, Runs } from "../../../pipeline/store/runs.ts";
import { Store, type StoreOptions } from "../../../pipeline/store/store.ts";
import { unsettled } from "../../../pipeline/store/file_state.ts";
import { takeInventory } from "../../../pipeline/store/inventory.ts";

const LONG_AGO = new Date("2020-01-01T00:00:00.123Z");

function sha256(data: string): string {
  return createHash("sha256").update(data).digest("hex");
}

function recipeOf(name: string): KeyDocument {
  return { stage: name, version: 1, params: {}, inputs: {} };
}

/** A store in a directory that is removed in the end, with artifacts of some files. */
async function withStore(
  use: (given: {
    readonly directory: string;
    open(options?: StoreOptions): Store;
    make(name: string, files: Readonly<Record<string, string>>): Promise<Artifact>;
    inspect(name: string, options?: StoreOptions): Promise<string>;
  }) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const open = (options?: StoreOptions) => new Store(`${directory}/store`, options);
  const make = async (name: string, files: Readonly<Record<string, string>>) => {
    const write = async (out: string) => {
      for (const [path, text] of Object.entries(files)) {
        await Deno.writeTextFile(`${out}/${path}`, text);
      }
      return { scores: {}, notes: [] };
    };
    return (await open().make(recipeOf(name), { kind: "number", write })).artifact;
  };
  const inspect = async (name: string, options?: StoreOptions) => {
    const found = await open(options).inspect(keyOf(recipeOf(name)));
    return found.state === "damaged" ? found.why : found.state;
  };
  try {
    await use({ directory, open, make, inspect });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Changes bytes of a read-only file, and its times only if they are not given. */
async function overwrite(path: string, text: string, time?: Date): Promise<void> {
  await Deno.chmod(path, 0o644);
  await Deno.writeTextFile(path, text);
  if (time) await Deno.utime(path, time, time);
  await Deno.chmod(path, 0o444);
}

/** Gives a file a time that is no whole second, so that its state is remembered for sure. */
async function settle(path: string): Promise<void> {
  await Deno.utime(`${path}/weights`, LONG_AGO, LONG_AGO);
}

async function inodeOf(path: string): Promise<number | null> {
  return (await Deno.stat(path)).ino;
}

async function linksOf(path: string): Promise<number | null> {
  return (await Deno.stat(path)).nlink;
}

/** What a memo should say of a file; one whose time is a whole second is never remembered at once. */
async function stateAt({ path }: Artifact, name: string) {
  const { size, ino: inode, mtime, birthtime } = await Deno.stat(`${path}/${name}`);
  const changed = mtime!.getTime();
  return changed % 1000 === 0 ? null : { size, inode, changed, born: birthtime?.getTime() ?? 0 };
}

function blobOf(directory: string, text: string): string {
  return `${directory}/store/files/${sha256(text).slice(0, 2)}/${sha256(text)}`;
}

Deno.test("`Store.make()` makes equal files one, and leaves empty ones alone", () =>
  withStore(async ({ directory, make }) => {
    const one = await make("one", { weights: "w".repeat(1000), config: "1", empty: "" });
    const two = await make("two", { shard: "w".repeat(1000), config: "2", nothing: "" });
    strictEqual(await inodeOf(`${one.path}/weights`), await inodeOf(`${two.path}/shard`));
    // One name in each artifact, and one in the room.
    strictEqual(await linksOf(`${one.path}/weights`), 3);
    strictEqual(await linksOf(`${one.path}/config`), 2);
    strictEqual(await linksOf(`${one.path}/empty`), 1);
    // Windows has no such modes.
    if (Deno.build.os !== "windows") {
      strictEqual((await Deno.stat(`${two.path}/shard`)).mode! & 0o777, 0o444);
    }
    strictEqual(await Deno.readTextFile(blobOf(directory, "2")), "2");
    // Known to be right from the start: the next run need not read them, linked or not.
    const memo = JSON.parse(
      await Deno.readTextFile(`${directory}/store/verified/${two.key}.json`),
    );
    const paths = ["config", "nothing", "shard"];
    deepStrictEqual(memo.states, await Promise.all(paths.map((path) => stateAt(two, path))));
    const { bytes, apparentBytes } = await takeInventory(`${directory}/store`);
    const records = await Promise.all(
      [one, two].map(async ({ path }) => (await Deno.stat(`${path}/artifact.json`)).size),
    );
    const recorded = records[0]! + records[1]!;
    strictEqual(bytes, 1000 + 1 + 1 + recorded);
    strictEqual(apparentBytes, 2000 + 1 + 1 + recorded);
  }));

Deno.test("`Store.make()` does not link to a copy that was damaged, and mends it", () =>
  withStore(async ({ directory, make, inspect }) => {
    const one = await make("one", { weights: "good" });
    await overwrite(`${one.path}/weights`, "evil");
    strictEqual(await Deno.readTextFile(blobOf(directory, "good")), "evil");
    const two = await make("two", { weights: "good" });
    strictEqual(await Deno.readTextFile(`${two.path}/weights`), "good");
    strictEqual(await Deno.readTextFile(blobOf(directory, "good")), "good");
    strictEqual(await inspect("one"), "weights has other bytes than recorded");
    strictEqual(await inspect("two"), "whole");
    const again = await make("one", { weights: "good" });
    strictEqual(await inodeOf(`${again.path}/weights`), await inodeOf(`${two.path}/weights`));
    strictEqual(await inspect("one", { verify: "full" }), "whole");
  }));

Deno.test("`Store.make()` copies what it cannot link", () =>
  withStore(async ({ directory, make, inspect }) => {
    await make("one", { weights: "same" });
    const blob = blobOf(directory, "same");
    await Deno.remove(blob);
    // Directories where the copy should lie: nothing can be linked to or from them.
    await Deno.mkdir(`${blob}/taken`, { recursive: true });
    const two = await make("two", { weights: "same" });
    strictEqual(await linksOf(`${two.path}/weights`), 1);
    await Deno.remove(`${directory}/store/files`, { recursive: true });
    await Deno.writeTextFile(`${directory}/store/files`, "in the way");
    const three = await make("three", { weights: "same" });
    strictEqual(await linksOf(`${three.path}/weights`), 1);
    for (const name of ["one", "two", "three"]) {
      strictEqual(await inspect(name, { verify: "full" }), "whole");
    }
  }));

Deno.test("`Store` reads files again only when their size, time or inode changed", () =>
  withStore(async ({ make, inspect }) => {
    const { path } = await make("one", { weights: "good" });
    await settle(path);
    strictEqual(await inspect("one"), "whole");
    // With its old time the change cannot show without reading, which proves that nothing is read.
    await overwrite(`${path}/weights`, "evil", LONG_AGO);
    strictEqual(await inspect("one"), "whole");
    strictEqual(await inspect("one", { verify: "full" }), "weights has other bytes than recorded");
    await overwrite(`${path}/weights`, "evil");
    strictEqual(await inspect("one"), "weights has other bytes than recorded");
    await overwrite(`${path}/weights`, "good");
    strictEqual(await inspect("one"), "whole");
  }));

Deno.test("`Store` reads all files of a copied store once, and none of a moved one", () =>
  withStore(async ({ directory, make, inspect }) => {
    const { path } = await make("one", { weights: "good" });
    await settle(path);
    strictEqual(await inspect("one"), "whole");
    const file = path.replace(`${directory}/store/`, "");
    // The change keeps the time, so that only a reader of the bytes finds it.
    const change = (store: string) =>
      overwrite(`${directory}/${store}/${file}/weights`, "evil", LONG_AGO);
    const { success } = await new Deno.Command("cp", {
      args: ["-a", `${directory}/store`, `${directory}/copy`],
    }).output();
    ok(success);
    await Deno.rename(`${directory}/store`, `${directory}/moved`);
    await change("moved");
    await change("copy");
    await Deno.rename(`${directory}/moved`, `${directory}/store`);
    strictEqual(await inspect("one"), "whole");
    const copy = new Store(`${directory}/copy`);
    strictEqual((await copy.inspect(keyOf(recipeOf("one")))).state, "damaged");
    await overwrite(`${directory}/copy/${file}/weights`, "good", LONG_AGO);
    strictEqual((await copy.inspect(keyOf(recipeOf("one")))).state, "whole");
    await change("copy");
    const later = new Store(`${directory}/copy`);
    strictEqual((await later.inspect(keyOf(recipeOf("one")))).state, "whole");
  }));

Deno.test("`Store` takes a memo that was damaged, or is another's, for none", () =>
  withStore(async ({ directory, make, inspect }) => {
    const { path, key } = await make("one", { weights: "good" });
    await make("two", { weights: "other" });
    await settle(path);
    strictEqual(await inspect("one"), "whole");
    const memo = `${directory}/store/verified/${key}.json`;
    const { seal, states } = JSON.parse(await Deno.readTextFile(memo));
    strictEqual(states.length, 1);
    const texts = [
      "",
      "{",
      "null",
      "[]",
      JSON.stringify({ seal }),
      JSON.stringify({ seal, states: 5 }),
      JSON.stringify({ seal, states: [null] }),
      JSON.stringify({ seal, states: [7] }),
      JSON.stringify({ seal, states: [{ ...states[0], inode: states[0].inode + 1 }] }),
      JSON.stringify({ seal: sha256("other"), states }),
      await Deno.readTextFile(
        `${directory}/store/verified/${keyOf(recipeOf("two"))}.json`,
      ),
    ];
    for (const text of texts) {
      await overwrite(`${path}/weights`, "good", LONG_AGO);
      await Deno.writeTextFile(memo, text);
      strictEqual(await inspect("one"), "whole", text);
      // Written anew after the bytes were read.
      deepStrictEqual(JSON.parse(await Deno.readTextFile(memo)).states, states);
      await Deno.writeTextFile(memo, text);
      await overwrite(`${path}/weights`, "evil", LONG_AGO);
      strictEqual(await inspect("one"), "weights has other bytes than recorded", text);
    }
    await Deno.remove(memo);
    await Deno.mkdir(`${memo}/taken`, { recursive: true });
    strictEqual(await inspect("one"), "weights has other bytes than recorded");
  }));

Deno.test("`Store` reads files whose times come from a clock that jumped, and not for ever", () =>
  withStore(async ({ make, inspect }) => {
    const { path } = await make("one", { weights: "good" });
    for (const time of [LONG_AGO, new Date("2100-01-01T00:00:00.456Z")]) {
      await Deno.utime(`${path}/weights`, time, time);
      strictEqual(await inspect("one"), "whole");
      await overwrite(`${path}/weights`, "evil", time);
      strictEqual(await inspect("one"), "whole");
      await overwrite(`${path}/weights`, "evil");
      strictEqual(await inspect("one"), "weights has other bytes than recorded");
      await overwrite(`${path}/weights`, "good");
      strictEqual(await inspect("one"), "whole");
    }
  }));

Deno.test("`unsettled()` is the time until a later change would show", () => {
  const changed = Date.parse("2026-01-01T00:00:00.500Z");
  const state = { size: 1, inode: 1, born: 0 };
  const cases: [changed: number, at: number, wait: number][] = [
    [changed, changed, 20],
    [changed, changed + 15, 5],
    [changed, changed + 20, 0],
    [changed, changed + 5000, 0],
    [changed, changed - 5000, 0],
    // Whole seconds are the mark of a coarse clock.
    [changed - 500, changed - 500, 2000],
    [changed - 500, changed + 1000, 500],
  ];
  for (const [changed, at, wait] of cases) strictEqual(unsettled({ ...state, changed }, at), wait);
});

Deno.test("`Store.inspect()` takes any byte that was changed in a record for what it is", () =>
  withStore(async ({ make, inspect, open }) => {
    const { path, key } = await make("one", { weights: "good" });
    const record = `${path}/artifact.json`;
    await Deno.chmod(record, 0o644);
    const before = await open().inspect(key);
    await forEveryByte(record, async (at) => {
      const after = await open().inspect(key);
      notStrictEqual(after.state, "absent");
      if (after.state === "whole") deepStrictEqual(after, before, `byte ${at}`);
    });
    for (const other of ["null", "[]", "7", '"x"', '{"seal":1e999}', '{"files":null}']) {
      await Deno.writeTextFile(record, other);
      strictEqual(await inspect("one"), "artifact.json is not as it was written");
    }
  }));

Deno.test("any byte that was changed in the memory of digests or of a run is known for it", async () => {
  const directory = await Deno.makeTempDir();
  const store = `${directory}/store`;
  const file = `${directory}/weights`;
  await Deno.writeTextFile(file, "weights");
  await Deno.utime(file, LONG_AGO, LONG_AGO);
  const memo = new DigestMemo(store);
  await memo.digest(file);
  await memo.save();
  await forEveryByte(`${store}/digests.json`, async (at) => {
    strictEqual(await new DigestMemo(store).digest(file), sha256("weights"), `byte ${at}`);
  });
  const runs = await Runs.open(store, file);
  const step = {
    name: "a",
    stage: "load",
    state: "hit",
    reason: "",
    seconds: 1,
    inputs: {},
  } as const;
  const facts = { params: {}, environment: {}, steps: [{ ...step, key: sha256("a") }] };
  const { id } = await runs.begin(facts);
  await runs.end({ state: "ok", seconds: 1, scores: {} });
  const [before] = await allRuns(store);
  const [room = ""] = await Array.fromAsync(Deno.readDir(`${store}/runs`), ({ name }) => name);
  await forEveryByte(`${store}/runs/${room}/${id}.json`, async (at) => {
    const [after] = await allRuns(store);
    if (after) deepStrictEqual({ ...after, ...before }, after, `byte ${at}`);
  });
  await Deno.remove(directory, { recursive: true });
});

/** Looks at a file with every byte of it changed in turn. */
async function forEveryByte(path: string, look: (at: number) => Promise<void>): Promise<void> {
  const bytes = await Deno.readFile(path);
  for (let at = 0; at < bytes.length; at++) {
    await Deno.writeFile(path, bytes.map((byte, i) => i === at ? byte ^ 1 : byte));
    await look(at);
  }
  await Deno.writeFile(path, bytes);
}

Deno.test("`Store` takes what lies in an artifact's place for a damaged artifact", () =>
  withStore(async ({ directory, make, inspect }) => {
    const { path } = await make("one", { weights: "good" });
    await Deno.remove(path, { recursive: true });
    await Deno.writeTextFile(path, "a file");
    strictEqual(await inspect("one"), "artifact.json is missing or no JSON");
    strictEqual((await make("one", { weights: "good" })).path, path);
    strictEqual(await inspect("one"), "whole");
    await Deno.remove(path, { recursive: true });
    await Deno.mkdir(`${path}/artifact.json`, { recursive: true });
    strictEqual(await inspect("one"), "artifact.json is missing or no JSON");
    await Deno.remove(path, { recursive: true });
    await Deno.symlink(`${directory}/nowhere`, path);
    strictEqual(await inspect("one"), "artifact.json is missing or no JSON");
    await make("one", { weights: "good" });
    strictEqual(await inspect("one"), "whole");
  }));

Deno.test("`Store.make()` gives a stage what its journal kept, and nothing that was damaged", () =>
  withStore(async ({ directory, open }) => {
    const recipe = recipeOf("one");
    const kept: (number | undefined)[] = [];
    const attempt = (fail: boolean) =>
      open().make(recipe, {
        kind: "number",
        write: async (_, journal) => {
          kept.push((await journal.read("part"))?.length);
          await journal.write("part", new Uint8Array(100));
          if (fail) throw new Error("Cannot go on");
          return { scores: {}, notes: [] };
        },
      });
    const journal = `${directory}/store/journal/${keyOf(recipe)}`;
    const again = () => rejects(attempt(true), /Cannot go on/);
    await again();
    await again();
    const bytes = await Deno.readFile(`${journal}/part`);
    for (const at of [0, 70, bytes.length - 1]) {
      await Deno.writeFile(`${journal}/part`, bytes.map((byte, i) => i === at ? byte ^ 1 : byte));
      await again();
    }
    await Deno.writeFile(`${journal}/part`, bytes.subarray(0, 150));
    await again();
    await Deno.remove(`${journal}/part`);
    await Deno.mkdir(`${journal}/part/taken`, { recursive: true });
    await again();
    await again();
    await Deno.remove(journal, { recursive: true });
    await Deno.writeTextFile(journal, "in the way");
    await again();
    await attempt(false);
    const none = undefined;
    deepStrictEqual(kept, [none, 100, none, none, none, none, none, 100, none, 100]);
    strictEqual(await Deno.stat(journal).catch(() => "gone"), "gone");
  }));

Deno.test("`Store.make()` says in a sentence what keeps it from writing", () =>
  withStore(async ({ directory, make }) => {
    const { key } = await make("one", { weights: "good" });
    const store = `${directory}/store`;
    await Deno.remove(`${store}/locks/${key}`);
    await Deno.mkdir(`${store}/locks/${key}`);
    await rejects(make("one", { weights: "good" }), {
      message: `Cannot lock ${store}/locks/${key}: it is a directory, expected a file; remove it`,
    });
    await Deno.remove(`${store}/tmp`, { recursive: true });
    await Deno.writeTextFile(`${store}/tmp`, "in the way");
    await rejects(make("two", {}), ({ message }: Error) => {
      ok(message.startsWith(`Cannot write to the store ${store}: something else lies there: `));
      return true;
    });
  }));
