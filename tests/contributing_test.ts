import { strict as assert } from "node:assert";
import { join } from "node:path";
import * as families from "../stages/models/families/mod.ts";
import { ROOT } from "./support/source_files.ts";
import { TreeCopy } from "./support/tree_copy.ts";

const STAGE = `import { z } from "zod";
import { defineStage } from "./kinds.ts";

/** Says how much would be left. */
export const prune = defineStage({
  about: "Says how much would be left.",
  version: 1,
  params: z.strictObject({ share: z.number().default(0.5).describe("What is left.") }),
  inputs: {},
  output: "report",
  example: {},
  async run(job, _, { share }) {
    await Deno.writeTextFile(\`\${job.out}/report.json\`, JSON.stringify({ share }));
    return { scores: { share } };
  },
});
`;

const DECLARATION = `import { z } from "zod";
import { declareStage, withWork } from "./kinds.ts";

const declaration = declareStage({
  about: "Says how much would be thinner.",
  version: 1,
  params: z.strictObject({ share: z.number().default(0.5).describe("What is thinner.") }),
  inputs: {},
  output: "report",
  example: {},
});

/** What \`thin\` declares, for its work. */
export type ThinDeclaration = typeof declaration;

/** Says how much would be thinner. */
export const thin = withWork(
  declaration,
  async () => (await import("./work/thin.ts")).thinWork,
);
`;

const WORK = `import type { WorkOf } from "../kinds.ts";
import type { ThinDeclaration } from "../thin.ts";

/** See \`thin\`. */
export const thinWork: WorkOf<ThinDeclaration> = {
  forecast(_inputs, { share }) {
    const facts = { layers: 0, kvLayers: 0, tasks: [] };
    return { deviceBytes: 0, hostBytes: share, diskBytes: 100, facts };
  },
  async run(job, _, { share }) {
    await Deno.writeTextFile(\`\${job.out}/report.json\`, JSON.stringify({ share }));
    return { scores: { share } };
  },
};
`;

const COMMAND = (door: string) =>
  `import { defineCommand } from "${door}";

/** Says what it was asked for. */
export const NAME = defineCommand({
  words: [["<what>", "anything"]],
  run({ screen, words }) {
    screen.write(\`asked for \${words[0]}\\n\`);
    return 0;
  },
});
`;

const REMOTE = `import type { Remote } from "../remote.ts";

/** A place that lists keys and keeps nothing. */
export function openList(place: string): Remote {
  return {
    name: place,
    has: () => Promise.resolve(false),
    record: () => Promise.resolve(undefined),
    fetch: () => Promise.resolve(false),
    push: (key) => Deno.writeTextFile(new URL(place).pathname, key),
  };
}
`;

Deno.test("what is added by one file and one line works", async (test) => {
  await using copy = await TreeCopy.make();
  await copy.add("stages/prune.ts", STAGE);
  await copy.addLine("stages/mod.ts", 'export { prune } from "./prune.ts";', "export {");
  await copy.add("stages/thin.ts", DECLARATION);
  await copy.add("stages/work/thin.ts", WORK);
  await copy.addLine("stages/mod.ts", 'export { thin } from "./thin.ts";', "export {");
  for (
    const [name, folder, door] of [
      ["ask", "pipeline/cli/commands", "../command.ts"],
      ["answer", "stages/commands", "../../pipeline/cli/mod.ts"],
    ] as const
  ) {
    await copy.add(`${folder}/${name}.ts`, COMMAND(door).replace("NAME", name));
    const load = `async () => (await import("./${name}.ts")).${name}`;
    await copy.addLine(
      `${folder}/mod.ts`,
      `  ${name}: { about: "Say what was asked for", load: ${load} },`,
      "export const",
    );
  }
  await copy.add("pipeline/store/remote/list.ts", REMOTE);
  await copy.addLine(
    "pipeline/store/remote/open_remote.ts",
    '  "list:": async (place) => (await import("./list.ts")).openList(place),',
    '"s3:"',
  );
  await copy.add("prune.yaml", "steps: { pruned: { stage: prune, with: { share: 0.25 } } }\n");
  await copy.add("thin.yaml", "steps: { thinned: { stage: thin, with: { share: 0.75 } } }\n");

  await test.step("a stage: it is listed, in the schema, planned and run", async () => {
    const listed = (await copy.run("stages", "--json")).trim().split("\n")
      .map((line) => JSON.parse(line));
    const { about, output, params } = listed.find(({ name }) => name === "prune");
    assert.deepEqual([about, output], ["Says how much would be left.", "report"]);
    assert.equal(params.properties.share.default, 0.5);
    assert.match(await copy.run("schema"), /"prune"/);
    assert.match(await copy.run("plan", "prune.yaml"), /^pruned +prune +run /m);
    assert.match(await copy.run("run", "prune.yaml"), /share 0\.25/);
  });

  await test.step("a stage whose work is in a file of its own", async () => {
    assert.match(await copy.run("schema"), /"thin"/);
    assert.match(await copy.run("plan", "thin.yaml"), /^thinned +thin +run /m);
    assert.match(await copy.run("run", "thin.yaml"), /share 0\.75/);
  });

  await test.step("a command, of the pipeline or handed in: `--help` lists it, and it runs", async () => {
    const help = await copy.run("--help");
    for (const name of ["ask", "answer"]) {
      assert.match(help, new RegExp(`^ {2}${name} +Say what was asked for$`, "m"));
      assert.equal(await copy.run(name, "this"), "asked for this\n");
    }
  });

  await test.step("a remote store: runs share their artifacts there", async () => {
    await copy.run("run", "prune.yaml", "--store", "other", "--remote", `list://${copy.path}/keys`);
    assert.match(await Deno.readTextFile(`${copy.path}/keys`), /^[0-9a-f]{64}$/);
  });
});

Deno.test("every model family has a case from transformers", async () => {
  const folder = join(ROOT, "tests/testdata/families");
  const cases = await Promise.all(
    (await Array.fromAsync(Deno.readDir(folder))).map(async ({ name }) =>
      JSON.parse(await Deno.readTextFile(`${folder}/${name}/config.json`)).architectures[0]
    ),
  );
  for (const { architectures } of Object.values(families)) {
    assert.ok(architectures.some((name) => cases.includes(name)), architectures.join(", "));
  }
});

Deno.test("the tests that documents name are there", async () => {
  for (const name of ["ARCHITECTURE.md", "CONTRIBUTING.md"]) {
    const text = await Deno.readTextFile(join(ROOT, ".github", name));
    for (const [, path = ""] of text.matchAll(/`(tests\/[\w/.]+)`/g)) {
      assert.ok(await Deno.stat(join(ROOT, path)).then(() => true, () => false), path);
    }
  }
});
