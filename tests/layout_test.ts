import { strict as assert } from "node:assert";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FORBIDDEN = /(^|\/)(utils?|helpers?|common|base|core|misc|manager|types)(\.|\/|$)/;

/** What a stage's author reads; all rooms of the pipeline stand on it. */
const CONTRACT = [
  "pipeline/stage.ts",
  "pipeline/artifact.ts",
  "pipeline/event.ts",
  "pipeline/description.ts",
  "pipeline/errors.ts",
  "pipeline/words.ts",
];

/** Who may import whom; a room may always import itself. */
const ALLOWED: readonly (readonly [from: string, to: readonly string[]])[] = [
  ["kernels/device/", []],
  ["kernels/", ["kernels/device/"]],
  ["pipeline/store/", [...CONTRACT]],
  ["pipeline/manifest/", [...CONTRACT, "pipeline/store/"]],
  ["pipeline/plan/", [...CONTRACT, "pipeline/manifest/", "pipeline/store/"]],
  ["pipeline/run/", [...CONTRACT, "pipeline/manifest/", "pipeline/plan/", "pipeline/store/"]],
  ["pipeline/tell/", [...CONTRACT, "pipeline/plan/", "pipeline/store/"]],
  ["pipeline/cli/", ["pipeline/"]],
  ["pipeline/", []],
  ["stages/data/", ["stages/formats/"]],
  ["stages/formats/", ["kernels/device/"]],
  ["stages/quant/", ["kernels/"]],
  ["stages/models/", ["kernels/", "stages/formats/", "stages/quant/"]],
  ["stages/channels/", ["kernels/", "stages/formats/", "stages/models/", "stages/quant/"]],
  ["stages/exchange/", [
    "kernels/",
    "stages/channels/",
    "stages/formats/",
    "stages/models/",
    "stages/quant/",
  ]],
  ["stages/calibration/", ["kernels/", "stages/formats/", "stages/models/", "stages/quant/"]],
  ["stages/quantize/", [
    "kernels/",
    "stages/calibration/",
    "stages/formats/",
    "stages/models/",
    "stages/quant/",
  ]],
  ["stages/metrics/", ["kernels/", "stages/models/", "stages/formats/", "stages/report/"]],
  ["stages/report/", ["stages/models/", "pipeline/tell/chart/"]],
  ["stages/engine/", ["kernels/", "stages/formats/", "stages/models/", "stages/quant/"]],
  ["stages/benchmark/", [
    "kernels/",
    "pipeline/tell/chart/",
    "stages/engine/",
    "stages/formats/",
    "stages/models/",
    "stages/quant/",
  ]],
  ["stages/serve/", [
    "stages/engine/",
    "stages/formats/",
    "stages/models/",
    "stages/report/",
  ]],
  ["stages/commands/", [
    ...CONTRACT,
    "pipeline/cli/mod.ts",
    "stages/engine/",
    "stages/exchange/",
    "stages/serve/",
    "stages/tools.ts",
  ]],
  ["stages/describe/", [
    "kernels/",
    "pipeline/description.ts",
    "stages/benchmark/",
    "stages/calibration/",
    "stages/exchange/",
    "stages/formats/",
    "stages/models/",
    "stages/quant/",
    "stages/report/",
  ]],
  ["stages/forecast/", [
    "kernels/",
    "pipeline/stage.ts",
    "stages/benchmark/",
    "stages/calibration/",
    "stages/channels/",
    "stages/data/",
    "stages/engine/",
    "stages/exchange/",
    "stages/formats/",
    "stages/kinds.ts",
    "stages/metrics/",
    "stages/models/",
    "stages/quant/",
    "stages/quantize/",
    "stages/report/",
    "stages/tools.ts",
  ]],
  ["stages/", [
    "kernels/",
    "pipeline/stage.ts",
    "pipeline/description.ts",
    "stages/",
  ]],
];

Deno.test("imports go one way", async () => {
  for (const { path, imports } of await sources()) {
    const rule = ALLOWED.find(([from]) => path.startsWith(from));
    if (!rule) continue;
    const [room, allowed] = rule;
    for (const target of imports) {
      const fine = target.startsWith(room) || allowed.some((prefix) => target.startsWith(prefix));
      assert.ok(fine, `${path} imports ${target}`);
    }
  }
});

Deno.test("stage files do not import each other", async () => {
  const stage = /^stages\/\w+\.ts$/;
  const shared = new Set(["stages/kinds.ts", "stages/tools.ts", "stages/mod.ts"]);
  for (const { path, imports } of await sources()) {
    if (!stage.test(path) || shared.has(path)) continue;
    for (const target of imports) {
      assert.ok(!stage.test(target) || target === "stages/kinds.ts", `${path} imports ${target}`);
    }
  }
});

