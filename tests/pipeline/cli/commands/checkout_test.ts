import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { parseManifest } from "../../../../pipeline/manifest/read_manifest.ts";
import { run } from "../../../../pipeline/run/runner.ts";
import { allRuns } from "../../../../pipeline/store/runs.ts";
import { Store } from "../../../../pipeline/store/store.ts";
import { type Called, callProgram } from "../../../support/cli_call.ts";
import * as stages from "../../../support/toy/stages.ts";

const MANIFEST = `
steps:
  one: { stage: constant, with: { value: 3 } }
  two: { stage: add, from: { a: one }, with: { by: 4, parts: 3 } }
  late: { stage: add, from: { a: two }, with: { by: 1, parts: 1 } }
`;

interface Project {
  readonly directory: string;
  readonly store: Store;
  /** Artifacts of the steps that were made, by step. */
  readonly keys: Readonly<Record<string, string>>;
  call(...words: readonly string[]): Promise<Called>;
}

Deno.test("`checkout` copies an artifact by key, path or step: the same bytes, writable, no links", () =>
  withProject(async ({ directory, store, keys, call }) => {
    const artifact = `${store.path}/artifacts/${keys.two}`;
    const manifest = `${directory}/a.yaml`;
    for (const [at, words] of [[keys.two!.slice(0, 8)], [artifact], [manifest, "two"]].entries()) {
      const to = `${directory}/new/${at}`;
      const { status, out, errors } = await call(...words, to);
      deepStrictEqual([status, errors], [0, ""]);
      match(out, new RegExp(`^number ${keys.two!.slice(0, 12)} in .*${at}: \\d files, `));
      const names = [...Deno.readDirSync(to)].map(({ name }) => name).sort();
      deepStrictEqual(names, ["number", "part1", "part2", "part3"]);
      for (const name of names) {
        deepStrictEqual(
          await Deno.readFile(`${to}/${name}`),
          await Deno.readFile(`${artifact}/${name}`),
        );
        const { nlink, ino } = await Deno.lstat(`${to}/${name}`);
        strictEqual(nlink, 1);
        ok(ino !== (await Deno.lstat(`${artifact}/${name}`)).ino);
        await Deno.writeTextFile(`${to}/${name}`, "mine");
      }
    }
    const { state } = await new Store(store.path, { verify: "full" }).inspect(keys.two!);
    strictEqual(state, "whole", "what the user writes does not reach the store");
  }));

Deno.test("`checkout` leaves a directory that is not empty, unless --force replaces it whole", () =>
  withProject(async ({ directory, keys, call }) => {
    const to = `${directory}/taken`;
    await Deno.mkdir(to);
    const empty = await call(keys.one!, to);
    strictEqual(empty.status, 0);
    await Deno.writeTextFile(`${to}/notes`, "mine");
    const refused = await call(keys.two!, to);
    strictEqual(refused.status, 1);
    match(
      refused.errors,
      /^Cannot copy to .*taken: it holds 2 entries, expected an empty .*--force/,
    );
    strictEqual(await Deno.readTextFile(`${to}/number`), "3");
    const forced = await call(keys.two!, to, "--force", "--json");
    strictEqual(forced.status, 0, forced.errors);
    const { type, key, path, files } = JSON.parse(forced.out);
    deepStrictEqual([type, key, path, files], ["checkout", keys.two, to, 4]);
    deepStrictEqual(namesIn(to), ["number", "part1", "part2", "part3"]);
    deepStrictEqual(namesIn(directory), ["a.yaml", "store", "taken"], "nothing is left beside");
  }));

Deno.test("`checkout --force` does not replace a directory that holds the store", () =>
  withProject(async ({ directory, keys, call }) => {
    const { status, errors } = await call(keys.one!, directory, "--force");
    strictEqual(status, 1);
    match(errors, /^Cannot replace .*: .*artifacts.* lies in it, expected a directory of its own/);
    ok(namesIn(directory).includes("store"));
  }));

Deno.test("`checkout` of damaged bytes says so and leaves nothing", () =>
  withProject(async ({ directory, store, keys, call }) => {
    const file = `${store.path}/artifacts/${keys.two}/part1`;
    await Deno.chmod(file, 0o644);
    await Deno.writeTextFile(file, "9");
    const to = `${directory}/out`;
    const { status, errors } = await call(keys.two!, to);
    strictEqual(status, 1);
    match(errors, /^Cannot copy .*part1: it has other bytes than recorded, expected those/);
    deepStrictEqual(namesIn(directory), ["a.yaml", "store"]);
  }));

Deno.test("`checkout` says what is wrong with words that name no finished artifact", () =>
  withProject(async ({ directory, store, keys, call }) => {
    const cases: readonly (readonly [words: string[], status: number, message: RegExp])[] = [
      [
        [`${directory}/a.yaml`, "late", "x"],
        1,
        /^Cannot check out step "late": not made before.*run it/,
      ],
      [[`${directory}/a.yaml`, "tow", "x"], 2, /^Cannot find step "tow": .*two/],
      [[directory, "x"], 1, /it is a place, expected a finished artifact, or a manifest/],
      [
        [`${store.path}/artifacts/${keys.one}/number`, "x"],
        1,
        /it is a file of an artifact, expected/,
      ],
      [["0123456789", "x"], 1, /^Cannot check out "0123456789": there is no such file/],
      [[keys.one!], 2, /^Cannot check out 1 word: expected an artifact or a manifest and a step/],
    ];
    for (const [words, status, message] of cases) {
      const called = await call(...words);
      match(called.errors, message);
      strictEqual(called.status, status, called.errors);
    }
  }));

async function withProject(use: (project: Project) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/a.yaml`;
    await Deno.writeTextFile(path, MANIFEST);
    const store = new Store(`${directory}/store`);
    const manifest = parseManifest(MANIFEST, { path, stages });
    const selected = new Set(["one", "two"]);
    await run(manifest, {
      store,
      stages,
      selected,
      tools: () => ({}),
      emit: () => {},
    });
    const [record] = await allRuns(store.path);
    const keys = Object.fromEntries(
      record!.steps.flatMap(({ name, key }) => key === undefined ? [] : [[name, key]]),
    );
    const call = (...words: readonly string[]) =>
      callProgram({ stages }, "checkout", ...words, "--store", store.path);
    await use({ directory, store, keys, call });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function namesIn(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}
