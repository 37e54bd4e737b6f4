import {
  deepStrictEqual,
  match,
  notStrictEqual,
  ok,
  rejects,
  strictEqual,
  throws,
} from "node:assert/strict";
import { createHash } from "node:crypto";
import type { ArtifactRecord, KeyDocument } from "../../../pipeline/artifact.ts";
import { describeDifference } from "../../../pipeline/plan/difference.ts";
import { DigestMemo } from "../../../pipeline/store/digests.ts";
import { canonicalJson, keyOf } from "../../../pipeline/store/key.ts";
import { Store } from "../../../pipeline/store/store.ts";
import { isHeld, takeLock, tryLock } from "../../../pipeline/store/lock.ts";
import { withDirectory } from "../../support/directory.ts";
import { until } from "../../support/wait.ts";

const recipe: KeyDocument = { stage: "load", version: 1, params: { bits: 4 }, inputs: {} };

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

async function writeTwo(directory: string): Promise<{ scores: Record<string, number>; notes: [] }> {
  await Deno.mkdir(`${directory}/b`);
  await Deno.writeTextFile(`${directory}/b/two`, "22");
  await Deno.writeTextFile(`${directory}/a`, "1");
  return { scores: { loss: 0.5 }, notes: [] };
}

async function namesIn(directory: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(directory), ({ name }) => name);
  return names.filter((name) => name !== ".gitignore").sort();
}

/** Changes a read-only file. */
async function overwrite(path: string, text: string): Promise<void> {
  await Deno.chmod(path, 0o644);
  await Deno.writeTextFile(path, text);
}

Deno.test("`canonicalJson()` gives equal text for equal data", () => {
  strictEqual(
    canonicalJson({ b: [1, { d: null, c: "x" }], a: undefined }),
    '{"b":[1,{"c":"x","d":null}]}',
  );
  strictEqual(canonicalJson(-0), "0");
  throws(
    () => canonicalJson({ a: { b: [NaN] } }),
    /^TypeError: Cannot put "a\.b\.0" into a key: it is NaN/,
  );
  throws(() => canonicalJson({ a: new Map() }), /it is a Map, expected what JSON can hold$/);
});

Deno.test("`keyOf()` is the sha256 of the canonical key document", () => {
  strictEqual(
    keyOf({ version: 2, stage: "load", params: { b: 1, a: "x" }, inputs: { model: "00" } }),
    sha256('{"inputs":{"model":"00"},"params":{"a":"x","b":1},"stage":"load","version":2}'),
  );
});

Deno.test("`describeDifference()` names what changed with both values", () => {
  const before: KeyDocument = {
    stage: "smooth",
    version: 1,
    params: { alpha: 0.3, site: { name: "x", skip: [1, 2] } },
    inputs: { model: "a".repeat(64), reports: ["b".repeat(64)] },
    fingerprint: { file: "1" },
  };
  const cases: [change: Partial<KeyDocument>, words: string][] = [
    [{}, ""],
    [{ version: 2 }, "version of smooth 1 → 2"],
    [{ params: { alpha: 0.35, site: { name: "x", skip: [1, 2] } } }, "alpha 0.3 → 0.35"],
    [
      { params: { alpha: 0.3, site: { name: "y", skip: [1, 3] } } },
      'site.name "x" → "y"; site.skip.1 2 → 3',
    ],
    [{ params: { alpha: 0.3, site: "none" } }, 'site {"name":"x","skip":[1,2]} → "none"'],
    [
      { params: { site: { name: "x", skip: [1, 2] }, beta: true } },
      "alpha removed, was 0.3; beta added: true",
    ],
    [
      { inputs: { ...before.inputs, model: "c".repeat(64) } },
      'input "model" changed: aaaaaaaa… → cccccccc…',
    ],
    [
      { inputs: { ...before.inputs, reports: ["b".repeat(64), "d".repeat(64)] } },
      'input "reports" 1 added: dddddddd…',
    ],
    [{ fingerprint: { file: "2" } }, 'outside data file "1" → "2"'],
    [
      { stage: "rotate", version: 3, params: {}, inputs: {} },
      'stage "smooth" → "rotate"; version of rotate 1 → 3; alpha removed, was 0.3; and 3 more',
    ],
  ];
  for (const [change, words] of cases) {
    strictEqual(describeDifference(before, { ...before, ...change }), words);
  }
});

