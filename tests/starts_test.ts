import { strict as assert } from "node:assert";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ROOT } from "./support/source_files.ts";

/** What a run or a plan reads that finds every artifact made: see `mod.ts`. */
const CACHED = [
  "mod.ts",
  "pipeline/cli/commands/plan.ts",
  "pipeline/cli/commands/run.ts",
  "stages/mod.ts",
  // What the model that is loaded consists of, and what the run ends with.
  "stages/formats/safetensors/directory_sources.ts",
  "stages/describe/describe.ts",
  "stages/describe/report.ts",
];

/** Rooms of which nothing is needed before a stage works. */
const WORK =
  /^(kernels\/(?!codes\/)|stages\/(calibration|data\/stories|engine|formats\/(gguf|torch|tokenizers\/read)|jinja|metrics|models\/(families|model|architecture)|tokenizer|work)\b|stages\/exchange\/\w+\/format\.ts)/;

interface Dependency {
  readonly specifier: string;
  readonly code?: { readonly specifier?: string };
  readonly isDynamic?: boolean;
}

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly Dependency[];
}

Deno.test("a start that finds all made reads what stages declare, and nothing of their work", async () => {
  const graph = await graphOf("mod.ts");
  const { files, packages } = readAtOnce(graph, CACHED);
  assert.deepEqual(files.filter((path) => WORK.test(path)), []);
  assert.deepEqual(files.filter((path) => path.endsWith(".wgsl")), []);
  assert.deepEqual(packages, ["commander", "yaml", "zod"]);
});

Deno.test("the registry of stages reads a file a stage and a few of parameters", async () => {
  const graph = await graphOf("mod.ts");
  const { files } = readAtOnce(graph, ["stages/mod.ts"]);
  const stages = files.filter((path) => /^stages\/\w+\.ts$/.test(path));
  assert.ok(files.length <= 3 * stages.length + 10, `it reads ${files.length} files`);
  const whole = readAtOnce(graph, stages, { dynamic: true }).files;
  assert.ok(whole.length > 5 * files.length, "the work is found behind them");
  assert.ok(whole.some((path) => WORK.test(path)), "the rooms of the work are called so");
});

/** The modules of a file, those that are read on demand too, by their specifiers. */
async function graphOf(path: string): Promise<ReadonlyMap<string, Module>> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", path],
    cwd: ROOT,
  }).output();
  const { modules }: { readonly modules: readonly Module[] } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  return new Map(modules.map((module) => [module.specifier, module]));
}

/** What is read as soon as some files are: ours by paths, and packages by names. */
function readAtOnce(
  graph: ReadonlyMap<string, Module>,
  roots: readonly string[],
  { dynamic = false } = {},
) {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (specifier: string) => {
    const path = relative(ROOT, fileURLToPath(specifier));
    if (files.has(path)) return;
    files.add(path);
    for (
      const { specifier: named, code, isDynamic = false } of graph.get(specifier)!.dependencies ??
        []
    ) {
      if (!code?.specifier || (isDynamic && !dynamic)) continue;
      if (code.specifier.startsWith("file:")) visit(code.specifier);
      else if (!code.specifier.startsWith("node:")) packages.add(named);
    }
  };
  for (const root of roots) visit(pathToFileURL(join(ROOT, root)).href);
  return { files: [...files].sort(), packages: [...packages].sort() };
}
