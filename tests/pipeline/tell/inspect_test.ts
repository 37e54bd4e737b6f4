import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Describe } from "../../../pipeline/description.ts";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { run } from "../../../pipeline/run/runner.ts";
import { Store } from "../../../pipeline/store/store.ts";
import { type Called, callProgram } from "../../support/cli_call.ts";
import * as stages from "../../support/toy/stages.ts";

const MANIFEST = `
params: { value: 3 }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  two: { stage: add, from: { a: one }, with: { by: 4, parts: 3 } }
  twin: { stage: add, from: { a: one }, with: { by: 5, parts: 3 } }
  all: { stage: total, from: { all: [one, two] } }
  quality: { stage: score, from: { a: all } }
  bad: { stage: fail, from: { a: two }, with: { message: "Cannot add: the sum is odd" } }
`;

/** Says what a number is, with everything a description may hold. */
const describe: Describe = async (path, { kind, deep = false }) => {
  const { isFile } = await Deno.stat(path);
  if (isFile || kind === "report") return undefined;
  const number = Number(await Deno.readTextFile(`${path}/number`));
  const points = [[0, 1], [1, number], [2, 100]] as const;
  return {
    title: `the number ${number}`,
    sections: [
      { title: "Number", facts: [["value", `${number}`], ["long name", "words\u001b[31m"]] },
      {
        title: "Steps to it",
        table: {
          columns: [{ heading: "from" }, { heading: "to", number: true }],
          rows: [["0", "7"]],
        },
        charts: [{ title: "Height", across: "Layer", up: "m", series: [{ name: "", points }] }],
        pictures: [{ title: "A picture", svg: "<svg/>" }],
      },
    ],
    warnings: number > 9 ? ["It has two digits"] : deep ? ["All digits were read"] : [],
    figures: [],
  };
};

