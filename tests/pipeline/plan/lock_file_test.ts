import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import type { LockFile } from "../../../pipeline/plan/lock_file.ts";
import type { Program } from "../../../pipeline/cli/main.ts";
import type { Job, Registry } from "../../../pipeline/stage.ts";
import { call } from "../../support/toy/call.ts";
import { openProject } from "../../support/toy/project.ts";
import * as toyStages from "../../support/toy/stages.ts";

const TEXT = `
params: { by: 3, file: FILE }
steps:
  file: { stage: read, with: { path: "\${file}" } }
  two: { stage: add, from: { a: file }, with: { by: "\${by}" } }
  sum: { stage: total, from: { all: [file, two] } }
`;

/** A manifest that reads a file outside, and the command line over it. */
async function openLocked() {
  const project = await openProject();
  const file = `${project.directory}/data.txt`;
  const lockPath = `${project.path}.lock.json`;
  await Deno.writeTextFile(file, "7");
  await Deno.writeTextFile(project.path, TEXT.replace("FILE", file));
  const on = (adapter: string, stages: Registry = toyStages): Partial<Program> => ({
    stages,
    tools: () => ({ environment: () => Promise.resolve({ adapter }) }),
  });
  return {
    ...project,
    file,
    lockPath,
    on,
    run: (args: readonly string[], program?: Partial<Program>) =>
      call(["run", project.path, "--store", `${project.directory}/store`, ...args], program),
    lock: async (): Promise<LockFile> => JSON.parse(await Deno.readTextFile(lockPath)),
  };
}

Deno.test("`run --lock` states what all was made from and nothing of where and when", async () => {
  await using project = await openLocked();
  strictEqual((await project.run(["--lock"], project.on("Adapter A"))).status, 0);
  const text = await Deno.readTextFile(project.lockPath);
  const lock: LockFile = JSON.parse(text);
  const manifest = await Deno.readFile(project.path);
  const hash = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  deepStrictEqual(
    { ...lock, steps: Object.keys(lock.steps) },
    {
      adapter: "Adapter A",
      deno: Deno.version.deno,
      format: 1,
      manifest: "manifest.yaml",
      params: { by: 3, file: "data.txt" },
      sources: { "manifest.yaml": hash(manifest) },
      steps: ["file", "sum", "two"],
    },
  );
  const { key, digest, ...facts } = lock.steps.file!;
  deepStrictEqual(facts, {
    inputs: {},
    outside: { file: hash("7") },
    params: {},
    stage: "read",
    version: 1,
  });
  match(key, /^[0-9a-f]{64}$/);
  strictEqual(digest, hash(JSON.stringify([["number", 1, hash("7")]])));
  deepStrictEqual(lock.steps.sum?.inputs, { all: ["file", "two"] });
  doesNotMatch(text, new RegExp(project.directory));
  doesNotMatch(text, /\d{4}-\d\d-\d\d/);
});

Deno.test("`run --lock` gives the same text whatever is reused, reordered or elsewhere", async () => {
  await using project = await openLocked();
  await project.run(["--lock"], project.on("Adapter A"));
  const first = await Deno.readTextFile(project.lockPath);
  const { mtime } = await Deno.stat(project.lockPath);
  strictEqual((await project.run(["--lock"], project.on("Adapter B"))).status, 0);
  strictEqual(await Deno.readTextFile(project.lockPath), first, "it was made on adapter A");
  deepStrictEqual((await Deno.stat(project.lockPath)).mtime, mtime);
  await using other = await openLocked();
  const args = ["run", other.path, "--lock", "--store", `${other.directory}/elsewhere`];
  strictEqual((await call(args, other.on("Adapter A"))).status, 0);
  const { sources: _, ...here } = await other.lock();
  const { sources: __, ...there } = JSON.parse(first);
  deepStrictEqual(here, there);
  await Deno.remove(project.lockPath);
  await project.run(["--set", "by=x", "--lock"]);
  await project.run([]);
  strictEqual(await Deno.stat(project.lockPath).catch(() => "none"), "none");
});

Deno.test("`run --locked` accepts what is as locked, made or reused, and comments and places", async () => {
  await using project = await openLocked();
  await project.run(["--lock"]);
  strictEqual((await project.run(["--locked"])).status, 0);
  await Deno.remove(`${project.directory}/store`, { recursive: true });
  await Deno.rename(project.file, `${project.directory}/moved.txt`);
  const text = TEXT.replace("FILE", `${project.directory}/moved.txt`);
  await Deno.writeTextFile(project.path, `# a comment\n${text}`);
  const { status, out } = await project.run(["--locked"]);
  strictEqual(status, 0);
  match(out, /\(3 steps made, 0 reused\)$/m);
});

