// Slow: runs a manifest anew after damage to every kind of stored file.
import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunRecord } from "../../pipeline/store/runs.ts";
import { callProgram } from "../support/cli_call.ts";
import { toyCommand } from "../support/toy/command.ts";
import * as stages from "../support/toy/stages.ts";

/** Reads a file outside the store, sums up, scores. */
const MANIFEST = `
params: { by: 3, pause: 0 }
steps:
  file: { stage: read, with: { path: number.txt } }
  sum: { stage: add, from: { a: file }, with: { by: "\${by}", parts: 20, pause: "\${pause}", log: calls } }
  quality: { stage: score, from: { a: sum } }
`;
const ALL = (state: string) => ({ file: state, sum: state, quality: state });

interface Output {
  readonly code: number;
  readonly errors: string;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** By step, how it ended. */
  readonly states: Readonly<Record<string, string>>;
  /** By step, the content digest of its artifact. */
  readonly digests: Readonly<Record<string, string>>;
}

/** A directory with a manifest and a store, in which processes run. */
class Project implements AsyncDisposable {
  readonly directory: string;
  store: string;

  constructor(directory: string) {
    this.directory = directory;
    this.store = `${directory}/store`;
  }

  start(...args: readonly string[]): Deno.ChildProcess {
    return toyCommand([...args, "--json", "--store", this.store], {
      cwd: this.directory,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Runs the manifest in a process of its own. */
  async run(...args: readonly string[]): Promise<Output> {
    return await outputOf(this.start("run", "a.yaml", ...args));
  }

  /** Uses a command in this process, where which process it is makes no difference. */
  async call(...args: readonly string[]): Promise<Output> {
    const asked = [...args, "--json", "--store", this.store];
    const { status: code, out, errors } = await callProgram({ stages }, ...asked);
    return { code, errors, ...read(out) };
  }

  async write(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.directory}/${name}`, text);
  }

  async list(room: string): Promise<string[]> {
    const entries = Array.fromAsync(Deno.readDir(`${this.store}/${room}`), ({ name }) => name);
    return (await entries.catch(() => [])).sort();
  }

  /** Paths of all files of the store, below it. */
  async files(below = ""): Promise<string[]> {
    const paths: string[] = [];
    for await (const { name, isDirectory } of Deno.readDir(`${this.store}/${below}`)) {
      if (isDirectory) paths.push(...await this.files(`${below}${name}/`));
      else paths.push(`${below}${name}`);
    }
    return paths.sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Deno.Command("chmod", { args: ["-R", "u+w", this.directory] }).output();
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function outputOf(child: Deno.ChildProcess): Promise<Output> {
  const { code, stdout, stderr } = await child.output();
  const [text, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, errors: errors ?? "", ...read(text ?? "") };
}

function read(text: string): Pick<Output, "lines" | "states" | "digests"> {
  const lines = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  const steps = lines.at(-1)?.steps ?? [];
  const results = lines.filter(({ type }) => type === "done" || type === "reuse");
  return {
    lines,
    states: Object.fromEntries(
      steps.map(({ name, state }: Record<string, string>) => [name, state]),
    ),
    digests: Object.fromEntries(results.map(({ step, digest }) => [step, digest])),
  };
}

async function openProject(): Promise<Project> {
  const project = new Project(await Deno.makeTempDir());
  await project.write("a.yaml", MANIFEST);
  await project.write("number.txt", "4");
  // Old enough for its digest to be remembered.
  const before = new Date(Date.now() - 60_000);
  await Deno.utime(`${project.directory}/number.txt`, before, before);
  return project;
}

async function waitFor(what: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await what()) return;
    await sleep(25);
  }
  throw new Error("Cannot go on: what was waited for did not happen in 10 seconds");
}

/** The kinds of files in a store: one of each, by the room or name that says what it is. */
function oneOfEach(files: readonly string[]): Map<string, string> {
  const kinds = files.map((path): [string, string] => {
    const [room = "", ...rest] = path.split("/");
    return [rest.at(-1) === "artifact.json" ? "record" : room, path];
  });
  return new Map(kinds);
}

/** Changes a file that may be read-only, as a program would that goes past that. */
async function damage(path: string, change: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  const { mode } = await Deno.stat(path);
  await Deno.chmod(path, 0o644);
  await Deno.writeFile(path, change(await Deno.readFile(path)));
  await Deno.chmod(path, mode! & 0o777);
}

function flipped(bytes: Uint8Array): Uint8Array {
  const at = Math.floor(bytes.length / 2);
  return bytes.map((byte, i) => i === at ? byte ^ 1 : byte);
}

Deno.test("a byte that flips in any kind of stored file costs at most the work behind it", async () => {
  await using project = await openProject();
  const first = await project.run();
  const kinds = oneOfEach((await project.files()).filter((path) => path !== ".gitignore"));
  for (const kind of ["artifacts", "record", "files", "runs", "verified", "digests.json"]) {
    ok(kinds.has(kind), `${kind} of ${[...kinds.keys()]}`);
  }
  for (const [kind, path] of kinds) {
    const { size } = await Deno.stat(`${project.store}/${path}`);
    if (size === 0) continue;
    await damage(`${project.store}/${path}`, flipped);
    const again = await project.run();
    strictEqual(again.code, 0, `${kind}: ${again.errors}`);
    deepStrictEqual(again.digests, first.digests, kind);
    const made = Object.values(again.states).filter((state) => state === "run").length;
    const quarantined = again.lines.filter(({ type }) => type === "quarantined").length;
    if (["artifacts", "record", "files"].includes(kind)) {
      ok(made > 0 && quarantined === made, `${kind}: ${made} made, ${quarantined} quarantined`);
    } else deepStrictEqual([made, quarantined], [0, 0], kind);
    strictEqual((await project.call("verify", "--full")).code, 0, kind);
  }
});

Deno.test("a truncated or emptied file of any kind costs at most the work behind it", async () => {
  await using project = await openProject();
  const first = await project.run();
  for (const length of [0.5, 0]) {
    // All at once: every kind is damaged, and the next run makes it good.
    const damaged = [...oneOfEach(await project.files()).values()];
    for (const path of damaged) {
      await damage(
        `${project.store}/${path}`,
        (bytes) => bytes.subarray(0, Math.floor(bytes.length * length)),
      );
    }
    const again = await project.run();
    strictEqual(again.code, 0, again.errors);
    deepStrictEqual(again.digests, first.digests);
    deepStrictEqual((await project.run()).states, ALL("hit"));
    strictEqual((await project.call("verify", "--full")).code, 0);
  }
});

Deno.test("`verify` lists damage with status 1, and --repair moves it away", async () => {
  await using project = await openProject();
  const { lines } = await project.run();
  const { path } = lines.find(({ step, type }) => step === "sum" && type === "done") ?? {};
  await damage(`${path}/number`, flipped);
  const found = await project.call("verify");
  strictEqual(found.code, 1);
  deepStrictEqual(found.lines[0], {
    type: "damaged",
    path,
    why: "number has other bytes than recorded",
  });
  const { type, artifacts, damaged } = found.lines[1] ?? {};
  deepStrictEqual([type, artifacts, damaged], ["verified", 3, 1]);
  const repaired = await project.call("verify", "--repair");
  strictEqual(repaired.code, 1);
  strictEqual((await project.list("quarantine")).length, 1);
  const { code, lines: [last] } = await project.call("verify", "--full");
  // The copy that the artifact shared lies in quarantine as well, so it is no orphan.
  deepStrictEqual([code, last?.artifacts], [0, 2]);
  deepStrictEqual((await project.run()).states, { ...ALL("hit"), sum: "run" });
});

Deno.test("whatever is removed from a store by hand is made again, and nothing else is", async () => {
  await using project = await openProject();
  const first = await project.run();
  const { store } = project;
  for (const room of ["files", "verified", "runs", "locks", "tmp", "quarantine", "digests.json"]) {
    await Deno.remove(`${store}/${room}`, { recursive: true });
  }
  const again = await project.run();
  deepStrictEqual([again.states, again.digests], [ALL("hit"), first.digests]);
  const { path } = first.lines.find(({ step, type }) => step === "sum" && type === "done") ?? {};
  await Deno.remove(`${path}/part7`);
  deepStrictEqual((await project.run()).states, { ...ALL("hit"), sum: "run" });
  await Deno.remove(`${path}`, { recursive: true });
  const gone = await project.run();
  deepStrictEqual([gone.states, gone.digests], [{ ...ALL("hit"), sum: "run" }, first.digests]);
});

Deno.test("a directory in the place of a lock costs a sentence, and only where the lock is needed", async () => {
  await using project = await openProject();
  const first = await project.run();
  const [key] = await project.list("locks");
  await Deno.remove(`${project.store}/locks/${key}`);
  await Deno.mkdir(`${project.store}/locks/${key}`);
  deepStrictEqual((await project.run()).states, ALL("hit"));
  const forced = await project.run("--force");
  strictEqual(forced.code, 1);
  match(forced.errors, /^Cannot lock .*: it is a directory, expected a file; remove it$/m);
  await Deno.remove(`${project.store}/locks/${key}`);
  deepStrictEqual((await project.run("--force")).digests, first.digests);
});

Deno.test("two runs of manifests that overlap do what they share once", async () => {
  await using project = await openProject();
  const other = MANIFEST.replace(
    / {2}quality.*/,
    "  twice: { stage: add, from: { a: sum, b: sum } }",
  );
  await project.write("b.yaml", other);
  const slow = ["--set", "pause=40"];
  const children = ["a.yaml", "b.yaml"].map((name) => project.start("run", name, ...slow));
  const [one, two] = await Promise.all(children.map(outputOf));
  ok(one && two);
  deepStrictEqual([one.code, two.code], [0, 0], one.errors + two.errors);
  strictEqual((await Deno.readTextFile(`${project.directory}/calls`)).trim().split("\n").length, 1);
  deepStrictEqual([one.states.sum, two.states.sum].sort(), ["hit", "run"]);
  strictEqual(one.digests.sum, two.digests.sum);
  const maker = one.states.sum === "run" ? 0 : 1;
  const waited = [one, two][1 - maker]?.lines
    .flatMap(({ type, step, text }) => type === "note" && step === "sum" ? [String(text)] : []) ??
    [];
  const holder = `${children[maker]?.pid} on ${Deno.hostname()} (run ${["a", "b"][maker]}.yaml`;
  ok(waited.some((text) => text.includes(holder)), `${waited} without ${holder}`);
});

Deno.test("a manifest that is edited while it runs counts as it was, and as it is the next time", async () => {
  await using project = await openProject();
  const child = project.start("run", "a.yaml", "--set", "pause=30");
  await waitFor(async () => (await project.list("tmp")).length > 0);
  await project.write("a.yaml", "steps: [");
  await sleep(100);
  await project.write("a.yaml", MANIFEST.replace("by: 3", "by: 5"));
  const before = await outputOf(child);
  deepStrictEqual([before.code, before.lines.at(-1)?.scores], [0, { value: 7 }]);
  const after = await project.run("--set", "pause=30");
  deepStrictEqual(after.lines.at(-1)?.scores, { value: 9 });
  deepStrictEqual(after.states, { file: "hit", sum: "run", quality: "run" });
  const back = await project.run("--set", "pause=30", "--set", "by=3");
  deepStrictEqual([back.states, back.digests], [ALL("hit"), before.digests]);
});

Deno.test("a moved and a copied store give what they have", async () => {
  await using project = await openProject();
  const first = await project.run();
  const { directory } = project;
  await Deno.rename(project.store, `${directory}/moved`);
  project.store = `${directory}/moved`;
  const moved = await project.run();
  deepStrictEqual([moved.states, moved.digests], [ALL("hit"), first.digests]);
  // Without times, owners and links, as a copy through some other system comes.
  await new Deno.Command("cp", { args: ["-r", project.store, `${directory}/copy`] }).output();
  await Deno.remove(project.store, { recursive: true });
  project.store = `${directory}/copy`;
  const copied = await project.run();
  deepStrictEqual([copied.states, copied.digests], [ALL("hit"), first.digests]);
  strictEqual((await project.call("verify", "--full")).code, 0);
  const more = await project.run("--set", "by=4");
  deepStrictEqual(more.states, { file: "hit", sum: "run", quality: "run" });
});

Deno.test("files whose times come from a clock that jumped are read, and used", async () => {
  await using project = await openProject();
  const first = await project.run();
  for (const year of ["1990", "2100"]) {
    const time = new Date(`${year}-05-05T05:05:05.555Z`);
    for (const path of await project.files()) {
      await Deno.utime(`${project.store}/${path}`, time, time);
    }
    const again = await project.run();
    deepStrictEqual([again.states, again.digests], [ALL("hit"), first.digests]);
    strictEqual((await project.call("verify")).code, 0);
  }
});

Deno.test("a run under a clock that went back is the last one all the same", async () => {
  await using project = await openProject();
  await project.run();
  const [room] = await project.list("runs");
  const [name] = await project.list(`runs/${room}`);
  const path = `${project.store}/runs/${room}/${name}`;
  const { seal: _, ...record }: RunRecord & { seal?: string } = JSON.parse(
    await Deno.readTextFile(path),
  );
  // The first run saw a clock that was far ahead.
  await Deno.writeTextFile(
    path,
    JSON.stringify({ ...record, started: "2100-01-01T00:00:00.000Z" }),
  );
  const second = await project.run("--set", "by=4");
  const { reason } = (await project.run("--set", "by=5")).lines
    .find(({ type, step }) => type === "start" && step === "sum") ?? {};
  strictEqual(reason, "by 4 → 5");
  await project.run("--set", "by=4");
  strictEqual((await project.call("gc")).code, 0);
  const kept = await project.run("--set", "by=4");
  deepStrictEqual([kept.states, kept.digests], [ALL("hit"), second.digests]);
  deepStrictEqual((await project.run()).states, { file: "hit", sum: "run", quality: "run" });
});

/** A file system of its own for a store; undefined where this user may not mount one. */
async function mountMemory(project: Project, size: string): Promise<AsyncDisposable | undefined> {
  await Deno.mkdir(project.store, { recursive: true });
  const { success } = await mount("-t", "tmpfs", "-o", `size=${size}`, "tmpfs", project.store);
  if (!success) return undefined;
  return {
    [Symbol.asyncDispose]: async () => {
      await new Deno.Command("umount", { args: [project.store] }).output();
    },
  };
}

async function mount(...args: readonly string[]): Promise<Deno.CommandOutput> {
  const command = new Deno.Command("mount", { args: [...args] });
  return await command.output().catch(() => ({ success: false }) as Deno.CommandOutput);
}

Deno.test("a full disk stops a run in a sentence, and with more room it goes on", async (test) => {
  await using project = await openProject();
  await using disk = await mountMemory(project, "400k");
  if (disk === undefined) {
    await test.step({ name: "only root may mount a small disk", ignore: true, fn: () => {} });
    return;
  }
  // Every part takes a page of 4 kB: the disk is full before half of them are written.
  const large = ["--set", "sum.parts=200"];
  for (let i = 0; i < 2; i++) {
    const full = await project.run(...large);
    strictEqual(full.code, 1);
    deepStrictEqual(full.states, {
      file: i === 0 ? "run" : "hit",
      sum: "failed",
      quality: "blocked",
    });
    const { message } = full.lines.find(({ type }) => type === "failed") ?? {};
    match(
      String(message),
      /^Cannot write to the store .*\/store: no space left on device, [\d.]+ k?B free where the store lies; free some, or run gc$/,
    );
    deepStrictEqual(await project.list("tmp"), []);
    strictEqual((await project.list("artifacts")).length, 1);
    strictEqual((await project.call("verify", "--full")).code, 0);
  }
  await mount("-o", "remount,size=8m", project.store);
  const done = await project.run(...large);
  deepStrictEqual(done.states, { file: "hit", sum: "run", quality: "run" });
});

Deno.test("a journal that meets a full disk loses the part at hand, and with more room goes on", async (test) => {
  await using project = await openProject();
  const log = `${project.directory}/calls`;
  await project.write(
    "a.yaml",
    `steps:\n  count: { stage: count, with: { parts: 120, log: "${log}" } }\n`,
  );
  const alone = await project.run();
  strictEqual(alone.code, 0);
  await Deno.remove(log);
  project.store = `${project.directory}/small`;
  await using disk = await mountMemory(project, "300k");
  if (disk === undefined) {
    await test.step({ name: "only root may mount a small disk", ignore: true, fn: () => {} });
    return;
  }
  // An entry takes a page of 4 kB.
  const kept: number[] = [];
  for (let i = 0; i < 3; i++) {
    const full = await project.run();
    deepStrictEqual([full.code, full.states], [1, { count: "failed" }]);
    const { message } = full.lines.find(({ type }) => type === "failed") ?? {};
    match(
      String(message),
      /^Cannot write to the store .*\/small: no space left on device, [\d.]+ k?B free where the store lies; free some, or run gc$/,
    );
    deepStrictEqual(await project.list("artifacts"), []);
    kept.push((await project.files("journal/")).length);
  }
  const [first = 0] = kept;
  ok(first > 10 && first < 120, `${first} entries fit`);
  ok(kept.every((count) => count >= first - 1), `entries stay: ${kept}`);
  await mount("-o", "remount,size=8m", project.store);
  const done = await project.run();
  deepStrictEqual([done.code, done.digests], [0, alone.digests]);
  strictEqual((await project.call("verify", "--full")).code, 0);
  deepStrictEqual(await project.list("journal"), []);
  // Each run that met the full disk had counted one part that it could not keep.
  const parts = (await Deno.readTextFile(log)).trim().split("\n").map((line) => line.split(" ")[1]);
  strictEqual(new Set(parts).size, 120);
  ok(parts.length <= 120 + kept.length, `${parts.length} parts were counted`);
});

Deno.test("`gc` makes room on a full disk", async (test) => {
  await using project = await openProject();
  await using disk = await mountMemory(project, "1m");
  if (disk === undefined) {
    await test.step({ name: "only root may mount a small disk", ignore: true, fn: () => {} });
    return;
  }
  const parts = (count: number) => ["--set", `sum.parts=${count}`, "--max-size", "none"];
  await project.run(...parts(60));
  await project.run(...parts(2));
  await Deno.writeFile(`${project.directory}/zeros`, new Uint8Array(1 << 20));
  // Fills what is left, up to the last page.
  await new Deno.Command("cp", { args: ["zeros", "store/filling"], cwd: project.directory })
    .output();
  strictEqual((await project.run(...parts(50))).code, 1);
  strictEqual((await project.call("gc")).code, 0);
  deepStrictEqual((await project.run(...parts(50))).states, { ...ALL("run"), file: "hit" });
});

Deno.test("a store that may only be read gives what it has, and says why it makes nothing", async (test) => {
  await using project = await openProject();
  await using disk = Deno.uid() === 0 ? await mountMemory(project, "8m") : undefined;
  if (Deno.uid() === 0 && disk === undefined) {
    await test.step({
      name: "root here can neither mount nor be refused",
      ignore: true,
      fn: () => {},
    });
    return;
  }
  const first = await project.run();
  if (disk) strictEqual((await mount("-o", "remount,ro", project.store)).success, true);
  else await new Deno.Command("chmod", { args: ["-R", "a-w", project.store] }).output();
  const plan = await outputOf(project.start("plan", "a.yaml"));
  strictEqual(plan.code, 0);
  const again = await project.run();
  deepStrictEqual([again.code, again.states, again.digests], [0, ALL("hit"), first.digests]);
  strictEqual((await project.call("verify", "--full")).code, 0);
  const more = await project.run("--set", "by=4");
  strictEqual(more.code, 1);
  deepStrictEqual(more.states, { file: "hit", sum: "failed", quality: "blocked" });
  const { message } = more.lines.find(({ type }) => type === "failed") ?? {};
  match(
    String(message),
    /^Cannot write to the store .*\/store: it is read-only here \(E[A-Z]+\); name one that may be written with --store$/,
  );
  const gc = await project.call("gc");
  // Nothing may go, so nothing is tried.
  deepStrictEqual([gc.code, gc.lines[0]?.removals], [0, []]);
  if (disk) await mount("-o", "remount,rw", project.store);
  else await new Deno.Command("chmod", { args: ["-R", "u+w", project.store] }).output();
  notStrictEqual((await project.run("--set", "by=4")).digests.sum, first.digests.sum);
});