Deno.test("`Store.make()` records the files it was given and makes them read-only", () =>
  withDirectory(async (directory) => {
    const store = new Store(directory);
    strictEqual(await store.find(recipe), undefined);
    const { artifact, made } = await store.make(recipe, { kind: "model", write: writeTwo });
    strictEqual(made, true);
    strictEqual(artifact.key, keyOf(recipe));
    strictEqual(artifact.path, `${directory}/artifacts/${artifact.key}`);
    const files = [
      { path: "a", size: 1, sha256: sha256("1") },
      { path: "b/two", size: 2, sha256: sha256("22") },
    ];
    const text = await Deno.readTextFile(`${artifact.path}/artifact.json`);
    const record: ArtifactRecord = JSON.parse(text);
    deepStrictEqual(record.files, files);
    deepStrictEqual(record.recipe, recipe);
    deepStrictEqual(record.scores, { loss: 0.5 });
    strictEqual(record.kind, "model");
    const listed = JSON.stringify(files.map(({ path, size, sha256 }) => [path, size, sha256]));
    strictEqual(artifact.digest, sha256(listed));
    for (const path of ["a", "b/two", "artifact.json"]) {
      // Windows has no such modes.
      if (Deno.build.os !== "windows") {
        strictEqual((await Deno.stat(`${artifact.path}/${path}`)).mode! & 0o777, 0o444);
      }
    }
    deepStrictEqual((await store.find(recipe))?.artifact, artifact);
    deepStrictEqual(await namesIn(`${directory}/tmp`), []);
  }));

Deno.test("`Store.make()` leaves nothing when the work throws or writes what cannot be kept", () =>
  withDirectory(async (directory) => {
    const store = new Store(directory);
    const failures: [write: (out: string) => Promise<unknown>, error: RegExp][] = [
      [async (out) => {
        await writeTwo(out);
        throw new Error("Cannot go on");
      }, /^Error: Cannot go on$/],
      [(out) => Deno.symlink("/etc/hostname", `${out}/link`), /Cannot store "link": it is a link/],
      [(out) => Deno.writeTextFile(`${out}/artifact.json`, "{}"), /Cannot store "artifact\.json"/],
    ];
    for (const [write, error] of failures) {
      const kept = async (out: string) => {
        await write(out);
        return { scores: {}, notes: [] };
      };
      await rejects(store.make(recipe, { kind: "model", write: kept }), error);
      deepStrictEqual(await namesIn(`${directory}/tmp`), []);
      deepStrictEqual(await namesIn(`${directory}/artifacts`), []);
    }
  }));

Deno.test("`Store.make()` puts a damaged artifact aside and makes it again", () =>
  withDirectory(async (directory) => {
    const store = new Store(directory);
    const make = async () => {
      const told: string[] = [];
      const onQuarantine = (why: string) => told.push(why);
      const made = await store.make(recipe, { kind: "model", write: writeTwo, onQuarantine });
      return { ...made, told };
    };
    const { artifact } = await make();
    const damages: [damage: () => Promise<void>, why: RegExp][] = [
      [() => Deno.remove(`${artifact.path}/b/two`), /^b\/two is missing$/],
      [() => overwrite(`${artifact.path}/a`, ""), /^a has 0 bytes, expected 1$/],
      [
        () => Deno.remove(`${artifact.path}/artifact.json`),
        /^artifact\.json is missing or no JSON$/,
      ],
      [() => overwrite(`${artifact.path}/artifact.json`, '{"key":'), /is missing or no JSON$/],
      [() => overwrite(`${artifact.path}/artifact.json`, "{}"), /is not as it was written$/],
      [async () => {
        const path = `${artifact.path}/artifact.json`;
        await overwrite(
          path,
          (await Deno.readTextFile(path)).replace('"loss": 0.5', '"loss": 0.4'),
        );
      }, /is not as it was written$/],
    ];
    for (const [i, [damage, why]] of damages.entries()) {
      await damage();
      strictEqual(await store.find(recipe), undefined);
      const again = await make();
      match(again.told.join(), why);
      strictEqual(again.made, true);
      deepStrictEqual(again.artifact, artifact);
      strictEqual((await namesIn(`${directory}/quarantine`)).length, i + 1);
    }
  }));

Deno.test("`Store` finds changed bytes of equal number unless it looks at sizes only", () =>
  withDirectory(async (directory) => {
    const write = { kind: "model", write: writeTwo };
    const { artifact } = await new Store(directory).make(recipe, write);
    await overwrite(`${artifact.path}/b/two`, "23");
    ok(await new Store(directory, { verify: "size" }).find(recipe));
    for (const verify of ["stat", "full"] as const) {
      deepStrictEqual(await new Store(directory, { verify }).inspect(artifact.key), {
        state: "damaged",
        why: "b/two has other bytes than recorded",
      });
    }
  }));

Deno.test("`Store.make()` does the work once when two ask for it at the same time", () =>
  withDirectory(async (directory) => {
    let calls = 0;
    let waits = 0;
    const make = () =>
      new Store(directory).make(recipe, {
        kind: "model",
        onWait: (holder) => {
          strictEqual(holder.split(" (")[0], `${Deno.pid} on ${Deno.hostname()}`);
          waits++;
        },
        write: async (out) => {
          calls++;
          await until(() => waits === 1);
          return await writeTwo(out);
        },
      });
    const [one, two] = await Promise.all([make(), make()]);
    deepStrictEqual([calls, waits], [1, 1]);
    deepStrictEqual(one.artifact, two.artifact);
    notStrictEqual(one.made, two.made);
  }));

