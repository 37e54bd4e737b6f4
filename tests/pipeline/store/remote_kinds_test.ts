import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { openRemote } from "../../../pipeline/store/remote/open_remote.ts";
import { digestOf, sealOf } from "../../../pipeline/store/contents.ts";
import { temporary } from "../../support/directory.ts";
import {
  bucketPlace,
  directoryPlace,
  filesBelow,
  makeArtifact,
} from "../../support/remote_place.ts";
import { call } from "../../support/toy/call.ts";

const PLACES = { "a directory": directoryPlace, "a bucket": bucketPlace };
const FILES = { "config": "same", "deep/er/weights": "weights", "deep/twin": "same", "none": "" };
const ABSENT = "0".repeat(64);

const hash = (text: string) => createHash("sha256").update(text).digest("hex");

for (const [what, place] of Object.entries(PLACES)) {
  Deno.test(`${what} gives what was pushed, nested and empty files too`, async () => {
    await using shared = await place();
    await using here = await temporary();
    const { key, path, digest } = await makeArtifact(`${here.path}/store`, FILES);
    const remote = await shared.open();
    strictEqual(await remote.has(key), false);
    strictEqual(await remote.record(key), undefined);
    strictEqual(await remote.fetch(ABSENT, here.path), false);
    await remote.push(key, path);
    const other = await shared.open();
    strictEqual(await other.has(key), true);
    strictEqual(await other.has(ABSENT), false);
    strictEqual((await other.record(key))?.digest, digest);
    const there = `${here.path}/there`;
    await Deno.mkdir(there);
    strictEqual(await other.fetch(key, there), true);
    deepStrictEqual(await filesBelow(there), ["artifact.json", ...Object.keys(FILES)].sort());
    for (const name of await filesBelow(there)) {
      deepStrictEqual(
        await Deno.readFile(`${there}/${name}`),
        await Deno.readFile(`${path}/${name}`),
      );
    }
    // By content: equal files once, empty ones not at all.
    deepStrictEqual(await shared.list(), [
      `artifacts/${key}.json`,
      ...["same", "weights"].map((text) => `files/${hash(text)}`).sort(),
    ]);
  });

  Deno.test(`${what} shows no key whose push failed, and takes it later`, async () => {
    await using shared = await place();
    await using here = await temporary();
    const { key, path } = await makeArtifact(`${here.path}/store`, FILES);
    const remote = await shared.open();
    const weights = `${path}/deep/er/weights`;
    await Deno.chmod(weights, 0o644);
    for (const wrong of ["WEIGHTS", "weights and more", ""]) {
      await Deno.writeTextFile(weights, wrong);
      await rejects(remote.push(key, path), /deep\/er\/weights has other bytes than recorded$/);
    }
    ok(!(await shared.list()).some((name) => name !== `files/${hash("same")}`));
    strictEqual(await remote.fetch(key, `${here.path}`), false);
    await Deno.writeTextFile(weights, "weights");
    await remote.push(key, path);
    strictEqual(await remote.has(key), true);
  });

  Deno.test(`${what} whose objects are damaged is refused, and mended by the next push`, async () => {
    await using shared = await place();
    await using here = await temporary();
    const { key, path } = await makeArtifact(`${here.path}/store`, FILES);
    const remote = await shared.open();
    await remote.push(key, path);
    const name = `files/${hash("weights")}`;
    const text = (word: string) => new TextEncoder().encode(word);
    const damages: [bytes: Uint8Array<ArrayBuffer> | undefined, why: RegExp][] = [
      [undefined, /^WrongObject: files\/\w+ is missing there$/],
      [text("WEIGHTS"), /^WrongObject: files\/\w+ has other bytes than recorded$/],
      [text("weigh"), /^WrongObject: files\/\w+ has 5 bytes, expected 7$/],
      [text("weights".repeat(1000)), /^WrongObject: files\/\w+ is longer than the 7 bytes/],
    ];
    for (const [i, [bytes, why]] of damages.entries()) {
      await shared.write(name, bytes);
      const there = `${here.path}/there${i}`;
      await Deno.mkdir(there);
      await rejects(remote.fetch(key, there), why);
      ok(!(await filesBelow(there)).includes("artifact.json"));
      const written = await Deno.stat(`${there}/deep/er/weights`);
      ok(written.size <= 7);
      await remote.push(key, path);
      strictEqual(new TextDecoder().decode(await shared.read(name)), "weights");
    }
    const record = `artifacts/${key}.json`;
    const right = await shared.read(record);
    for (const wrong of [text("{"), text("null"), right.slice(0, -9)]) {
      await shared.write(record, wrong);
      await rejects(remote.record(key), /artifacts\/\w+\.json is not as it was written$/);
      await rejects(remote.fetch(key, here.path), /is not as it was written$/);
      await remote.push(key, path);
      deepStrictEqual(await shared.read(record), right);
    }
  });

  Deno.test(`${what} cannot make a file outside the directory it fills`, async () => {
    await using shared = await place();
    await using here = await temporary();
    const { key, path } = await makeArtifact(`${here.path}/store`, FILES);
    const remote = await shared.open();
    await remote.push(key, path);
    const { seal: _, ...record } = JSON.parse(await Deno.readTextFile(`${path}/artifact.json`));
    const before = await filesBelow(here.path);
    for (const name of ["../escaped", `${here.path}/escaped`, "a/../../escaped", "", "./config"]) {
      const files = record.files.map((file: object, i: number) =>
        i ? file : { ...file, path: name }
      );
      const lie = { ...record, files, digest: digestOf(files) };
      const sealed = JSON.stringify({ ...lie, seal: sealOf(lie) });
      await shared.write(`artifacts/${key}.json`, new TextEncoder().encode(sealed));
      await Deno.mkdir(`${here.path}/there`);
      await rejects(remote.fetch(key, `${here.path}/there`), /is not as it was written$/);
      deepStrictEqual(await filesBelow(here.path), before);
      await Deno.remove(`${here.path}/there`);
    }
  });

  Deno.test(`${what} takes one artifact from several at once, and other bytes for a key`, async () => {
    await using shared = await place();
    await using here = await temporary();
    const { key, path } = await makeArtifact(`${here.path}/store`, FILES);
    const remotes = await Promise.all([1, 2, 3, 4].map(() => shared.open()));
    await Promise.all(remotes.map((remote) => remote.push(key, path)));
    strictEqual((await shared.list()).length, 3);
    strictEqual(await remotes[0]!.has(key), true);
    const first = await shared.read(`artifacts/${key}.json`);
    // The same bytes made elsewhere change nothing for those who have fetched them.
    const twin = await makeArtifact(`${here.path}/twin`, FILES);
    await remotes[1]!.push(key, twin.path);
    deepStrictEqual(await shared.read(`artifacts/${key}.json`), first);
    const again = await makeArtifact(`${here.path}/again`, { ...FILES, config: "other" });
    strictEqual(again.key, key);
    await remotes[2]!.push(key, again.path);
    strictEqual((await remotes[3]!.record(key))?.digest, again.digest);
  });

  Deno.test(`${what} stops when it is told to`, async () => {
    await using shared = await place();
    await using here = await temporary();
    const { key, path } = await makeArtifact(`${here.path}/store`, FILES);
    const remote = await shared.open();
    const signal = AbortSignal.abort(new Error("asked to stop"));
    await rejects(remote.push(key, path, signal), /^Error: asked to stop$/);
    deepStrictEqual(await shared.list(), []);
    await remote.push(key, path);
    await Deno.mkdir(`${here.path}/there`);
    await rejects(remote.fetch(key, `${here.path}/there`, signal), /^Error: asked to stop$/);
  });
}

