// Slow: kills a program that quantizes, and runs it again.
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import type { RunEvent } from "../../pipeline/event.ts";
import type { Progress } from "../support/stage_progress.ts";

const PROGRAM = fileURLToPath(new URL("../support/stage_progress.ts", import.meta.url));

const MANIFEST = `
steps:
  source: { stage: load }
  text: { stage: tokenize, from: { model: source }, with: { text: "stories:calibration", bytes: 4000 } }
  stats: { stage: calibrate, from: { model: source, tokens: text }, with: { windows: 2, context: 64, rows: 8 } }
  w4:
    stage: quantize
    from: { model: source, stats: stats }
    with: { weights: { group: 64 }, skips: [up_proj, down_proj] }
  w4q:
    stage: quantize
    from: { model: source, tokens: text }
    with: { weights: { group: 64 }, skips: [up_proj, down_proj], inputs: quantized, windows: 2, context: 64 }
`;

/** What a run told, in order. */
type Told = RunEvent | Progress;

Deno.test("a quantize that was killed goes on at its layer and gives the codes of one left alone", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/a.yaml`, MANIFEST);
    const alone = await run(directory, "alone");
    const first = await run(directory, "killed", { step: "w4", layer: 2 });
    const second = await run(directory, "killed", { step: "w4q", layer: 2 });
    const third = await run(directory, "killed");
    assert.deepEqual([...layersOf(first, "w4")].slice(0, 3), [0, 1, 2]);
    assert.equal(doneOf(first, "w4"), undefined);
    // The kill may reach the process when it has just finished the layer it told of last.
    assert.ok(layersOf(second, "w4")[0]! >= layersOf(first, "w4").at(-1)!);
    assert.deepEqual(layersOf(second, "w4q").slice(0, 3), [0, 1, 2]);
    assert.equal(doneOf(second, "w4q"), undefined);
    assert.ok(layersOf(third, "w4q")[0]! >= layersOf(second, "w4q").at(-1)!);
    for (const [step, resumed] of [["w4", second], ["w4q", third]] as const) {
      const [expected, found] = [doneOf(alone, step)!, doneOf(resumed, step)!];
      assert.notEqual(found.path, expected.path);
      assert.equal(found.digest, expected.digest);
    }
    const states = third.flatMap((event) => event.type === "summary" ? event.steps : []);
    assert.deepEqual(states.map(({ state }) => state), ["hit", "hit", "hit", "hit", "run"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Runs the manifest in a process of its own, which is killed as a step says it is at a layer. */
async function run(
  directory: string,
  store: string,
  kill?: { readonly step: string; readonly layer: number },
): Promise<Told[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", PROGRAM, "run", "a.yaml", "--json", "--store", `${directory}/${store}`],
    cwd: directory,
    stdout: "piped",
  }).spawn();
  const told: Told[] = [];
  let [rest, step] = ["", ""];
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const one: Told = JSON.parse(line);
      told.push(one);
      if (one.type === "start") step = one.step;
      if (one.type !== "said" || step !== kill?.step) continue;
      if (one.done >= kill.layer) child.kill("SIGKILL");
    }
  }
  await child.status;
  return told;
}

/** Layers, counted from 0, that a step said it had come to. */
function layersOf(told: readonly Told[], step: string): number[] {
  const from = told.findIndex((one) => one.type === "start" && one.step === step);
  const rest = told.slice(from + 1);
  const to = rest.findIndex((one) => one.type === "start");
  return rest.slice(0, to < 0 ? undefined : to)
    .flatMap((one) => one.type === "said" && one.done < one.total ? one.done : []);
}

function doneOf(told: readonly Told[], step: string) {
  return told.find((one) => one.type === "done" && one.step === step) as
    | (RunEvent & { type: "done" })
    | undefined;
}
