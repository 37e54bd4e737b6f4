import { dirname, isAbsolute, join, relative } from "node:path";
import { UsageError } from "../command_line.ts";
import { tellingErrors } from "../told_error.ts";
import { mergeTrees } from "../../manifest/merge.ts";
import { formatProblem, ManifestError, type Place, type Problem } from "../../manifest/problem.ts";
import { readFile } from "../../manifest/sources.ts";
import { parseYaml, type YamlNode } from "../../manifest/yaml_tree.ts";
import { replaceFile } from "../../store/durable.ts";
import { defineCommand } from "./command.ts";

const YAML = /\.ya?ml$/i;
const TOML = /\.toml$/i;

/** The file of a directory that lies under the recipes in it and below. */
const DEFAULTS = ["__default__.yaml", "__default__.yml", "__default__.toml"];

/** Turns a DeepCompressor recipe into a manifest. */
export const importConfig = defineCommand({
  about: "Turn a DeepCompressor recipe into a manifest",
  words: [[
    "<recipe...>",
    "YAML files, the last one on top, or a text file that lists some; __default__.yaml above comes first",
  ]],
  options: (command) =>
    void command
      .option("--out <file>", "write it to a file")
      .option("--model <name>", "take the exponents tuned for a model, such as llama-2-7b"),
  run: (call) =>
    tellingErrors(call, async () => {
      const { program, screen, flags, words, own: { out, model } } = call;
      if (!program.importConfig) {
        throw new UsageError("Cannot import a recipe: this program has no stages for it");
      }
      const problems: Problem[] = [];
      const report = (place: Place, message: string) => problems.push({ ...place, message });
      const files = sourcesOf(words, report);
      const trees = files.flatMap((source) => treeOf(source, report) ?? []);
      if (problems.length > 0) throw new ManifestError(problems);
      const tree = trees.length > 0 ? trees.reduce(mergeTrees) : undefined;
      const made = program.importConfig(tree, {
        files,
        ...typeof model === "string" && { model },
      });
      if (made.problems.length > 0) throw new ManifestError([...made.problems, ...made.warnings]);
      if (!flags.json) {
        for (const each of made.warnings) screen.error(`${formatProblem(each)}\n`);
      }
      if (typeof out === "string") await replaceFile(out, made.text);
      if (flags.json) {
        const { text, warnings } = made;
        const told = typeof out === "string" ? { path: out } : { text };
        screen.write(`${JSON.stringify({ type: "import-config", ...told, files, warnings })}\n`);
      } else if (typeof out !== "string") screen.write(made.text);
      return 0;
    }),
});

/** All files of a recipe, those underneath first, each once. */
function sourcesOf(
  words: readonly string[],
  report: (place: Place, message: string) => void,
): readonly string[] {
  const listed = words.filter((path) => !YAML.test(path) && !TOML.test(path)).flatMap((path) => {
    const text = textOf(path, report);
    const lines = text?.split("\n").map((line) => line.trim()) ?? [];
    return lines.filter((line) => line !== "");
  });
  const named = [...listed, ...words.filter((path) => YAML.test(path) || TOML.test(path))];
  return [...new Set([...named.flatMap(defaultsOf), ...named])];
}

/**
 * The default files above a recipe, the outermost first: in each directory from the current one
 * downwards, without itself; for a recipe elsewhere, in every directory above it.
 */
function defaultsOf(path: string): readonly string[] {
  const near = relative(Deno.cwd(), path);
  const below = !near.startsWith("../..") && !isAbsolute(near);
  const folders: string[] = [];
  for (let folder = dirname(below ? near : path);; folder = dirname(folder)) {
    if (folder !== "." || folders.length === 0) folders.unshift(folder);
    if (dirname(folder) === folder) break;
  }
  return folders.flatMap((folder) =>
    DEFAULTS.map((name) => join(folder, name)).filter(isFile).slice(0, 1)
  );
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function treeOf(
  source: string,
  report: (place: Place, message: string) => void,
): YamlNode | undefined {
  if (TOML.test(source)) {
    report({ source }, "Cannot read the recipe: it is TOML, expected YAML; convert it first");
    return undefined;
  }
  const text = textOf(source, report);
  return text === undefined ? undefined : parseYaml(text, { source, report });
}

function textOf(
  source: string,
  report: (place: Place, message: string) => void,
): string | undefined {
  try {
    return readFile(source);
  } catch (error) {
    report({ source }, `Cannot read the recipe: ${(error as Error).message}`);
    return undefined;
  }
}