Deno.test("a bucket that was copied to a disk is a directory remote", async () => {
  await using bucket = await bucketPlace();
  await using directory = await directoryPlace();
  await using here = await temporary();
  const { key, path, digest } = await makeArtifact(`${here.path}/store`, FILES);
  await (await bucket.open()).push(key, path);
  const disk = await directory.open();
  for (const name of await bucket.list()) {
    await Deno.mkdir(`${disk.name}/${name}/..`, { recursive: true });
    await directory.write(name, await bucket.read(name));
  }
  await Deno.mkdir(`${here.path}/there`);
  strictEqual(await disk.fetch(key, `${here.path}/there`), true);
  strictEqual((await disk.record(key))?.digest, digest);
});

Deno.test("`openRemote()` takes directories and `file:` URLs, and names what it cannot take", async () => {
  await using shared = await directoryPlace();
  await using here = await temporary();
  const { name } = await shared.open();
  const { key, path } = await makeArtifact(`${here.path}/store`, FILES);
  await (await openRemote(`file://${name}`)).push(key, path);
  strictEqual(await (await openRemote(name)).has(key), true);
  await rejects(openRemote("gs://bucket"), {
    name: "TypeError",
    message: 'Cannot open the remote gs://bucket: "gs:" is unknown, expected a directory, ' +
      "file:// or s3://",
  });
  await rejects(openRemote(`${name}/nowhere`), /there is no such directory; make it or mount it/);
});

Deno.test("the command line refuses a remote that cannot be opened", async () => {
  await using here = await temporary();
  const manifest = `${here.path}/a.yaml`;
  await Deno.writeTextFile(manifest, "steps:\n  one: { stage: constant, with: { value: 1 } }\n");
  for (const [place, why] of [["gs://b", /"gs:" is unknown/], ["/no/where", /no such directory/]]) {
    const { status, errors } = await call(["plan", manifest, "--remote", String(place)]);
    strictEqual(status, 2);
    match(errors, why as RegExp);
  }
});
