// Slow: kills a program while it exports, and runs it again.
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
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

/** Runs a command in a process of its own, which is killed some time after a step has begun. */
async function told(
  args: readonly string[],
  kill?: { readonly step: string; readonly after: number },
): Promise<{ readonly killed: boolean; readonly lines: readonly Told[] }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", PROGRAM, ...args, "--json"],
    stdout: "piped",
  }).spawn();
  const lines: Told[] = [];
  let rest = "";
  let killing: Promise<void> | undefined;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n");
    rest = whole.pop()!;
    for (const line of whole) {
      const one: Told = JSON.parse(line);
      lines.push(one);
      if (one.type !== "start" || one.step !== kill?.step) continue;
      // It may have ended by itself.
      killing = sleep(kill!.after).then(() => child.kill("SIGKILL")).catch(() => {});
    }
  }
  const { signal, code } = await child.status;
  await killing;
  ok(code === 0 || signal === "SIGKILL", `it ends with ${code}`);
  return { killed: signal === "SIGKILL", lines };
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
  await told(["run", `${path}/a.yaml`, "--store", `${path}/codes`]);
  await Deno.writeTextFile(`${path}/a.yaml`, CODES + EXPORTS.slice(1));
  const { lines } = await told(["run", `${path}/a.yaml`, ...await copy("alone")]);
  const alone = digestsOf(lines);
  const random = words("exports");
  let kills = 0;
  // On a busy machine more kills come too late.
  for (let round = 0; round < 8 || (kills < 4 && round < 24); round++) {
    const store = await copy(`round-${round}`);
    const step = round % 2 === 0 ? "gguf" : "vllm";
    const after = random.next().value / 2 ** 32 * SHARE * took(lines, step);
    const { killed } = await told(["run", `${path}/a.yaml`, ...store], { step, after });
    if (killed) kills++;
    await told(["verify", "--full", ...store]);
    const again = await told(["run", `${path}/a.yaml`, ...store]);
    deepStrictEqual(digestsOf(again.lines), alone, `${step}, round ${round}`);
    const entries = (room: string) => Array.fromAsync(Deno.readDir(`${store[1]}/${room}`));
    deepStrictEqual(await entries("tmp"), []);
    strictEqual((await entries("artifacts")).length, 4);
  }
  ok(kills >= 4, `${kills} kills came before the end`);
});
