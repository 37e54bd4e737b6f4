import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import * as stages from "../../stages/mod.ts";

const CONFIG = fileURLToPath(new URL("../../configs/fp16.yaml", import.meta.url));

interface Line {
  readonly type: string;
  readonly ok?: boolean;
  readonly scores?: Readonly<Record<string, number>>;
  readonly steps?: readonly { readonly name: string; readonly state: string }[];
}

Deno.test("configs/fp16.yaml scores the embedded model, and reuses every step the second time", async () => {
  const store = await Deno.makeTempDir();
  try {
    const first = await run(store, "windows=2");
    assert.deepEqual(first.steps?.map(({ state }) => state), ["run", "run", "run"]);
    // The model's README has 1.51 in PyTorch; a unigram model has 205.
    const perplexity = first.scores?.perplexity ?? NaN;
    assert.ok(perplexity > 1.4 && perplexity < 1.6, `perplexity is ${perplexity}`);
    const second = await run(store, "windows=2");
    assert.deepEqual(second.steps?.map(({ state }) => state), ["hit", "hit", "hit"]);
    assert.deepEqual(second.scores, first.scores);
    const third = await run(store, "windows=1");
    assert.deepEqual(third.steps?.map(({ state }) => state), ["hit", "hit", "run"]);
  } finally {
    await Deno.remove(store, { recursive: true });
  }
});

for (const [name, stage] of Object.entries(stages)) {
  Deno.test(`${name} describes itself, and its example is valid`, () => {
    assert.match(stage.about, /^[A-Z].*\.$/);
    assert.ok(stage.params.safeParse(stage.example).success);
  });
}

/** Runs the recipe as the command line does and gives the summary it ends with. */
async function run(store: string, set: string): Promise<Line> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      fileURLToPath(new URL("../../mod.ts", import.meta.url)),
      "run",
      CONFIG,
      "--json",
      "--store",
      store,
      "--set",
      set,
    ],
  });
  const { success, stdout } = await child.output();
  assert.ok(success);
  const parsed = new TextDecoder().decode(stdout).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  const summary: Line = parsed.at(-1);
  assert.equal(summary.type, "summary");
  assert.equal(summary.ok, true);
  return summary;
}