Deno.test("`run --locked` refuses drift before any work and names all of it with both values", async () => {
  await using project = await openLocked();
  await project.run(["--lock"]);
  await Deno.writeTextFile(project.file, "8");
  await Deno.remove(`${project.directory}/store`, { recursive: true });
  const raised = { ...toyStages, total: { ...toyStages.total, version: 2 } };
  const { status, out, errors } = await project.run(["--locked", "--set", "by=4"], {
    stages: raised,
  });
  deepStrictEqual([status, out], [1, ""]);
  match(errors, /^Cannot run .*manifest\.yaml as locked: [^\n]*; accept it with run --lock\n$/);
  match(errors, /step file: outside data file [0-9a-f]{8}… → [0-9a-f]{8}…; /);
  match(errors, /; step two: by 3 → 4; /);
  match(errors, /; step sum: version of total 1 → 2; /);
  strictEqual(await Deno.stat(`${project.directory}/store/artifacts`).catch(() => "none"), "none");
  const plan = await call(["plan", project.path, "--locked", "--set", "by=4"]);
  deepStrictEqual([plan.status, plan.out], [1, ""]);
  match(plan.errors, /step two: by 3 → 4/);

  await Deno.writeTextFile(project.file, "7");
  const text = TEXT.replace("FILE", project.file);
  const cases: [text: string, drift: RegExp][] = [
    [
      text.replace("[file, two]", "[two, file]"),
      /sum: inputs \{"all":\["file","two"\]\} → \{"all":/,
    ],
    [text.replace(/ {2}sum.*\n/, ""), /locked: step sum is in the lock file only; accept/],
    [`${text}  more: { stage: parity, from: { a: two } }\n`, /step more is not in the lock file/],
  ];
  for (const [changed, drift] of cases) {
    await Deno.writeTextFile(project.path, changed);
    match((await project.run(["--locked"])).errors, drift);
  }
});

Deno.test("`run --locked` fails a step that gives other bytes, and names both adapters", async () => {
  await using project = await openLocked();
  await project.run(["--lock"], project.on("Adapter A"));
  const store = `${project.directory}/store`;
  await Deno.remove(store, { recursive: true });
  const other = {
    ...toyStages,
    add: {
      ...toyStages.add,
      run: async (job: Job) => {
        await job.tools;
        await Deno.writeTextFile(`${job.out}/number`, "11");
      },
    },
  };
  const { status, errors, lines } = await project.run(
    ["--locked", "--json"],
    project.on("Adapter B", other),
  );
  strictEqual(status, 1);
  match(
    errors,
    new RegExp(
      '^Cannot accept step "two" as locked: its digest is [0-9a-f]{8}… on Adapter B with Deno ' +
        `${Deno.version.deno}, expected [0-9a-f]{8}… as on Adapter A with Deno .*; accept it with ` +
        "run --lock$",
      "m",
    ),
  );
  const events = lines.map((line) => JSON.parse(line));
  ok(!events.some(({ type, step }) => type === "done" && step === "two"));
  const ends = events.at(-1).steps.map(({ name, state }: Record<string, string>) => [name, state]);
  deepStrictEqual(ends, [["file", "run"], ["two", "failed"], ["sum", "blocked"]]);
  // The artifact is there now, so that the next try knows before any work.
  const again = await project.run(["--locked"], project.on("Adapter B", other));
  match(again.errors, /as locked: step two: digest [0-9a-f]{8}… → [0-9a-f]{8}…; accept it/);
  strictEqual((await project.run(["--locked", "--force=two"], project.on("Adapter A"))).status, 0);
});

Deno.test("`--lock` and `--locked` refuse what they cannot do in a sentence", async () => {
  await using project = await openLocked();
  const none = await project.run(["--locked"]);
  strictEqual(none.status, 1);
  match(none.errors, /^Cannot read the lock file .*\.lock\.json: there is no such file; write it/);
  await Deno.writeTextFile(project.lockPath, '{"format":1,"steps":{"file":{"key":"x"}}}');
  match((await project.run(["--locked"])).errors, /it is not as run --lock writes it at manifest/);
  await Deno.writeTextFile(project.lockPath, "{");
  match((await project.run(["--locked"])).errors, /lock\.json: it is not as run --lock writes it;/);
  const both = await project.run(["--lock", "--locked"]);
  strictEqual(both.status, 2);
  match(both.errors, /^Cannot take --lock and --locked: /);
});
