// Slow: starts the program in terminals and waits for what they show.
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { commandAgain } from "../../pipeline/cli/again.ts";
import { textWidth } from "../../pipeline/tell/terminal/text_width.ts";
import { TerminalModel } from "../support/terminal_model.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAM = `deno run -q -A --config=${ROOT}deno.json ${ROOT}tests/support/toy/program.ts`;
/** Codes that move the cursor or erase, and codes of colors. */
// deno-lint-ignore no-control-regex -- the codes of a terminal
const MOVES = /\x1b\[\d*[A-HJKfhl]/;
// deno-lint-ignore no-control-regex -- the codes of a terminal
const COLORED = /\x1b\[\d+m/;

const MANIFEST = `
steps:
  one: { stage: constant, with: { value: 3 } }
  slow: { stage: count, from: { a: one }, with: { parts: 12, pause: 40 } }
  loud: { stage: chatter }
  a_step_with_quite_a_long_name: { stage: add, from: { a: slow }, with: { parts: 5, pause: 40 } }
  quality: { stage: score, from: { a: a_step_with_quite_a_long_name } }
`;

/** Parts of a minute each: long enough for any signal to come in the middle. */
const LONG = `
steps:
  slow: { stage: count, with: { parts: 1200, pause: 50, log: log } }
`;

/** No terminals can be had for a program where util-linux' \`script\` is missing. */
const IGNORE = !await hasScript();
const SUFFIX = IGNORE ? " (left out: no script of util-linux here)" : "";

async function hasScript(): Promise<boolean> {
  const version = new Deno.Command("script", { args: ["--version"], stderr: "null" });
  const text = await version.output().then(({ stdout }) => stdout, () => new Uint8Array());
  return new TextDecoder().decode(text).includes("util-linux");
}

async function withProject(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/a.yaml`, MANIFEST);
    await Deno.writeTextFile(`${directory}/long.yaml`, LONG);
    await use(directory);
  } finally {
    for (const { kill, end } of started.splice(0)) {
      kill("SIGKILL");
      await end();
    }
    // In a terminal that is gone a run takes a moment to stop.
    for (let i = 0; i < 200; i++) {
      const gone = await Deno.remove(directory, { recursive: true }).then(() => true, () => false);
      if (gone) break;
      await sleep(25);
    }
  }
}

interface Started {
  readonly seen: { out: string; errors: string };
  kill(signal: Deno.Signal): void;
  press(key: string): Promise<void>;
  /** Waits until the text has been shown. */
  until(text: RegExp): Promise<void>;
  end(): Promise<number>;
}

/** What a test has started, to be ended where the test fails. */
const started: Started[] = [];

/** Starts a shell's command, in a terminal of its own if it shall have a size. */
function start(
  directory: string,
  { command, size, env = {} }: {
    readonly command: string;
    readonly size?: readonly [columns: number, rows: number];
    readonly env?: Readonly<Record<string, string>>;
  },
): Started {
  const args = size
    ? ["script", "-qec", `stty cols ${size[0]} rows ${size[1]}; ${command}`, "/dev/null"]
    : ["sh", "-c", command];
  const child = new Deno.Command(args[0]!, {
    args: args.slice(1),
    cwd: directory,
    // What the tests' own surroundings ask for must not count.
    env: {
      ...{ SHELL: "/bin/sh", TERM: "xterm", CI: "", NO_COLOR: "", FORCE_COLOR: "" },
      ...{ QUATTUOR_STORE: "", npm_command: "" },
      ...env,
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const seen = { out: "", errors: "" };
  const read = async (stream: ReadableStream<Uint8Array>, to: "out" | "errors") => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) seen[to] += text;
  };
  const over = Promise.all([read(child.stdout, "out"), read(child.stderr, "errors"), child.status]);
  const keys = child.stdin.getWriter();
  const self: Started = {
    seen,
    kill(signal) {
      try {
        child.kill(signal);
      } catch {
        // It has ended.
      }
    },
    async press(key) {
      await keys.write(new TextEncoder().encode(key));
    },
    async until(text) {
      for (let i = 0; i < 1200 && !text.test(seen.out + seen.errors); i++) await sleep(25);
      match((seen.out + seen.errors).slice(-2000), text);
    },
    async end() {
      const [, , { code }] = await over;
      await keys.close().catch(() => {});
      return code;
    },
  };
  started.push(self);
  return self;
}

/** All that a terminal shows after each frame, and at last. */
function watch(out: string, [columns, rows]: readonly [number, number]) {
  const model = new TerminalModel(columns, rows);
  const frames: string[][] = [];
  // deno-lint-ignore no-control-regex -- the code that ends a frame
  for (const part of out.split(/(?<=\x1b\[J)/)) {
    model.write(part);
    frames.push(model.shown);
  }
  return { frames, lines: model.lines };
}

Deno.test({
  name: `a run in a terminal draws its steps in place and leaves its log and summary${SUFFIX}`,
  ignore: IGNORE,
  fn: () =>
    withProject(async (directory) => {
      const sizes = [[20, 12], [80, 24], [200, 50], [80, 5]] as const;
      await Promise.all(sizes.map(async (size, i) => {
        const run = start(directory, { command: `${PROGRAM} run a.yaml --store s${i}`, size });
        strictEqual(await run.end(), 0, run.seen.out);
        const { frames, lines } = watch(run.seen.out, size);
        ok(frames.length > 5, `${frames.length} frames`);
        const atWork = frames.map((rows) => rows.filter((row) => row.startsWith("▸")));
        ok(atWork.some(([row = ""]) => /^▸ run +slow/.test(row)));
        ok(atWork.every((rows) => rows.length <= 1), "one step at a time, and one row of it");
        ok(atWork.flat().every((row) => textWidth(row) < size[0]));
        // Only the last frames have no steps; a low terminal never has those that wait.
        const waiting = frames.some((rows) =>
          rows.some((row) => /^run\?? +quality( |$)/.test(row))
        );
        strictEqual(waiting, size[1] > 7, `${size}`);
        ok(!lines.some((line) => /^▸|of 5 steps/.test(line)), "nothing of it is left");
        ok(lines.includes("run      slow: count, not made before"));
        ok(lines.some((line) => /^made {5}slow in \d/.test(line)));
        strictEqual(lines.filter((line) => line === "a package says hello").length, 1);
        match(lines.join("\n"), /\nstep +state +seconds +scores( +artifact)?\none +run +\d/);
        match(lines.join("\n"), /\nAll went well in .* \(5 steps made, 0 reused\)\n/);
      }));
    }),
});

Deno.test({
  name: `a run writes plain lines into terminals that cannot be redrawn${SUFFIX}`,
  ignore: IGNORE,
  fn: () =>
    withProject(async (directory) => {
      const cases: [size: [number, number], env: Record<string, string>, colored: boolean][] = [
        [[0, 0], {}, true],
        [[80, 24], { TERM: "dumb" }, false],
        [[80, 24], { CI: "true" }, true],
        [[80, 24], { CI: "true", NO_COLOR: "1" }, false],
      ];
      await Promise.all(cases.map(async ([size, env, colored], i) => {
        const command = `${PROGRAM} run a.yaml --store s${i}`;
        const run = start(directory, { command, size, env });
        strictEqual(await run.end(), 0, run.seen.out);
        const { out } = run.seen;
        doesNotMatch(out, MOVES, JSON.stringify(env));
        (colored ? match : doesNotMatch)(out, COLORED, JSON.stringify(env));
        // deno-lint-ignore no-control-regex -- the codes of colors
        const lines = out.replaceAll(/\x1b\[\d+m|\r/g, "").split("\n");
        deepStrictEqual(lines.slice(0, 2), [
          "run      one: constant, not made before",
          lines[1]?.replace(/^made {5}one in .*/, "made     one in 0.0 s"),
        ]);
        match(lines.join("\n"), /\nAll went well in .* \(5 steps made, 0 reused\)\n/);
      }));
      const plain = start(directory, {
        command: `${PROGRAM} run a.yaml --store s0`,
        size: [80, 24],
        env: { NO_COLOR: "1" },
      });
      strictEqual(await plain.end(), 0);
      match(plain.seen.out, MOVES);
      doesNotMatch(plain.seen.out, COLORED);
    }),
});

Deno.test({
  name: `a run draws itself anew when its terminal gets another size${SUFFIX}`,
  ignore: IGNORE,
  fn: () =>
    withProject(async (directory) => {
      const run = start(directory, {
        command: `(until [ -e small ]; do sleep 0.05; done; stty cols 31 rows 20 < /dev/tty) & ` +
          `exec ${PROGRAM} run long.yaml`,
        size: [100, 20],
      });
      const widths = () =>
        [...run.seen.out.matchAll(/▸ .*/g)].slice(-3)
          // deno-lint-ignore no-control-regex -- codes take no room
          .map(([row]) => textWidth(row.replaceAll(/\x1b\[\d*\w/g, "").trimEnd()));
      await run.until(/part ([3-9]|\d\d)/);
      ok(widths().some((width) => width > 40), "wide at first");
      await Deno.writeTextFile(`${directory}/small`, "");
      for (let i = 0; i < 1200 && widths().some((width) => width >= 31); i++) await sleep(25);
      ok(widths().length === 3 && widths().every((width) => width < 31), `${widths()} columns`);
      await run.press("\x03");
      strictEqual(await run.end(), 130);
    }),
});

Deno.test({
  name: `Ctrl-C in a terminal stops at the next part and says the command that goes on${SUFFIX}`,
  ignore: IGNORE,
  fn: () =>
    withProject(async (directory) => {
      // As users run it: through a task, which gets the Ctrl-C as well.
      const tasks = { run: `${PROGRAM} run` };
      await Deno.writeTextFile(`${directory}/deno.json`, JSON.stringify({ tasks }));
      const command = "deno task -q run long.yaml --set slow.pause=50";
      const size = [90, 24] as const;
      const first = start(directory, { command, size });
      await first.until(/part ([4-9]|\d\d)/);
      await first.press("\x03");
      strictEqual(await first.end(), 130);
      const { lines } = watch(first.seen.out, size);
      ok(lines.includes("stopped  slow: what it has finished is kept"));
      strictEqual(lines.filter((line) => line.startsWith("Stopping at the next")).length, 1);
      const again = lines[lines.indexOf("What is finished is kept; to go on:") + 1];
      strictEqual(again, "  deno task run long.yaml --set slow.pause=50");
      const reached = (await Deno.readTextFile(`${directory}/log`)).trim().split("\n").length;
      // What was said is a command, and it goes on where the first run was.
      const second = start(directory, { command: again?.trim() ?? "", size });
      await second.until(/part \d+/);
      await second.press("\x03");
      strictEqual(await second.end(), 130);
      const parts = (await Deno.readTextFile(`${directory}/log`)).trim().split("\n")
        .map((line) => Number(line.split(" ")[1]));
      ok(reached >= 4 && parts.length > reached, `${parts.length} parts after ${reached}`);
      deepStrictEqual(parts, parts.map((_, i) => i + 1), "no part was done twice");
    }),
});

Deno.test("a closed terminal stops a run cleanly, two signals at once do too, `nohup` keeps it", () =>
  withProject(async (directory) => {
    const stateOf = async (store: string) => {
      for await (const room of Deno.readDir(`${directory}/${store}/runs`)) {
        for await (const { name } of Deno.readDir(`${directory}/${store}/runs/${room.name}`)) {
          if (!name.endsWith(".json")) continue;
          const path = `${directory}/${store}/runs/${room.name}/${name}`;
          return JSON.parse(await Deno.readTextFile(path)).state;
        }
      }
    };
    const stopped = async (store: string, command: string, signals: readonly Deno.Signal[]) => {
      const run = start(directory, {
        command: `exec ${PROGRAM} ${command} --store ${store} --json`,
      });
      await run.until(/"part \d+"/);
      // It finds all of them when it goes on, however long sending them takes.
      for (const signal of ["SIGSTOP", ...signals, "SIGCONT"] as const) run.kill(signal);
      return { code: await run.end(), ...run.seen, state: await stateOf(store) };
    };
    await Promise.all([
      (async () => {
        const { code, errors, out, state } = await stopped("hup", "run long.yaml", ["SIGHUP"]);
        deepStrictEqual([code, state], [130, "stopped"]);
        match(errors, /Stopping at the next good moment/);
        match(out, /"type":"stopping","time":"[^"]+","again":"deno run -A .*program\.ts run long/);
      })(),
      (async () => {
        const both = ["SIGINT", "SIGTERM"] as const;
        const { code, errors, state } = await stopped("both", "run long.yaml", both);
        deepStrictEqual([code, state], [130, "stopped"]);
        doesNotMatch(errors, /Stopped at once/);
      })(),
      (async () => {
        const ignoring = start(directory, {
          command: `trap '' HUP; exec ${PROGRAM} run a.yaml --store kept --json`,
        });
        await ignoring.until(/"part \d+"/);
        ignoring.kill("SIGHUP");
        strictEqual(await ignoring.end(), 0);
      })(),
      (async () => {
        if (IGNORE) return;
        const size = [80, 24] as const;
        const gone = start(directory, { command: `${PROGRAM} run long.yaml --store gone`, size });
        await gone.until(/part \d+/);
        // The terminal vanishes with the program that made it; nobody is left to write to.
        gone.kill("SIGKILL");
        await gone.end();
        for (let i = 0; i < 1200 && await stateOf("gone") === "running"; i++) await sleep(25);
        strictEqual(await stateOf("gone"), "stopped");
      })(),
    ]);
  }));

Deno.test("a run goes on when the reader of its output has seen enough", () =>
  withProject(async (directory) => {
    for (const [flags, first] of [["", /^run +one: /], ["--json", /^\{"type":"plan"/]] as const) {
      const store = flags === "" ? "plain" : "json";
      const program = `${PROGRAM} run a.yaml --store ${store} ${flags}`;
      const run = start(directory, { command: `(${program}; echo $? > ${store}.rc) | head -n 1` });
      strictEqual(await run.end(), 0);
      match(run.seen.out, first);
      strictEqual(run.seen.out.trim().split("\n").length, 1);
      strictEqual(await Deno.readTextFile(`${directory}/${store}.rc`), "0\n");
      const made = await Array.fromAsync(Deno.readDir(`${directory}/${store}/artifacts`));
      strictEqual(made.length, 5);
      // What packages print is no JSON line, and a pipe is not drawn on.
      strictEqual(run.seen.errors, flags === "" ? "" : "a package says hello\n");
    }
  }));

Deno.test("`commandAgain()` gives words that a shell takes apart as they were", async () => {
  const args = ["run", "it's a.yaml", "--only=smoothed[alpha=0.2,*]", "--set", 'x="$HOME"', ""];
  const env = { get: () => undefined };
  const command = commandAgain(args, { main: "file:///nowhere/mod.ts", env });
  const [before, after] = [/^deno run -A /, /^(\.\.\/)*nowhere\/mod\.ts$/];
  match(command, before);
  const shell = new Deno.Command("sh", {
    args: ["-c", `printf '%s\\n' ${command.replace(before, "")}`],
  });
  const words = new TextDecoder().decode((await shell.output()).stdout).split("\n").slice(0, -1);
  match(words[0] ?? "", after);
  deepStrictEqual(words.slice(1), args);
  const npx = { get: (name: string) => name === "npm_command" ? "exec" : undefined };
  const task = commandAgain(["run", "configs/qoq.yaml"], {
    main: `file://${ROOT}mod.ts`,
    env: npx,
  });
  const there = Deno.cwd() === ROOT.replace(/\/$/, "");
  if (there) strictEqual(task, `npx -y deno@${Deno.version.deno} task run configs/qoq.yaml`);
});
