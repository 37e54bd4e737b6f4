// Slow: runs every command that the README and the pages of docs/ tell users to type.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import settings from "../../deno.json" with { type: "json" };
import { boundsOf } from "../../stages/bounds.ts";
import { modelCommands } from "../../stages/commands/mod.ts";
import { onward } from "../../stages/commands/onward.ts";
import { type Split, stories } from "../../stages/data/stories.ts";
import { describePath } from "../../stages/describe/describe.ts";
import { factsOf } from "../../stages/facts.ts";
import * as stages from "../../stages/mod.ts";
import { openTools } from "../../stages/tools.ts";
import { callProgram } from "../support/cli_call.ts";
import { startHub } from "../support/hub_stub.ts";
import { ROOT } from "../support/source_files.ts";

/** In an order in which each finds what it needs. */
const DOCUMENTS = [
  "docs/getting_started.md",
  "docs/manifests.md",
  "docs/formats.md",
  "docs/serving.md",
  "docs/adding_a_method.md",
  "docs/recipes.md",
  "docs/machines.md",
  "docs/troubleshooting.md",
  "README.md",
];

/** Commands that are not run here, and what runs them instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "npx -y deno@2.9.6 task test": "it runs this",
  "deno task gpu-check": "tests/gpu_check",
  "deno task import-config": "tests/stages/exchange/deepcompressor",
  "deno task restate": "tests/slow/restate_test.ts",
  "deno task worker": "tests/slow/restate_test.ts",
  "deno task run configs/qoq.yaml --executor": "tests/slow/restate_test.ts",
  "deno task run configs/qoq.yaml --set model=org/name --set tasks=zero_shot,mmlu":
    "tests/stages/tasks/run_tasks_test.ts",
  "deno task run configs/qoq.yaml --set 'tasks=[{ task: hellaswag":
    "tests/stages/tasks/run_tasks_test.ts",
  "deno task run configs/tasks.yaml": "tests/slow/recipes_test.ts",
};

const PROGRAM = {
  stages,
  tools: openTools,
  facts: factsOf,
  bounds: boundsOf,
  describe: describePath,
  commands: modelCommands,
  onward,
};
const used = new Set<string>();

Deno.test("every command of the documents works as it is written", async (test) => {
  const texts = await Array.fromAsync(Deno.readDir(join(ROOT, "docs")));
  const pages = texts.flatMap(({ name }) => name.endsWith(".md") ? [`docs/${name}`] : []);
  assert.deepEqual(
    pages.filter((page) => !DOCUMENTS.includes(page)),
    ["docs/changelog.md"],
    "a page is not in the list",
  );
  const folder = await Deno.makeTempDir({ prefix: "quattuor-documents-" });
  const before = Deno.cwd();
  await using _hub = await startHub(await hubFiles(), [
    "HuggingFaceTB/SmolLM2-135M-Instruct",
    "Salesforce/wikitext",
    "mit-han-lab/pile-val-backup",
  ]);
  Deno.env.set("QUATTUOR_STORE", `${folder}/store`);
  // What is written goes there; the rest is that of a checkout.
  for (const name of ["configs", "docs"]) await Deno.symlink(join(ROOT, name), `${folder}/${name}`);
  Deno.chdir(folder);
  try {
    for (const document of DOCUMENTS) {
      await test.step(document, async () => {
        for (const line of commandsOf(await Deno.readTextFile(join(ROOT, document)))) {
          const elsewhere = Object.keys(ELSEWHERE).find((start) => line.startsWith(start));
          if (elsewhere === undefined) await works(line);
          else used.add(elsewhere);
        }
      });
    }
    assert.deepEqual([...used].sort(), Object.keys(ELSEWHERE).sort());
  } finally {
    Deno.chdir(before);
    await Deno.remove(folder, { recursive: true });
  }
});

/** The commands in the fenced blocks of a document, without comments. */
function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = ""]) => block);
  return blocks.join("").replaceAll("\\\n", " ").split("\n")
    .map((line) => line.replace(/\s+#.*$/, "").replaceAll(/\s+/g, " ").trim())
    .filter(Boolean);
}

async function works(line: string): Promise<void> {
  const [, words = ""] = /^(?:npx -y deno@2\.9\.6|deno) task (?:-q )?(.+)$/.exec(line) ?? [];
  assert.ok(words, `"${line}" is no task`);
  const [name, ...args] = expand(words.split(" "));
  if (name === "serve") return await serves(args, line);
  const { status, out, errors } = await callProgram(PROGRAM, name!, ...args);
  assert.equal(status, 0, `${line}\n${out}\n${errors}`);
}

/** The words behind `mod.ts` that a task stands for. */
function expand([task = "", ...rest]: readonly string[]): string[] {
  const tasks: Readonly<Record<string, { readonly command: string }>> = settings.tasks;
  const command = tasks[task]?.command ?? "";
  const [, nested] = /^deno task (?:-q )?(.+)$/.exec(command) ?? [];
  if (nested !== undefined) return expand([...nested.split(" "), ...rest]);
  const [, own] = /mod\.ts (.+)$/.exec(command) ?? [];
  assert.ok(own, `there is no task "${task}"`);
  return [...own.split(" "), ...rest];
}

/** Starts a server as a user does, on a port that is free, and stops it when it listens. */
async function serves(args: readonly string[], line: string): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", join(ROOT, "mod.ts"), "serve", ...args, "--port", "0"],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  let told = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    told += text;
    if (/http:\/\/127\.0\.0\.1:\d+/.test(told)) break;
  }
  if (!/http:/.test(told)) assert.fail(`${line}\n${told}\n${await errors}`);
  child.kill("SIGTERM");
  await child.status;
}

/** The embedded model and a text in the place of those that commands name. */
async function hubFiles(): Promise<Record<string, Uint8Array | string>> {
  const files: Record<string, Uint8Array | string> = {};
  const folder = join(ROOT, "configs/embedded");
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) files[name] = await Deno.readFile(join(folder, name));
  }
  // As long as the context of the model that it stands for.
  const config = JSON.parse(await Deno.readTextFile(join(folder, "config.json")));
  files["config.json"] = JSON.stringify({ ...config, max_position_embeddings: 8192 });
  const lines = (split: Split) =>
    stories({ split, bytes: 200_000 }).split(/\n\n+/)
      .map((text) => JSON.stringify({ text })).join("\n");
  files["wikitext-2-raw-v1/test-00000-of-00001.parquet"] = lines("test");
  files["val.jsonl.zst"] = lines("calibration");
  return files;
}
