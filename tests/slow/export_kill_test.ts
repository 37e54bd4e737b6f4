// Slow: kills a program while it exports, and runs it again.
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as stages from "../../stages/mod.ts";
import { openTools } from "../../stages/tools.ts";
import { callProgram } from "../support/cli_call.ts";
import { temporary } from "../support/directory.ts";
import { words } from "../support/random.ts";

const PROGRAM = fileURLToPath(new URL("../../mod.ts", import.meta.url));

const CODES = `
steps:
  source: { stage: load, with: { model: embedded } }
  w4:
    stage: quantize
    from: { model: source }
    with: { method: rtn, uneven_group: shrink, weights: { bits: 4, group: 32, zero: none } }
`;
const EXPORTS = `
  gguf: { stage: export, from: { model: w4 }, with: { format: gguf } }
  vllm: { stage: export, from: { model: w4 }, with: { format: compressed_tensors } }
`;

/** Of the milliseconds that an export takes when nobody kills it: it may be quicker the next time. */
const SHARE = 0.8;

interface Told {
  readonly type: string;
  readonly time: string;
  readonly step?: string;
  readonly digest?: string;
}

/** Uses a command in this process, and gives what it tells; fails where it does not end well. */
async function told(...args: readonly string[]): Promise<readonly Told[]> {
  const { status, out, errors } = await callProgram(
    { stages, tools: openTools },
    ...args,
    "--json",
  );
  strictEqual(status, 0, `${args}: ${out}${errors}`);
  return out.trim().split("\n").map((line) => JSON.parse(line));
}

/** Runs a command in a process of its own, kills it some time after a step has begun, and says if it did. */
async function killed(
  args: readonly string[],
  { step, after }: { readonly step: string; readonly after: number },
): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", PROGRAM, ...args, "--json"],
    stdout: "piped",
  }).spawn();
  let rest = "";
  let killing: Promise<void> | undefined;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n");
    rest = whole.pop()!;
    for (const line of whole) {
      const one: Told = JSON.parse(line);
      if (one.type !== "start" || one.step !== step) continue;
      // It may have ended by itself.
      killing = sleep(after).then(() => child.kill("SIGKILL")).catch(() => {});
    }
  }
  const { signal, code } = await child.status;
  await killing;
  ok(code === 0 || signal === "SIGKILL", `it ends with ${code}`);
  return signal === "SIGKILL";
}

const digestsOf = (lines: readonly Told[]) =>
  Object.fromEntries(
    lines.filter(({ type }) => type === "done" || type === "reuse")
      .map(({ step, digest }) => [step, digest]),
  );

/** Milliseconds from the start of a step to its end. */
function took(lines: readonly Told[], step: string): number {
  const [start, done] = ["start", "done"].map((type) =>
    Date.parse(lines.find((line) => line.type === type && line.step === step)!.time)
  );
  return done! - start!;
}

Deno.test("an export that is killed shows nothing of itself, and the next is whole", async () => {
  await using place = await temporary();
  const { path } = place;
  const copy = async (name: string) => {
    const { success } = await new Deno.Command("cp", {
      args: ["-a", `${path}/codes`, `${path}/${name}`],
    }).output();
    ok(success);
    return ["--store", `${path}/${name}`];
  };
  await Deno.writeTextFile(`${path}/a.yaml`, CODES);
  await told("run", `${path}/a.yaml`, "--store", `${path}/codes`);
  await Deno.writeTextFile(`${path}/a.yaml`, CODES + EXPORTS.slice(1));
  const lines = await told("run", `${path}/a.yaml`, ...await copy("alone"));
  const alone = digestsOf(lines);
  const random = words("exports");
  let kills = 0;
  // On a busy machine more kills come too late.
  for (let round = 0; round < 8 || (kills < 4 && round < 24); round++) {
    const store = await copy(`round-${round}`);
    const step = round % 2 === 0 ? "gguf" : "vllm";
    const after = random.next().value / 2 ** 32 * SHARE * took(lines, step);
    if (await killed(["run", `${path}/a.yaml`, ...store], { step, after })) kills++;
    await told("verify", "--full", ...store);
    const again = await told("run", `${path}/a.yaml`, ...store);
    deepStrictEqual(digestsOf(again), alone, `${step}, round ${round}`);
    const entries = (room: string) => Array.fromAsync(Deno.readDir(`${store[1]}/${room}`));
    deepStrictEqual(await entries("tmp"), []);
    strictEqual((await entries("artifacts")).length, 4);
  }
  ok(kills >= 4, `${kills} kills came before the end`);
});
