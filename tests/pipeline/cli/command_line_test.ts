import { setTimeout as sleep } from "node:timers/promises";
import { runnerCommands } from "../../../pipeline/cli/commands/mod.ts";
import * as stages from "../../support/toy/stages.ts";
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual, throws } from "node:assert/strict";
import { machineFlags, parseBytes } from "../../../pipeline/cli/flags.ts";
import { parseCommandLine } from "../../../pipeline/cli/command_line.ts";
import { defineCommand, UsageError } from "../../../pipeline/cli/mod.ts";
import { textWidth } from "../../../pipeline/tell/terminal/text_width.ts";
import { projectRoot, storeDirectory } from "../../../pipeline/cli/open_store.ts";
import type { Program } from "../../../pipeline/cli/main.ts";
import { callProgram } from "../../support/cli_call.ts";
import { call as callToy } from "../../support/toy/call.ts";
import { toyCommand } from "../../support/toy/command.ts";
import { until } from "../../support/wait.ts";

const MANIFEST = `
params: { value: 3, pause: 0, parts: 2 }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  slow: { stage: add, from: { a: one }, with: { parts: "\${parts}", pause: "\${pause}" } }
  quality: { stage: score, from: { a: slow } }
`;

async function withProject(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/a.yaml`, MANIFEST);
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Runs the command line in this process. */
function call(...args: string[]) {
  return callToy(args);
}

/** Starts the command line in a process of its own. */
function start(
  directory: string,
  { args, env = {} }: { readonly args: readonly string[]; readonly env?: Record<string, string> },
): Deno.ChildProcess {
  return toyCommand(args, {
    cwd: directory,
    env,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function outputOf(child: Deno.ChildProcess) {
  const { code, stdout, stderr } = await child.output();
  const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out: out ?? "", errors: errors ?? "" };
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Windows hands no signal to a process: whoever sends one ends it. */
const SIGNALS = { ignore: Deno.build.os === "windows" };

Deno.test("`run --json` writes JSON lines and nothing else, the summary last", () =>
  withProject(async (directory) => {
    await Deno.writeTextFile(`${directory}/b.yaml`, `${MANIFEST}  loud: { stage: chatter }\n`);
    const { code, out, errors } = await outputOf(
      start(directory, { args: ["run", "b.yaml", "--json"] }),
    );
    strictEqual(code, 0);
    const events = out.trimEnd().split("\n").map((line) => JSON.parse(line));
    ok(events.every((event) => typeof event.type === "string"));
    ok(events.every((event) => new Date(event.time).toISOString() === event.time));
    const summary = events.at(-1);
    deepStrictEqual(Object.keys(summary), ["type", "time", "ok", "seconds", "steps", "scores"]);
    strictEqual(summary.type, "summary");
    strictEqual(summary.ok, true);
    strictEqual(typeof summary.seconds, "number");
    deepStrictEqual(summary.scores, { value: 3 });
    deepStrictEqual(
      summary.steps.map((
        { name, state, seconds }: Record<string, unknown>,
      ) => [name, state, typeof seconds]),
      ["one", "slow", "quality", "loud"].map((name) => [name, "run", "number"]),
    );
    match(errors, /^a package says hello$/m);
    ok(await exists(`${directory}/.quattuor/artifacts`));
  }));

Deno.test("`run` ends with status 0 only when all went well", () =>
  withProject(async (directory) => {
    const path = `${directory}/bad.yaml`;
    await Deno.writeTextFile(path, "steps: { a: { stage: fail } }");
    const bad = await call("run", path);
    strictEqual(bad.status, 1);
    match(bad.errors, /^failed +a: Cannot add one to one: it is odd$/m);
    match(bad.out, /^Failed: a \(0 steps made, 0 reused\)$/m);
    const json = await call("run", path, "--json");
    strictEqual(json.status, 1);
    deepStrictEqual(JSON.parse(json.lines.at(-1) ?? "").steps[0].state, "failed");
    const good = await call("run", `${directory}/a.yaml`);
    strictEqual(good.status, 0);
    match(good.out, /^quality {2}run +[\d.]+ {2}value 3/m);
    match((await call("run", `${directory}/a.yaml`)).out, /\(0 steps made, 3 reused\)$/m);
  }));

Deno.test("`run` ends with the headlines of what no other step reads", () =>
  withProject(async (directory) => {
    const asked: string[] = [];
    const program: Partial<Program> = {
      describe(path, { kind }) {
        asked.push(kind ?? "");
        const headline = { title: "What came out", lines: [`of ${kind}`], tellsScores: true };
        return Promise.resolve({ title: path, sections: [], warnings: [], headline });
      },
      onward: (manifest) => [{ about: "Look again", words: ["inspect", manifest] }],
    };
    const manifest = `${directory}/a.yaml`;
    const run = async (...args: string[]) =>
      await callProgram({ stages, ...program }, "run", manifest, ...args);
    const { out } = await run();
    deepStrictEqual(asked, ["report"]);
    match(out, /\nWhat came out\nof report\n\nAll went well/);
    match(out, /^step +state +seconds\n/m);
    doesNotMatch(out, /Look again/);
    const brief = await run("--brief");
    match(brief.out, /^\nWhat came out\nof report\n\nAll went well/);
    match(
      brief.out,
      /\n\nA page about it +.*deno.*\nLook again +.*deno.* inspect .*a\.yaml\n$/,
    );
    await Deno.writeTextFile(`${directory}/b.yaml`, "extends: a.yaml\nnext: sub/c.yaml\n");
    const named = await callProgram(
      { stages, ...program },
      "run",
      `${directory}/b.yaml`,
      "--brief",
    );
    match(named.out, /\nLook again +.*deno.* inspect .*sub\/c\.yaml\n$/);
    const json = (await run("--json")).out.trimEnd().split("\n").map((line) => JSON.parse(line));
    strictEqual(json.at(-1).type, "summary");
    const both = await run("--brief", "-q");
    strictEqual(both.status, 2);
    match(both.errors, /Cannot be both --quiet and --brief: say one/);
  }));

Deno.test("`run` tells every problem of a manifest with its place and never a stack", () =>
  withProject(async (directory) => {
    const path = `${directory}/bad.yaml`;
    await Deno.writeTextFile(
      path,
      "steps:\n  a: { stage: constnt }\n  b: { stage: add, from: { a: c } }\n",
    );
    const text = [
      `${path}:2:15: Cannot find stage "constnt": did you mean "constant"?`,
      `${path}:3:31: Cannot feed "a" from step "c": did you mean "a"?`,
    ];
    const plain = await call("run", path);
    deepStrictEqual([plain.status, plain.out], [1, ""]);
    deepStrictEqual(plain.errors.trim().split("\n"), text);
    const json = await call("run", path, "--json");
    const [error, summary] = json.lines.map((line) => JSON.parse(line));
    strictEqual(error.type, "error");
    deepStrictEqual(error.problems[0].mark, { line: 2, col: 15 });
    deepStrictEqual([summary.type, summary.ok], ["summary", false]);
    deepStrictEqual(json.errors.trim().split("\n"), text);
    const missing = await call("run", `${directory}/none.yaml`);
    doesNotMatch(missing.errors, /\n +at /);
    match(missing.errors, /none\.yaml: Cannot read the manifest: there is no such file\n$/);
  }));

Deno.test("`main()` answers a wrong command line with one line and a hint", async () => {
  const cases: [args: string[], line: RegExp][] = [
    [[], /^Cannot tell what to do: there is no command$/],
    [["rnu", "x"], /unknown command 'rnu' \(Did you mean run\?\)$/],
    [["config", "x.yaml"], /there is no word before it, expected config show x\.yaml$/],
    [["config", "show"], /Cannot show a manifest: none is named/],
    [["graph", "x.yaml", "--out", "x.pdf"], /Cannot draw a graph into x\.pdf: .*\.svg/],
    [["run"], /missing required argument 'manifest'$/],
    [["run", "x", "y"], /too many arguments/],
    [["run", "x", "--sett", "a=1"], /unknown option '--sett' \(Did you mean --set\?\)$/],
    [["run", "x", "--memory", "much"], /Cannot read "much" as a size/],
    [["run", "x", "--verify", "some"], /Allowed choices are stat, size, full\.$/],
  ];
  for (const [args, line] of cases) {
    const { status, out, errors } = await call(...args);
    deepStrictEqual([status, out], [2, ""], args.join(" "));
    const [first, second, ...rest] = errors.trim().split("\n");
    match(first ?? "", line);
    match(first ?? "", /^Cannot /);
    deepStrictEqual([second, rest], ["See --help for what there is", []]);
  }
});

Deno.test("`--force` takes all steps or those after an equals sign, and leaves the manifest alone", () =>
  withProject(async (directory) => {
    const path = `${directory}/a.yaml`;
    await call("run", path);
    match((await call("run", "--force", path)).out, /\(3 steps made, 0 reused\)/);
    match((await call("run", path, "--force=slow,one")).out, /\(2 steps made, 1 reused\)/);
    const wrong = await call("run", path, "--force=slwo");
    strictEqual(wrong.status, 2);
    match(wrong.errors, /^Cannot force step "slwo": did you mean "slow"\?$/m);
  }));

Deno.test(
  "Ctrl-C ends a run with status 130 and leaves nothing half-written",
  SIGNALS,
  () =>
    withProject(async (directory) => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) {
        const child = start(directory, {
          args: ["run", "a.yaml", "--json", "--set", "pause=20", "--set", "parts=400"],
        });
        const store = `${directory}/.quattuor`;
        await until(() => hasParts(`${store}/tmp`));
        child.kill(signal);
        const { code, out, errors } = await outputOf(child);
        strictEqual(code, 130);
        const summary = JSON.parse(out.trimEnd().split("\n").at(-1) ?? "");
        strictEqual(summary.ok, false);
        deepStrictEqual(
          summary.steps.map(({ state }: { state: string }) => state),
          [signal === "SIGINT" ? "run" : "hit", "stopped", "stopped"],
        );
        match(errors, /Stopping at the next good moment/);
        deepStrictEqual(await Array.fromAsync(Deno.readDir(`${store}/tmp`)), []);
      }
    }),
);

Deno.test(
  "a second Ctrl-C ends a run at once, and the next one cleans up",
  SIGNALS,
  () =>
    withProject(async (directory) => {
      const args = ["run", "a.yaml", "--set", "slow.parts=1"];
      // As without npx, which the command that goes on would name.
      const env = { npm_command: "" };
      const child = start(directory, { args: [...args, "--set", "pause=60000"], env });
      const store = `${directory}/.quattuor`;
      await until(() => hasParts(`${store}/tmp`));
      let errors = "";
      const reading = (async () => {
        for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
          errors += piece;
        }
      })();
      child.kill("SIGINT");
      // Signals that come soon after the one that the process has seen are taken for the same.
      await until(() => errors.includes("Stopping at the next good moment"));
      await sleep(150);
      child.kill("SIGINT");
      const { code: stopped } = await child.status;
      await reading;
      await child.stdout.cancel();
      strictEqual(stopped, 130);
      match(
        errors,
        /^Stopped at once; what is finished is kept; to go on:\n {2}deno run -A .+ run /m,
      );
      strictEqual((await Array.fromAsync(Deno.readDir(`${store}/tmp`))).length, 1);
      const { code } = await outputOf(start(directory, { args }));
      strictEqual(code, 0);
      deepStrictEqual(await Array.fromAsync(Deno.readDir(`${store}/tmp`)), []);
    }),
);

async function hasParts(temporary: string): Promise<boolean> {
  const directories = await Array.fromAsync(Deno.readDir(temporary)).catch(() => []);
  const [first] = directories;
  return first !== undefined && await exists(`${temporary}/${first.name}/part1`);
}

Deno.test("`plan` tells what would run and creates no store", () =>
  withProject(async (directory) => {
    const { status, out } = await call("plan", `${directory}/a.yaml`);
    strictEqual(status, 0);
    match(out, /^slow +add +run\? +depends on "one"$/m);
    strictEqual(await exists(`${directory}/.quattuor`), false);
    const { lines } = await call("plan", `${directory}/a.yaml`, "--json");
    const { type, steps } = JSON.parse(lines[0] ?? "");
    deepStrictEqual([type, steps.length, steps[0].state], ["plan", 3, "run"]);
    await Deno.writeTextFile(
      `${directory}/b.yaml`,
      "steps: { a: { stage: read, with: { path: no } } }",
    );
    strictEqual((await call("plan", `${directory}/b.yaml`)).status, 1);
  }));

Deno.test("`stages`, `schema` and `--help` tell what there is", () =>
  withProject(async (directory) => {
    const { out } = await call("stages");
    match(out, /^add +number +Adds to a number\.$/m);
    const add = (await call("stages", "add")).out;
    match(add, /^add: a: number, b: number\? → number\n {2}Adds to a number\.\n/);
    match(add, /^ {2}parts: integer, 1 unless said\n {6}Pieces of work\.$/m);
    const { out: constant } = await call("stages", "constant");
    match(constant, /^ {2}value: number, needed\n {6}The number\.$/m);
    const unknown = await call("stages", "ad");
    strictEqual(unknown.status, 2);
    match(unknown.errors, /Cannot tell of stage "ad": there is none, did you mean "add"\?/);
    for (const name of Object.keys(stages)) {
      const lines = (await call("stages", name)).lines;
      ok(lines.every((line) => textWidth(line) <= 80), name);
      ok((await call("stages", name, "--json")).lines.length === 1);
    }
    const listed = (await call("stages", "--json")).lines.map((line) => JSON.parse(line));
    deepStrictEqual(listed.map(({ name }) => name), Object.keys(stages));
    const schema = await call("schema", "--out", `${directory}/schema.json`);
    deepStrictEqual([schema.status, schema.out], [0, ""]);
    const written = JSON.parse(await Deno.readTextFile(`${directory}/schema.json`));
    deepStrictEqual(written, JSON.parse((await call("schema")).out));
    const help = await call("--help");
    strictEqual(help.status, 0);
    match(help.out, /^ {2}deno task start$/m);
    doesNotMatch(help.out, /--verify/);
    const short = (await call("run", "--help")).out;
    match(short, /--lock .*[^]*--help-all/);
    doesNotMatch(short, /--set <name=value>/);
    const long = (await call("run", "--help-all")).out;
    match(long, /--lock .*[^]*Global Options:[^]*--set <name=value>/);
    const version = await callToy(["--version"], { version: "toy 1" });
    deepStrictEqual([version.status, version.out], [0, "toy 1\n"]);
    for (const text of [help.out, short, long]) {
      ok(text.split("\n").every((line) => line.length <= 80));
    }
  }));

Deno.test("a command that a program hands in stands among the others, by letters, and is one", async () => {
  const greet = defineCommand({
    words: [["<whom>", "a name"]],
    options: (command) => void command.option("--loud", "greet louder"),
    run({ screen, words, own, flags }) {
      if (own.loud && flags.json) throw new UsageError("Cannot greet loud in JSON: say one");
      screen.write(`Hello ${words[0]}${own.loud ? "!" : ""}\n`);
      return 3;
    },
  });
  const load = () => Promise.resolve(greet);
  const program = { commands: { greet: { about: "Greet somebody", load } } };
  const help = (await callToy(["--help"], program)).lines
    .flatMap((line) => /^ {2}([a-z][\w-]*) .*\S/.exec(line)?.[1] ?? []);
  deepStrictEqual(
    help.filter((word) => word in runnerCommands || word === "greet"),
    [
      ...Object.keys(runnerCommands),
      "greet",
    ].sort(),
  );
  const { status, out } = await callToy(["greet", "you", "--loud"], program);
  deepStrictEqual([status, out], [3, "Hello you!\n"]);
  const refused = await callToy(["greet", "you", "--loud", "--json"], program);
  deepStrictEqual([refused.status, refused.errors], [
    2,
    "Cannot greet loud in JSON: say one\nSee --help for what there is\n",
  ]);
  match((await call("greet", "you")).errors, /unknown command 'greet'/);
});

Deno.test("`storeDirectory()` goes by the option, the environment, and the manifest's project", () =>
  withProject(async (directory) => {
    const manifest = `${directory}/configs/deep/a.yaml`;
    await Deno.mkdir(`${directory}/configs/deep`, { recursive: true });
    strictEqual(projectRoot(manifest), `${directory}/configs/deep`);
    await Deno.writeTextFile(`${directory}/deno.json`, "{}");
    strictEqual(projectRoot(manifest), directory);
    await Deno.mkdir(`${directory}/configs/.quattuor`);
    strictEqual(projectRoot(manifest), `${directory}/configs`);
    strictEqual(storeDirectory(manifest, {}), `${directory}/configs/.quattuor`);
    strictEqual(storeDirectory(manifest, { environment: "/e" }), "/e");
    strictEqual(storeDirectory(manifest, { asked: "/a", environment: "/e" }), "/a");
  }));

Deno.test("`QUATTUOR_STORE` moves the store of a run", () =>
  withProject(async (directory) => {
    const child = start(directory, {
      args: ["run", "a.yaml"],
      env: { QUATTUOR_STORE: `${directory}/elsewhere`, NO_COLOR: "1" },
    });
    const { code } = await outputOf(child);
    deepStrictEqual([code, await exists(`${directory}/elsewhere/artifacts`)], [0, true]);
    strictEqual(await exists(`${directory}/.quattuor`), false);
  }));

Deno.test("`parseCommandLine()` takes options before and after the command", async () => {
  const words = runnerCommands;
  const definitions = { run: await words.run!.load() };
  const request = parseCommandLine(
    ["--json", "run", "--set", "a=1", "x.yaml", "--set", "b=2", "--memory", "8GB"],
    { words, definitions },
  );
  deepStrictEqual(request, {
    command: "run",
    words: ["x.yaml"],
    own: {},
    flags: { json: true, set: ["a=1", "b=2"], memory: 8e9 },
  });
});

Deno.test("threads are those of the CPU, and of nothing else", () => {
  const flags = { set: [] };
  for (const device of [undefined, "auto", "cpu"]) {
    const said = { ...flags, ...device !== undefined && { device }, threads: 2 };
    deepStrictEqual(machineFlags(said), { device: "cpu:2" });
  }
  throws(
    () => machineFlags({ ...flags, device: "gpu:NVIDIA", threads: 2 }),
    /^RangeError: Cannot run "gpu:NVIDIA" on 2 threads: expected the CPU;/,
  );
});

Deno.test("`parseBytes()` reads decimal and binary units", () => {
  const cases: [text: string, bytes: number][] = [
    ["1000", 1000],
    ["8GB", 8e9],
    ["1.5 kB", 1500],
    ["512MiB", 2 ** 29],
    ["2gib", 2 ** 31],
  ];
  for (const [text, bytes] of cases) strictEqual(parseBytes(text), bytes);
  for (const text of ["", "GB", "-1", "0", "8 TBs", "1e3"]) {
    throws(() => parseBytes(text), new RegExp(`^RangeError: Cannot read "${text}" as a size`));
  }
});