Deno.test("`Store.make()` stops waiting for another process when it is told to stop", () =>
  withDirectory(async (directory) => {
    const store = new Store(directory);
    await Deno.mkdir(`${directory}/locks`);
    using _held = await takeLock(`${directory}/locks/${keyOf(recipe)}`, {});
    const controller = new AbortController();
    const made = store.make(recipe, {
      kind: "model",
      write: writeTwo,
      signal: controller.signal,
      onWait: () => controller.abort(new Error("asked to stop")),
    });
    await rejects(made, /asked to stop/);
  }));

Deno.test("`Store.sweep()` removes what the dead have left and lets the living be", () =>
  withDirectory(async (directory) => {
    const store = new Store(directory);
    await store.make(recipe, { kind: "model", write: writeTwo });
    const [dead, alive] = ["d".repeat(64), "a".repeat(64)];
    for (const key of [dead, alive]) {
      await Deno.mkdir(`${directory}/tmp/${key}.1.x/sub`, { recursive: true });
    }
    using _held = await takeLock(`${directory}/locks/${alive}`, {});
    await store.sweep();
    deepStrictEqual(await namesIn(`${directory}/tmp`), [`${alive}.1.x`]);
  }));

Deno.test("`Store` works after its directory was moved", () =>
  withDirectory(async (directory) => {
    const write = { kind: "model", write: writeTwo };
    const { artifact } = await new Store(`${directory}/here`).make(recipe, write);
    await Deno.rename(`${directory}/here`, `${directory}/there`);
    const found = await new Store(`${directory}/there`).find(recipe);
    strictEqual(found?.artifact.digest, artifact.digest);
    strictEqual(found?.artifact.path, artifact.path.replace("/here/", "/there/"));
  }));

Deno.test("`Store.make()` replaces an artifact when it is asked to make it again", () =>
  withDirectory(async (directory) => {
    const store = new Store(directory);
    const write = (text: string) => async (out: string) => {
      await Deno.writeTextFile(`${out}/a`, text);
      return { scores: {}, notes: [] };
    };
    const first = await store.make(recipe, { kind: "model", write: write("1") });
    const second = await store.make(recipe, { kind: "model", write: write("2"), again: true });
    strictEqual(second.made, true);
    notStrictEqual(first.artifact.digest, second.artifact.digest);
    strictEqual(await Deno.readTextFile(`${second.artifact.path}/a`), "2");
    deepStrictEqual(await namesIn(`${directory}/tmp`), []);
  }));

Deno.test("`tryLock()` gets a lock again after its holder let go", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/lock`;
    const held = await takeLock(path, {});
    strictEqual(await tryLock(path), undefined);
    held[Symbol.dispose]();
    using again = await tryLock(path);
    ok(again);
  }));

Deno.test("a lock that is removed while it is held is taken anew by who waits for it, and by one", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/lock`;
    strictEqual(await isHeld(path), false);
    deepStrictEqual(await namesIn(directory), []);
    const held = await takeLock(path, {});
    const [first, second] = [takeLock(path, {}), takeLock(path, {})];
    await new Promise((resolve) => setTimeout(resolve, 120));
    await held.remove();
    const next = await Promise.race([first, second]);
    strictEqual(await tryLock(path), undefined);
    strictEqual(await isHeld(path), true);
    next[Symbol.dispose]();
    for (const lock of await Promise.all([first, second])) lock[Symbol.dispose]();
  }));

Deno.test("`DigestMemo` reads a file once for as long as it does not change", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/weights`;
    const long = new Date("2020-01-01");
    const write = async (text: string, time: Date) => {
      await Deno.writeTextFile(path, text);
      await Deno.utime(path, time, time);
    };
    const digest = async () => {
      const memo = new DigestMemo(`${directory}/store`);
      const digests = await Promise.all([memo.digest(path), memo.digest(path)]);
      await memo.save();
      strictEqual(digests[0], digests[1]);
      return digests[0];
    };
    await write("one", long);
    strictEqual(await digest(), sha256("one"));
    // Same size, time and inode: only a reader of the bytes would notice.
    await write("two", long);
    strictEqual(await digest(), sha256("one"));
    await write("two", new Date("2020-01-02"));
    strictEqual(await digest(), sha256("two"));
    await write("four", new Date("2020-01-02"));
    strictEqual(await digest(), sha256("four"));
  }));

Deno.test("`DigestMemo` does not trust a file that changed a moment ago", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/weights`;
    const memo = new DigestMemo(`${directory}/store`);
    const now = new Date();
    for (const text of ["one", "two"]) {
      await Deno.writeTextFile(path, text);
      await Deno.utime(path, now, now);
      strictEqual(await memo.digest(path), sha256(text));
    }
    await rejects(memo.digest(`${directory}/none`), /Cannot read .*none: there is no such file/);
    await rejects(memo.digest(directory), /Cannot take the digest of .*: expected a file/);
  }));
