// Slow: waits for a process to come to the place where its manifest is edited.
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { toyCommand } from "../support/toy/command.ts";

const BASE = `params: { value: 3 }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  slow: { stage: add, from: { a: one }, with: { parts: 10, pause: 100, by: 1 } }
`;
const MANIFEST = `extends: base.yaml
steps:
  late: { stage: add, from: { a: slow }, with: { by: 10 } }
  quality: { stage: score, from: { a: late } }
`;

Deno.test("a run goes by the manifest and the bases that it read, whatever is written there later", async () => {
  const directory = await Deno.makeTempDir();
  const [path, base] = [`${directory}/a.yaml`, `${directory}/base.yaml`];
  const run = () =>
    toyCommand(["run", "a.yaml", "--json"], {
      cwd: directory,
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  try {
    await Deno.writeTextFile(path, MANIFEST);
    await Deno.writeTextFile(base, BASE);
    const child = run();
    let edited = false;
    let out = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      out += text;
      if (edited || !/"type":"progress".*"step":"slow"/.test(out)) continue;
      edited = true;
      await Deno.writeTextFile(
        base,
        BASE.replace("value: 3", "value: 4").replace("by: 1", "by: 2"),
      );
      await Deno.writeTextFile(path, "extends: [nothing, {");
    }
    const { code } = await child.status;
    ok(edited, "the run was over before the edit");
    deepStrictEqual([code, summaryOf(out).scores], [0, { value: 14 }]);

    await Deno.writeTextFile(path, MANIFEST);
    const { stdout } = await run().output();
    const summary = summaryOf(new TextDecoder().decode(stdout));
    deepStrictEqual(summary.scores, { value: 16 });
    strictEqual(summary.steps.filter(({ state }) => state === "run").length, 4);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

interface Summary {
  readonly scores: Readonly<Record<string, number>>;
  readonly steps: readonly { readonly state: string }[];
}

function summaryOf(lines: string): Summary {
  return JSON.parse(lines.trimEnd().split("\n").at(-1) ?? "");
}