Deno.test("files say in their names what they are", async () => {
  for (const { path } of await sources()) {
    assert.ok(!FORBIDDEN.test(path), path);
    assert.match(path, /^[a-z0-9_/]+\.(ts|wgsl)$/);
  }
});

Deno.test("every kernel and every stage stands in its registry", async () => {
  const registry = async (room: string) => await Deno.readTextFile(join(ROOT, room, "mod.ts"));
  const [kernels, stages, families] = await Promise.all(
    ["kernels", "stages", "stages/models/families"].map(registry),
  );
  for (const { path, text } of await sources()) {
    const file = path.split("/").at(-1)!;
    if (/^kernels\/\w+\.ts$/.test(path) && text.includes(": Kernel<")) {
      assert.ok(kernels!.includes(`"./${file}"`), path);
    }
    if (/^stages\/\w+\.ts$/.test(path) && text.includes("= defineStage(")) {
      assert.ok(stages!.includes(`"./${file}"`), path);
    }
    if (/^stages\/models\/families\/\w+\.ts$/.test(path) && text.includes(": Family = {")) {
      assert.ok(families!.includes(`"./${file}"`), path);
    }
  }
});

Deno.test("everything exported is documented", async () => {
  const exported = /^export (async )?(function\*?|const|class|interface|type) (\w+)/;
  for (const { path, text } of await sources()) {
    const lines = text.split("\n");
    lines.forEach((line, index) => {
      const name = exported.exec(line)?.[3];
      if (!name) return;
      let above = index - 1;
      while (lines[above]?.startsWith("// deno-lint-ignore")) above--;
      const overload = lines[above]?.startsWith(`export function ${name}`);
      assert.ok(overload || lines[above]?.endsWith("*/"), `${path}: ${name} has no doc comment`);
    });
  }
});

/** Documents of other programs that we cite by name. */
const FOREIGN = /(docs\/)?gguf\.md of ggml/g;

Deno.test("every document that a comment or a text names is there, and so is the section", async () => {
  const all = await texts();
  const documents = new Map(
    all.filter(({ path }) => path.endsWith(".md")).map(({ path, text }) => [path, text]),
  );
  // What stages write beside their results is no document of ours.
  const written = new Set(
    all.flatMap(({ path, text }) =>
      path.startsWith("stages/")
        ? [...text.matchAll(/write\("(\w+\.md)"/g)].map(([, name]) => name)
        : []
    ),
  );
  for (const { path, text } of all) {
    const clean = text.replaceAll(FOREIGN, "");
    for (const match of clean.matchAll(/([\w.\/-]+\.md)\b(?:#([\w-]+))?/g)) {
      const [words, name = "", section] = match;
      // A string that is nothing but a name is a file that code reads or writes.
      const end = match.index + words.length;
      if (/["`}]/.test(clean[match.index - 1] ?? "") && /["`]/.test(clean[end] ?? "")) continue;
      if (written.has(name)) continue;
      const found = documents.get(name) ?? documents.get(join(dirname(path), name));
      assert.ok(found !== undefined, `${path} names ${name}, which is not there`);
      if (section === undefined) continue;
      const titles = [...found.matchAll(/^#+ (.+)$/gm)].map(([, title]) => anchorOf(title!));
      assert.ok(titles.includes(section), `${path} names ${name}#${section}, which is not there`);
    }
  }
});

/** What GitHub makes of a heading. */
function anchorOf(title: string): string {
  return title.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-");
}

/** Everything people read: sources, tests, configs and documents. */
async function texts() {
  const found: { path: string; text: string }[] = [];
  const visit = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(join(ROOT, folder))) {
      const path = join(folder, name);
      if (isDirectory && name !== "testdata") await visit(path);
      else if (/\.(ts|wgsl|py|mjs|js|yaml|md)$/.test(name)) {
        found.push({ path, text: await Deno.readTextFile(join(ROOT, path)) });
      }
    }
  };
  for (const folder of ["kernels", "pipeline", "stages", "tests", "configs", ".github"]) {
    await visit(folder);
  }
  for (const path of ["README.md", "BENCHMARKS.md", "mod.ts"]) {
    found.push({ path, text: await Deno.readTextFile(join(ROOT, path)) });
  }
  return found;
}

async function sources() {
  const found: { path: string; text: string; imports: string[] }[] = [];
  for (const folder of ["kernels", "pipeline", "stages"]) await walk(join(ROOT, folder), found);
  return found;
}

async function walk(
  folder: string,
  found: { path: string; text: string; imports: string[] }[],
): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const full = join(folder, name);
    if (isDirectory) {
      await walk(full, found);
    } else if (/\.(ts|wgsl)$/.test(name)) {
      const text = await Deno.readTextFile(full);
      const imports = [...text.matchAll(/from "(\.[^"]+\.ts)"/g)]
        .map(([, target]) => relative(ROOT, join(dirname(full), target!)));
      found.push({ path: relative(ROOT, full), text, imports });
    }
  }
}