Deno.test("`inspect` tells an artifact's recipe, what made its inputs, its files and what it holds", () =>
  withRun(async ({ store, call, keys }) => {
    const { out, status, errors } = await call("inspect", keys.all!.slice(0, 8));
    deepStrictEqual([status, errors], [0, ""]);
    match(
      out,
      /^number: the number 10 \(total of 2 all\)\nwarning It has two digits\n\nArtifact\n/,
    );
    match(out, /^ {2}kind +number$/m);
    match(out, new RegExp(`^ {2}key +${keys.all}$`, "m"));
    match(out, /^ {2}state +whole$/m);
    match(out, /^ {2}made for +all in \/.*a\.yaml$/m);
    match(out, /^ {2}stage +total, version 1$/m);
    const one = await digestOf(store, keys.one!);
    const line = new RegExp(
      `^ {2}all +${one.slice(0, 12)} +${keys.one?.slice(0, 12)} \\(constant\\) +one in /`,
      "m",
    );
    match(out, line);
    match(out, /^ {2}number +2 +[0-9a-f]{12}$/m);
    match(out, /^ {2}long name {2}words\[31m$/m, "codes that move the cursor are taken out");
    match(out, /^ {2}from {2}to\n {5}0 {3}7$/m);
    // From 1 to 100 by powers of ten: 10 lies in the middle of eight heights.
    match(out, /^ {2}Height, by layer\n {2}▁▅█ 1 to 100\n {2}picture: A picture$/m);
  }));

Deno.test("`inspect` finds what a path names: a directory, a file of it, a run, a store", () =>
  withRun(async ({ store, call, keys, directory }) => {
    const artifact = `${store.path}/artifacts/${keys.two}`;
    const told = await call("inspect", artifact);
    match(told.out, /^number: the number 7 \(add of a [0-9a-f]{12}\)$/m);
    const file = await call("inspect", `${artifact}/part2`);
    match(file.out, /^This file\n {2}name +part2\n {2}size +2 B\n {2}sha256 +[0-9a-f]{64}$/m);
    const room = `${store.path}/runs`;
    const [manifest] = [...Deno.readDirSync(room)];
    const record = [...Deno.readDirSync(`${room}/${manifest?.name}`)]
      .find(({ name }) => name.endsWith(".json"));
    const byPath = await call("inspect", `${room}/${manifest?.name}/${record?.name}`);
    match(byPath.out, /^run of \/.*a\.yaml: failed in /);
    deepStrictEqual((await call("inspect", "last")).out, byPath.out);
    const id = record?.name.replace(".json", "") ?? "";
    strictEqual((await call("inspect", id.slice(0, -3))).out, byPath.out);
    match(byPath.out, /^warning bad: Cannot add: the sum is odd$/m);
    match(byPath.out, /^ {2}bad +fail +failed +[\d.]+ +[0-9a-f]{12} +Cannot add: the sum is odd$/m);
    match(byPath.out, /^ {2}value {2}3$/m);
    const whole = await call("inspect", store.path);
    match(whole.out, /^store of 5 artifacts and 1 run\n/);
    match(whole.out, /^ {2}number +4 +\d+ B$/m);
    match(whole.out, /^ {2}report +1 +0 B$/m);
    await Deno.writeTextFile(`${directory}/letter.txt`, "words");
    const letter = await call("inspect", `${directory}/letter.txt`);
    match(letter.out, /^letter\.txt: a file that is nothing this program knows\n/);
  }));

Deno.test("`inspect --json` gives one object with the record and the description", () =>
  withRun(async ({ call, keys }) => {
    const { out } = await call("inspect", keys.two!, "--json", "--deep");
    strictEqual(out.trim().split("\n").length, 1);
    const told = JSON.parse(out);
    strictEqual(told.type, "inspect");
    strictEqual(told.what, "artifact");
    strictEqual(told.record.recipe.params.by, 4);
    deepStrictEqual(told.warnings, ["All digits were read"], "--deep reaches the program");
    const sections = told.sections.map(({ title }: { readonly title: string }) => title);
    deepStrictEqual(sections, [
      "Artifact",
      "Recipe",
      "Inputs",
      "Number",
      "Steps to it",
      "Files",
    ]);
  }));

Deno.test("`inspect` tells damage, copies and what is set aside for what they are", () =>
  withRun(async ({ store, call, keys, directory }) => {
    const path = `${store.path}/artifacts/${keys.two}`;
    await copy(path, `${directory}/copied`);
    match((await call("inspect", `${directory}/copied`)).out, /^ {2}state +not in a store$/m);
    const number = `${path}/number`;
    await Deno.remove(number);
    await Deno.writeTextFile(number, "1000");
    const damaged = await call("inspect", keys.two!.slice(0, 10));
    match(damaged.out, /^warning It is damaged: number has 4 bytes, expected 1$/m);
    match(damaged.out, /^ {2}state +damaged$/m);
    const aside = await store.quarantine(keys.two!);
    match((await call("inspect", aside)).out, /^ {2}state +not in a store$/m);
    const record = `${store.path}/artifacts/${keys.one}/artifact.json`;
    await Deno.remove(record);
    await Deno.writeTextFile(record, "{}");
    const lost = await call("inspect", keys.one!);
    match(lost.out, /^Artifact [0-9a-f]{12} that cannot be used\nwarning damaged: artifact\.json/);
  }));

Deno.test("`inspect` tells a journal's entries", () =>
  withRun(async ({ store, call, keys }) => {
    const journal = `${store.path}/journal/${keys.bad}`;
    await Deno.mkdir(journal, { recursive: true });
    await Deno.writeTextFile(`${journal}/layer-3`, "x".repeat(1500));
    const { out } = await call("inspect", journal);
    match(out, /^journal of 1 entry\n/);
    match(out, /^ {2}layer-3 +1\.5 kB +\d{4}-/m);
  }));

Deno.test("`inspect` names what it may be that is asked for, or what there is to ask for", () =>
  withRun(async ({ store, call }) => {
    const none = await call("inspect", "feedfacefeed");
    strictEqual(none.status, 1);
    match(
      none.errors,
      /^Cannot inspect "feedfacefeed": there is no such file and nothing of the store \//,
    );
    const keys = [..."ab"].map((end) => `f00d${end}`.padEnd(64, "0"));
    for (const key of keys) {
      await Deno.mkdir(`${store.path}/artifacts/${key}`, { recursive: true });
    }
    const both = await call("inspect", "f00d");
    strictEqual(both.status, 1);
    match(
      both.errors,
      /^Cannot inspect "f00d": it may be f00da00000000000 or f00db00000000000, expected one; add letters\n$/,
    );
    match((await call("inspect", "f00d".slice(0, 3))).errors, /there is no such file/);
  }));

Deno.test("`inspect` works for a program that describes nothing", () =>
  withRun(async ({ store, keys }) => {
    const words = ["inspect", keys.quality!, "--store", store.path];
    const { out } = await callProgram({ stages, tools: () => ({}) }, ...words);
    match(out, /^a report \(score of a [0-9a-f]{12}\)\n/);
    match(out, /^ {2}scores +value 10$/m);
  }));

interface Project {
  readonly directory: string;
  readonly store: Store;
  /** Keys by step. */
  readonly keys: Readonly<Record<string, string>>;
  call(...args: readonly string[]): Promise<Called>;
}

/** A store in which the manifest has been run once. */
async function withRun(use: (project: Project) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/a.yaml`;
    await Deno.writeTextFile(path, MANIFEST);
    const store = new Store(`${directory}/store`);
    const keys: Record<string, string> = {};
    await run(parseManifest(MANIFEST, { path, stages }), {
      store,
      stages,
      tools: () => ({}),
      emit: (event) => {
        if (event.type === "start") keys[event.step] = event.key;
      },
    });
    ok(keys.quality);
    const program = { stages, tools: () => ({}), describe };
    const call = (...args: readonly string[]) =>
      callProgram(program, ...args, "--store", store.path);
    await use({ directory, store, keys, call });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function digestOf(store: Store, key: string): Promise<string> {
  const found = await store.inspect(key);
  return found.state === "whole" ? found.stored.artifact.digest : "";
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) {
    await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}
