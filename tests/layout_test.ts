import { strict as assert } from "node:assert";
import { basename, dirname, join } from "node:path";
import {
  ASSEMBLY,
  circlesOf,
  importedNames,
  ROOT,
  sources,
  type SourceText,
} from "./support/source_files.ts";

const FORBIDDEN = /(^|\/)(utils?|helpers?|common|base|core|misc|manager|types)(\.|\/|$)/;

/** What a stage's author reads; all rooms of the pipeline stand on it. */
const CONTRACT = [
  "pipeline/stage.ts",
  "pipeline/artifact.ts",
  "pipeline/event.ts",
  "pipeline/description.ts",
  "pipeline/errors.ts",
  "pipeline/secrets.ts",
  "pipeline/words.ts",
];

/** What stages may import, and their work. */
const STAGES = [
  "kernels/",
  "pipeline/stage.ts",
  "pipeline/description.ts",
  "pipeline/words.ts",
  // The one door to Markdown, HTML and plots.
  "pipeline/tell/document.ts",
  "stages/",
];

/** Who may import whom; a room may always import itself, a star stands for files directly in one. */
const ALLOWED: readonly (readonly [from: string, to: readonly string[]])[] = [
  ["kernels/device/", []],
  ["kernels/", ["kernels/device/"]],
  ["pipeline/store/", [...CONTRACT]],
  ["pipeline/manifest/", [...CONTRACT, "pipeline/store/"]],
  ["pipeline/plan/", [...CONTRACT, "pipeline/manifest/", "pipeline/store/"]],
  ["pipeline/run/", [...CONTRACT, "pipeline/manifest/", "pipeline/plan/", "pipeline/store/"]],
  ["pipeline/tell/", [...CONTRACT, "pipeline/plan/", "pipeline/store/"]],
  ["pipeline/cli/", ["pipeline/"]],
  ["pipeline/*", CONTRACT],
  ["stages/data/", ["pipeline/words.ts", "stages/formats/"]],
  ["stages/formats/", ["kernels/device/", "stages/tokenizer/limits.ts"]],
  ["stages/quant/", ["kernels/"]],
  ["stages/jinja/", []],
  ["stages/tokenizer/", []],
  ["stages/models/", ["kernels/", "stages/formats/", "stages/quant/", "stages/tokenizer/"]],
  ["stages/channels/", [
    "kernels/",
    "pipeline/artifact.ts",
    "pipeline/stage.ts",
    "pipeline/words.ts",
    "stages/calibration/",
    "stages/formats/",
    "stages/kinds.ts",
    "stages/models/",
    "stages/quant/",
  ]],
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
  ["stages/rotation/", [
    "kernels/",
    "stages/calibration/",
    "stages/formats/",
    "stages/models/",
    "stages/quant/",
  ]],
  ["stages/metrics/", [
    "kernels/",
    "pipeline/words.ts",
    "stages/formats/",
    "stages/models/",
    "stages/report/",
  ]],
  ["stages/report/", ["stages/models/", "stages/quant/"]],
  ["stages/engine/", [
    "kernels/",
    "pipeline/errors.ts",
    "pipeline/words.ts",
    "stages/formats/",
    "stages/models/",
    "stages/quant/",
  ]],
  ["stages/benchmark/", [
    "kernels/",
    "stages/engine/",
    "stages/formats/",
    "stages/models/",
    "stages/quant/",
  ]],
  ["stages/script/", ["stages/formats/"]],
  ["stages/serve/", [
    "stages/engine/",
    "stages/formats/",
    "stages/jinja/",
    "stages/models/",
    "stages/report/",
    "stages/tokenizer/",
  ]],
  ["stages/tasks/", [
    "kernels/",
    "stages/data/",
    "stages/engine/",
    "stages/formats/",
    "stages/jinja/",
    "stages/models/",
    "stages/report/",
    "stages/serve/",
  ]],
  ["stages/commands/", [
    ...CONTRACT,
    "pipeline/cli/mod.ts",
    // What `advise` says, by forecasts of stages.
    "stages/advice.ts",
    "stages/models/checkpoint_place.ts",
    "stages/models/open_checkpoint.ts",
    "stages/engine/",
    "stages/exchange/",
    "stages/formats/",
    "stages/report/",
    "stages/serve/",
    "stages/tools.ts",
  ]],
  ["stages/describe/", [
    "kernels/",
    "pipeline/description.ts",
    "pipeline/words.ts",
    "stages/benchmark/",
    "stages/calibration/",
    "stages/channels/",
    "stages/exchange/",
    "stages/formats/",
    "stages/jinja/",
    "stages/models/",
    "stages/quant/",
    "stages/report/",
  ]],
  ["stages/work/", STAGES],
  ["stages/*", STAGES],
];

