import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import type { KeyDocument } from "../../../pipeline/artifact.ts";
import { keyOf } from "../../../pipeline/store/key.ts";
import type { Remote } from "../../../pipeline/store/remote.ts";
import { Store } from "../../../pipeline/store/store.ts";

const recipe: KeyDocument = { stage: "load", version: 1, params: {}, inputs: {} };
const KEY = keyOf(recipe);

/** A remote in a directory, which copies whatever lies there. */
function remoteIn(directory: string, changes: Partial<Remote> = {}): Remote {
  const copy = async (from: string, to: string) => {
    const { success } = await new Deno.Command("cp", { args: ["-r", `${from}/.`, to] }).output();
    ok(success);
  };
  return {
    name: "the shelf",
    has: (key) => Deno.stat(`${directory}/${key}`).then(() => true, () => false),
    record: async (key) => {
      const text = await Deno.readTextFile(`${directory}/${key}/artifact.json`).catch(() => "");
      return text === "" ? undefined : JSON.parse(text);
    },
    fetch: async (key, to) => {
      await copy(`${directory}/${key}`, to);
      return true;
    },
    push: async (key, from) => {
      await Deno.mkdir(`${directory}/${key}`);
      await copy(from, `${directory}/${key}`);
    },
    ...changes,
  };
}

