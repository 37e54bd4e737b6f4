import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import type { RunEvent } from "../pipeline/event.ts";

const PROGRAM = fileURLToPath(new URL("../mod.ts", import.meta.url));

const MANIFEST = `
steps:
  source: { stage: load }
  text: { stage: tokenize, from: { model: source }, with: { text: "stories:calibration", bytes: 4000 } }
  stats: { stage: calibrate, from: { model: source, tokens: text }, with: { windows: 2, context: 64, rows: 8 } }
  w4: { stage: quantize, from: { model: source, stats: stats }, with: { weights: { group: 64 }, range: { grids: 40 } } }
`;

Deno.test("a quantize that was killed and started again gives the codes of one left alone", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/a.yaml`, MANIFEST);
    const alone = await run(directory, "alone");
    const killed = await run(directory, "killed", (event) =>
      // Between layers: the search makes each take longer than JSON lines are apart.
      event.type === "progress" && event.step === "w4" && event.done > 0 &&
      event.done < event.total);
    assert.equal(killed.find(({ type }) => type === "summary"), undefined);
    assert.equal(doneOf(killed, "w4"), undefined);
    const again = await run(directory, "killed");
    const states = again.flatMap((event) => event.type === "summary" ? event.steps : [])
      .map(({ name, state }) => [name, state]);
    assert.deepEqual(states, [["source", "hit"], ["text", "hit"], ["stats", "hit"], ["w4", "run"]]);
    const [expected, found] = [doneOf(alone, "w4")!, doneOf(again, "w4")!];
    assert.notEqual(found.path, expected.path);
    assert.equal(found.digest, expected.digest);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Runs the manifest in a process of its own, which is killed at an event; gives all events. */
async function run(
  directory: string,
  store: string,
  killAt: (event: RunEvent) => boolean = () => false,
): Promise<RunEvent[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", PROGRAM, "run", "a.yaml", "--json", "--store", `${directory}/${store}`],
    cwd: directory,
    stdout: "piped",
  }).spawn();
  const events: RunEvent[] = [];
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const event: RunEvent = JSON.parse(line);
      events.push(event);
      if (killAt(event)) child.kill("SIGKILL");
    }
  }
  await child.status;
  return events;
}

function doneOf(events: readonly RunEvent[], step: string) {
  return events.find((event) => event.type === "done" && event.step === step) as
    | (RunEvent & { type: "done" })
    | undefined;
}