/** Names that stand for two things, and why they do. */
const TWICE: Readonly<Record<string, string>> = {
  explain: "a command is called as its word, and so is what it calls",
  plan: "a command is called as its word, and so is what it calls",
  run: "a command is called as its word, and so is what it calls",
  serve: "a command is called as its word, and a stage as manifests call it",
};

Deno.test("imports go one way", async () => {
  for (const { path, imports } of await sources()) {
    const rule = ALLOWED.find(([room]) => liesIn(path, room));
    assert.ok(rule, `${path} lies in a room without a rule`);
    const [room, allowed] = rule;
    for (const target of imports) {
      const fine = [room, ...allowed].some((room) => liesIn(target, room));
      assert.ok(fine, `${path} imports ${target}`);
    }
  }
});

function liesIn(path: string, room: string): boolean {
  return room.endsWith("*") ? dirname(path) === dirname(room) : path.startsWith(room);
}

Deno.test("there is no circle of imports, types included", async () => {
  const imports = new Map((await sources()).map((file) => [file.path, importsOf(file)]));
  assert.deepEqual(circlesOf(imports), []);
});

Deno.test("no two rooms import each other, at once or by way of others", async () => {
  const rooms = new Map<string, Set<string>>();
  for (const file of await sources()) {
    const room = roomOf(file.path);
    const others = importsOf(file).map(roomOf).filter((other) => other !== room);
    rooms.set(room, new Set([...rooms.get(room) ?? [], ...others]));
  }
  assert.deepEqual(circlesOf(rooms), []);
});

/**
 * What a file imports, but for what the work of a stage takes of its declaration: the type that says what
 * it is called with. The declaration imports the work, when it is asked for it.
 */
function importsOf({ path, text, imports }: SourceText): readonly string[] {
  const name = /^stages\/work\/(\w+\.ts)$/.exec(path)?.[1];
  if (name === undefined) return imports;
  const own = `stages/${name}`;
  const type = new RegExp(`^import type \\{ \\w+Declaration \\} from "\\.\\./${name}";$`, "m");
  const taken = imports.filter((target) => target === own).length;
  assert.ok(taken === 1 && type.test(text), `${path} takes of ${own} more than one type`);
  return imports.filter((target) => target !== own);
}

/** The room a file lies in; one that lies in none is a room of its own. */
function roomOf(path: string): string {
  const [house, room, ...rest] = path.split("/");
  return rest.length === 0 ? path : `${house}/${room}`;
}