/** What two machines do with a remote: each makes the same artifact in its own store. */
async function withMachines(
  use: (given: {
    readonly shelf: string;
    readonly stores: string;
    make(
      machine: string,
      options?: { remote?: Partial<Remote> | null; again?: boolean; signal?: AbortSignal },
    ): Promise<{ made: boolean; digest: string; notes: string[]; path: string }>;
  }) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const shelf = `${directory}/shelf`;
  await Deno.mkdir(shelf);
  try {
    await use({
      shelf,
      stores: directory,
      make: async (machine, { remote = {}, ...options } = {}) => {
        const notes: string[] = [];
        const store = new Store(`${directory}/${machine}`, {
          remote: remote ? remoteIn(shelf, remote) : undefined,
        });
        const { made, artifact } = await store.make(recipe, {
          kind: "number",
          onNote: (text) => notes.push(text),
          write: async (out) => {
            await Deno.mkdir(`${out}/deep`);
            await Deno.writeTextFile(`${out}/deep/weights`, "weights");
            await Deno.writeTextFile(`${out}/config`, "config");
            return { scores: { loss: 1 }, notes: [] };
          },
          ...options,
        });
        return { made, digest: artifact.digest, notes, path: artifact.path };
      },
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("`Store.make()` takes from a remote what another machine has made", () =>
  withMachines(async ({ shelf, stores, make }) => {
    const first = await make("one");
    strictEqual(first.made, true);
    const remote = remoteIn(shelf);
    const seen = await new Store(`${stores}/two`, { remote }).inspect(KEY);
    ok(seen.state === "remote");
    strictEqual(seen.stored.artifact.digest, first.digest);
    strictEqual(seen.stored.artifact.path, `${stores}/two/artifacts/${KEY}`);
    deepStrictEqual(await new Store(`${stores}/two`).inspect(KEY), { state: "absent" });
    const second = await make("two");
    deepStrictEqual([second.made, second.digest], [false, first.digest]);
    deepStrictEqual([first.notes, second.notes], [[], ["Fetched from the shelf"]]);
    const [one, two] = await Promise.all(
      [first, second].map(({ path }) => Deno.readTextFile(`${path}/artifact.json`)),
    );
    strictEqual(one, two);
    // Windows has no such modes.
    if (Deno.build.os !== "windows") {
      strictEqual((await Deno.stat(`${second.path}/deep/weights`)).mode! & 0o777, 0o444);
    }
    const whole = new Store(`${stores}/two`, { verify: "full" });
    strictEqual((await whole.inspect(KEY)).state, "whole");
    deepStrictEqual(await Array.fromAsync(Deno.readDir(`${stores}/two/tmp`)), []);
    strictEqual((await make("two", { again: true, remote: { push: async () => {} } })).made, true);
  }));

Deno.test("`Store.make()` replaces what is damaged here by what the remote has", () =>
  withMachines(async ({ make }) => {
    const { path } = await make("one");
    await Deno.remove(`${path}/config`);
    const { made } = await make("one");
    strictEqual(made, false);
    strictEqual(await Deno.readTextFile(`${path}/config`), "config");
  }));

Deno.test("`Store.make()` makes what a remote gives damaged, and says so", () =>
  withMachines(async ({ shelf, make }) => {
    await make("one");
    const record = await Deno.readTextFile(`${shelf}/${KEY}/artifact.json`);
    const files = `${shelf}/${KEY}`;
    const damages: [damage: () => Promise<void>, why: RegExp][] = [
      [() => Deno.writeTextFile(`${files}/config`, "confug"), /config is not as it was recorded/],
      [() => Deno.writeTextFile(`${files}/config`, "conf"), /config is not as it was recorded/],
      [() => Deno.remove(`${files}/config`), /config is not as it was recorded/],
      [() => Deno.writeTextFile(`${files}/more`, "x"), /more is not as it was recorded/],
      [() => Deno.symlink("/etc/hostname", `${files}/link`), /"link": it is a link/],
      [() => Deno.remove(`${files}/artifact.json`), /artifact\.json is missing or no JSON/],
      [
        () =>
          Deno.writeTextFile(`${files}/artifact.json`, record.replace('"loss": 1', '"loss": 2')),
        /artifact\.json is not as it was written/,
      ],
    ];
    for (const [i, [damage, why]] of damages.entries()) {
      const backup = `${shelf}/backup`;
      await new Deno.Command("cp", { args: ["-a", files, backup] }).output();
      await new Deno.Command("chmod", { args: ["-R", "u+w", files] }).output();
      await damage();
      const { made, notes } = await make(`machine${i}`, { remote: { push: async () => {} } });
      strictEqual(made, true);
      match(notes.join("\n"), /^Cannot use what the shelf has of it: .*; it is made here$/);
      match(notes.join("\n"), why);
      await Deno.remove(files, { recursive: true });
      await Deno.rename(backup, files);
    }
  }));

Deno.test("`Store.make()` takes no file from a remote that would lie outside its artifact", () =>
  withMachines(async ({ shelf, stores, make }) => {
    await make("one");
    const { sealOf, digestOf } = await import("../../../pipeline/store/contents.ts");
    const path = `${shelf}/${KEY}/artifact.json`;
    const { seal: _, ...record } = JSON.parse(await Deno.readTextFile(path));
    await Deno.chmod(path, 0o644);
    for (const name of ["../escaped", "/tmp/escaped", "a/../../escaped", "", "./config"]) {
      const files = record.files.map((file: object, i: number) =>
        i === 0 ? { ...file, path: name } : file
      );
      const lie = { ...record, files, digest: digestOf(files) };
      await Deno.writeTextFile(path, JSON.stringify({ ...lie, seal: sealOf(lie) }));
      const { made, notes } = await make(`machine${name.length}`, {
        remote: { push: async () => {} },
      });
      strictEqual(made, true);
      match(notes.join(), /artifact\.json is not as it was written/);
    }
    ok(!(await Array.fromAsync(Deno.readDir(stores))).some(({ name }) => name === "escaped"));
  }));

Deno.test("`Store.make()` goes on without a remote that does not answer", () =>
  withMachines(async ({ make }) => {
    const down = () => Promise.reject(new Error("the network is down"));
    const { made, notes } = await make("one", { remote: { has: down, push: down } });
    strictEqual(made, true);
    deepStrictEqual(notes, [
      "Cannot use what the shelf has of it: the network is down; it is made here",
      "Cannot copy it to the shelf: the network is down; it is here only",
    ]);
    strictEqual(
      (await make("two", { remote: { fetch: () => Promise.resolve(false) } })).made,
      true,
    );
  }));

Deno.test("`Store.settle()` copies what was made for a remote and is not there, and nothing else", () =>
  withMachines(async ({ shelf, stores, make }) => {
    const down = () => Promise.reject(new Error("the network is down"));
    const { made } = await make("one", { remote: { push: down } });
    strictEqual(made, true);
    const settle = async (machine: string, changes: Partial<Remote> = {}) => {
      const notes: string[] = [];
      let asked = 0;
      const { has, push, record, ...rest } = remoteIn(shelf, changes);
      const counted = <T extends unknown[], R>(call: (...args: T) => R) => (...args: T) => {
        asked++;
        return call(...args);
      };
      const counting = { has: counted(has), push: counted(push), record: counted(record) };
      const store = new Store(`${stores}/${machine}`, { remote: { ...rest, ...counting } });
      const found = await store.find(recipe);
      await store.settle(found!.artifact, { onNote: (text) => notes.push(text) });
      return { notes, asked };
    };
    // Made for another place, it is nobody's wish to have it here.
    deepStrictEqual(await settle("one", { name: "another shelf" }), { notes: [], asked: 0 });
    deepStrictEqual((await settle("one", { push: down })).notes, [
      "Cannot copy it to the shelf: the network is down; it is here only",
    ]);
    deepStrictEqual(await settle("one"), {
      notes: ["Copied to the shelf, which an earlier run has not done"],
      asked: 1,
    });
    ok((await Deno.stat(`${shelf}/${KEY}/config`)).isFile);
    deepStrictEqual(await settle("one"), { notes: [], asked: 0 });
    // What was made without a remote stays here.
    await make("two", { remote: null, again: true });
    deepStrictEqual(await settle("two"), { notes: [], asked: 0 });
  }));

Deno.test("`Store.make()` stops fetching when it is told to stop, and keeps nothing of it", () =>
  withMachines(async ({ stores, make }) => {
    await make("one");
    const controller = new AbortController();
    const fetch: Remote["fetch"] = async (_, to, signal) => {
      await Deno.writeTextFile(`${to}/half`, "half");
      controller.abort(new Error("asked to stop"));
      signal?.throwIfAborted();
      return true;
    };
    const { signal } = controller;
    await rejects(make("two", { remote: { fetch }, signal }), /^Error: asked to stop$/);
    deepStrictEqual(await Array.fromAsync(Deno.readDir(`${stores}/two/tmp`)), []);
    deepStrictEqual(await Array.fromAsync(Deno.readDir(`${stores}/two/artifacts`)), []);
  }));
