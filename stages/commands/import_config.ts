import {
  defineCommand,
  formatProblem,
  ManifestError,
  mergeTrees,
  parseYaml,
  type Place,
  type Problem,
  readFile,
  replaceFile,
  tellingErrors,
  type YamlNode,
} from "../../pipeline/cli/mod.ts";
import { followRecipe } from "../exchange/deepcompressor/recipe/follow_recipe.ts";
import { recipeFiles, TOML } from "../exchange/deepcompressor/recipe/recipe_files.ts";

type Report = (place: Place, message: string) => void;

/** Turns a DeepCompressor recipe into a manifest. */
export const importConfig = defineCommand({
  words: [[
    "<recipe...>",
    "YAML files, the last one on top, or a text file that lists some; __default__.yaml above comes first",
  ]],
  options: (command) =>
    void command
      .option("--out <file>", "write it to a file")
      .option("--model <name>", "take the exponents tuned for a model, such as llama-2-7b"),
  run: tellingErrors(async ({ screen, flags, words, own: { out, model } }) => {
    const problems: Problem[] = [];
    const report: Report = (place, message) => problems.push({ ...place, message });
    const files = recipeFiles(words, (path) => textOf(path, report));
    const trees = files.flatMap((source) => treeOf(source, report) ?? []);
    if (problems.length > 0) throw new ManifestError(problems);
    const tree = trees.length > 0 ? trees.reduce(mergeTrees) : undefined;
    const made = followRecipe(tree, {
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

function treeOf(source: string, report: Report): YamlNode | undefined {
  if (TOML.test(source)) {
    report({ source }, "Cannot read the recipe: it is TOML, expected YAML; convert it first");
    return undefined;
  }
  const text = textOf(source, report);
  return text === undefined ? undefined : parseYaml(text, { source, report });
}

function textOf(source: string, report: Report): string | undefined {
  try {
    return readFile(source);
  } catch (error) {
    report({ source }, `Cannot read the recipe: ${(error as Error).message}`);
    return undefined;
  }
}