Deno.test("only pipeline/tell writes HTML, SVG and Markdown", async () => {
  const element =
    /<\/?(!doctype|html|head|body|style|title|div|span|p|h\d|[uo]l|li|dl|table|t[rhd]|figure|img|svg|path|text)[\s>/]/;
  const entity = /&(amp|lt|gt|quot|#\d+);/;
  const markdown = /\| ?:?-{3}|(^|[`"'])#{2,6} |["'`]:?-{3}:?["'`]/m;
  const others = [
    "pipeline/tell/",
    // The one escape, which S3's XML needs too.
    "pipeline/words.ts",
    // A page of its own, and what serves it.
    "stages/serve/page/",
    // A model card, whose front matter and commands no description has.
    "stages/exchange/readme.ts",
  ];
  let found = 0;
  for (const { path, text } of await sources()) {
    if (!path.endsWith(".ts")) continue;
    const code = text.replaceAll(/^\s*(\/\*\*|\*|\/\/).*$/gm, "");
    const match = [element, entity, markdown].map((mark) => mark.exec(code)?.[0]).find(Boolean);
    if (others.some((prefix) => path.startsWith(prefix))) found += match === undefined ? 0 : 1;
    else assert.equal(match, undefined, `${path} has ${match}`);
  }
  assert.ok(found > 10, "what the house of telling has is not found");
});

Deno.test("stage files do not import each other, and their work no other stage", async () => {
  const stage = /^stages\/(?:work\/)?\w+\.ts$/;
  const shared = new Set([
    "stages/advice.ts",
    "stages/bounds.ts",
    "stages/duration.ts",
    "stages/facts.ts",
    "stages/kinds.ts",
    "stages/mod.ts",
    "stages/sizes.ts",
    "stages/tools.ts",
  ]);
  for (const { path, imports } of await sources()) {
    if (!stage.test(path) || shared.has(path)) continue;
    for (const target of imports) {
      const own = basename(target) === basename(path);
      assert.ok(!stage.test(target) || shared.has(target) || own, `${path} imports ${target}`);
    }
  }
});

Deno.test("a stage's forecast is short, for it runs what the stage runs", async () => {
  const registry = await Deno.readTextFile(join(ROOT, "stages/mod.ts"));
  const files = [...registry.matchAll(/"\.\/(\w+\.ts)"/g)].map(([, file = ""]) => file);
  assert.ok(files.length > 10);
  for (const file of files) {
    const read = (path: string) => Deno.readTextFile(join(ROOT, "stages", path));
    const text = await read(`work/${file}`).catch(() => read(file));
    const forecast = /^ {2}(async )?forecast\([^]*?^ {2}\},$/m.exec(text)?.[0];
    assert.ok(forecast !== undefined, `the stage of ${file} has no forecast`);
    const lines = forecast.split("\n").length;
    assert.ok(lines <= 25, `the forecast of ${file} has ${lines} lines`);
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
    if (/^stages\/\w+\.ts$/.test(path) && /= (defineStage|declareStage)\(/.test(text)) {
      assert.ok(stages!.includes(`"./${file}"`), path);
    }
    if (/^stages\/models\/families\/\w+\.ts$/.test(path) && text.includes(": Family = {")) {
      assert.ok(families!.includes(`"./${file}"`), path);
    }
  }
});

Deno.test("assembly imports its like and the protocol alone, and its kernels stand in its index", async () => {
  const index = await Deno.readTextFile(join(ROOT, ASSEMBLY, "index.ts"));
  const stands = new Set([...index.matchAll(/from "\.\/(\w+)"/g)].map(([, name]) => `${name}.ts`));
  for (const folder of ["", "parts"]) {
    for await (const { name, isFile } of Deno.readDir(join(ROOT, ASSEMBLY, folder))) {
      if (!isFile || !name.endsWith(".ts")) continue;
      const path = join(ASSEMBLY, folder, name);
      const text = await Deno.readTextFile(join(ROOT, path));
      for (const [, target = ""] of text.matchAll(/from "([^"]+)"/g)) {
        const place = join(dirname(path), target);
        const fine = place.startsWith(`${ASSEMBLY}/`) || place === "kernels/device/cpu/protocol";
        assert.ok(fine, `${path} imports ${target}`);
      }
      if (folder === "" && name !== "index.ts") {
        assert.ok(stands.delete(name), `${path} is not exported`);
      }
    }
  }
  assert.deepEqual([...stands], []);
});

/** Who may name what a layer holds beside families, and why. */
const NAMING: readonly (readonly [path: string, why: string])[] = [
  ["stages/models/families/", "families say what a model is"],
  ["stages/models/usual_names.ts", "models that no family knows"],
  ["stages/formats/gguf/", "names of llama.cpp beside those of transformers"],
  ["stages/exchange/gptq/config.ts", "names that vLLM gives joined linears"],
  ["stages/exchange/deepcompressor/scales.ts", "an example in an error"],
];

Deno.test("families alone name tensors; whoever runs a model asks its architecture", async () => {
  const names = /model\.layers\.|self_attn|_layernorm|embed_tokens|lm_head\.weight/;
  const families = /models\/families\/(?!mod)/;
  for (const { path, text, imports } of await sources()) {
    const code = text.replaceAll(/\/\*\*[^]*?\*\//g, "");
    const named = NAMING.some(([place]) => path.startsWith(place));
    assert.ok(named || !names.test(code), `${path} names ${names.exec(code)?.[0]}`);
    if (path.startsWith("stages/models/")) continue;
    assert.ok(!imports.some((target) => families.test(target)), `${path} imports a family`);
  }
});

Deno.test("what the house says once is asked where it stands", async () => {
  const facts: readonly (readonly [asked: RegExp, room: string])[] = [
    [/\blevels [=!]== 2\b/, "stages/quant/schemes.ts"],
    [/\bbits <= 4 \? 8 : 4\b/, "kernels/codes/"],
    [/\bfindFamily\(/, "stages/models/"],
  ];
  for (const [asked, room] of facts) {
    const found = (await sources()).filter(({ text }) => asked.test(text)).map(({ path }) => path);
    assert.ok(found.length > 0, `nothing asks ${asked}`);
    for (const path of found) assert.ok(path.startsWith(room), `${path} asks ${asked} itself`);
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

Deno.test("exported names are unique", async () => {
  const exported =
    /^export (?:declare )?(?:async )?(?:abstract )?(?:function\*?|const|let|class|interface|type|enum) (\w+)/gm;
  const places = new Map<string, Set<string>>();
  for (const { path, text } of await sources()) {
    for (const [, name = ""] of text.matchAll(exported)) {
      places.set(name, new Set([...places.get(name) ?? [], path]));
    }
  }
  for (const [name, paths] of places) {
    if (paths.size === 1 || name in TWICE) continue;
    assert.fail(`${name} stands for two things: ${[...paths].join(", ")}`);
  }
  for (const [name, reason] of Object.entries(TWICE)) {
    assert.ok(
      (places.get(name)?.size ?? 0) > 1,
      `${name} is unique, it needs no reason: ${reason}`,
    );
  }
});

/** What only tests import though nothing of the program uses it, and why it stands there. */
const TESTED: Readonly<Record<string, string>> = {
  defineStage: "it types a stage of one file, with its work, as anybody may add one",
  bytesOfPlan: "it is how plans are compared, which the program does only while it times them",
  ReferenceDevice: "it runs the references of all kernels, which the program need not",
  keepThreads: "it has threads of its module wait, for processes that open hundreds of engines",
  V8_FLAGS: "tasks have them by the command line, which tests hold against it",
};

Deno.test("everything exported is imported by somebody; a type may stand in a signature alone", async () => {
  const files = await sources();
  const all = (await texts()).filter(({ path }) => path.endsWith(".ts"));
  const users = new Map<string, string[]>();
  for (const file of all) {
    for (const { from, name } of importedNames(file)) {
      const key = `${from} ${name}`;
      users.set(key, [...users.get(key) ?? [], file.path]);
    }
  }
  const exported =
    /^export (?:async )?(?:abstract )?(function\*?|const|class|interface|type) (\w+)/gm;
  const tested: string[] = [];
  for (const { path, text } of files) {
    for (const [, kind, name = ""] of text.matchAll(exported)) {
      const found = [`${path} ${name}`, `${path} *`].flatMap((key) => users.get(key) ?? []);
      const uses = text.match(new RegExp(`\\b${name}\\b`, "g"))?.length ?? 0;
      const type = kind === "interface" || kind === "type";
      assert.ok(found.length > 0 || (type && uses > 1), `${path} exports ${name} to nobody`);
      if (type || uses > 1 || found.some((user) => !user.startsWith("tests/"))) continue;
      tested.push(name);
      assert.ok(name in TESTED, `${path}: nothing but tests uses ${name}; move it there`);
    }
  }
  assert.deepEqual(Object.keys(TESTED).sort(), tested.sort());
});

Deno.test("the map in `.github/ARCHITECTURE.md` names every folder of the program once", async () => {
  const document = await Deno.readTextFile(join(ROOT, ".github/ARCHITECTURE.md"));
  const [, map = ""] = /^## Map$[^]*?^```$([^]*?)^```$/m.exec(document) ?? [];
  const there = await Promise.all(["kernels", "pipeline", "stages"].map(foldersBelow));
  assert.deepEqual(foldersOf(map).sort(), there.flat().sort());
});

async function foldersBelow(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(join(ROOT, folder)));
  const below = entries.filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => foldersBelow(`${folder}/${name}`));
  return [folder, ...(await Promise.all(below)).flat()];
}

/** The folders of a map: those that begin its lines, each below the last one that is less indented. */
function foldersOf(map: string): string[] {
  const trail: string[] = [];
  return map.split("\n").flatMap((line) => {
    const [, indent = "", names] = /^( *)((?:\w+\/ )*\w+\/)(?: |$)/.exec(line) ?? [];
    if (names === undefined) return [];
    const depth = indent.length / 2;
    const above = trail.slice(0, depth).join("");
    return names.split(" ").map((name) => {
      trail.splice(depth, Infinity, name);
      return `${above}${name}`.slice(0, -1);
    });
  });
}

/** Documents of other programs that we cite by name. */
const FOREIGN = /(docs\/)?gguf\.md of ggml/g;

Deno.test("docs/recipes.md has every recipe, with the paper that it names first", async () => {
  const text = await Deno.readTextFile(join(ROOT, "docs/recipes.md"));
  const rows = text.split("\n").filter((line) => line.startsWith("| `"));
  let papers = 0;
  for (const { name } of Deno.readDirSync(join(ROOT, "configs"))) {
    if (!name.endsWith(".yaml")) continue;
    const short = name.replace(/^.*(-[a-z]+\.yaml)$/, "$1");
    const row = rows.find((row) =>
      row.includes(`\`${name}\``) || row.split("|")[1]!.includes(`, \`${short}\``)
    );
    assert.ok(row, `${name} has no row`);
    const [, number] = /^#.*?arXiv (\d{4}\.\d{5})/m.exec(
      await Deno.readTextFile(join(ROOT, "configs", name)),
    ) ?? [];
    if (number === undefined) continue;
    papers++;
    assert.ok(row.includes(number), `${name} is of arXiv ${number}: ${row}`);
  }
  assert.ok(papers >= 9, `${papers} recipes of papers`);
});

Deno.test("what lies beside a module by its text is there", async () => {
  const named = (await sources()).flatMap(({ path, text }) =>
    [...text.matchAll(/new URL\(\s*"(\.[^"]*)",\s*import\.meta\.url/g)]
      .map(([, place]) => join(dirname(path), place!))
  );
  assert.ok(named.length >= 5, `${named.length} are named`);
  const missing: string[] = [];
  for (const place of named) {
    await Deno.stat(join(ROOT, place)).catch(() => missing.push(place));
  }
  assert.deepEqual(missing, []);
});

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
  for (const folder of ["kernels", "pipeline", "stages", "tests", "configs", "docs", ".github"]) {
    await visit(folder);
  }
  for (const path of ["README.md", "BENCHMARKS.md", "mod.ts"]) {
    found.push({ path, text: await Deno.readTextFile(join(ROOT, path)) });
  }
  return found;
}
