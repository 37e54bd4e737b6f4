import { dirname, isAbsolute, join, relative } from "node:path";

const YAML = /\.ya?ml$/i;
/** Names of recipes that DeepCompressor reads and we do not. */
export const TOML = /\.toml$/i;

/** The file of a directory that lies under the recipes in it and below. */
const DEFAULTS = ["__default__.yaml", "__default__.yml", "__default__.toml"];

/**
 * All files of a recipe, those underneath first, each once.
 *
 * Words that are neither YAML nor TOML name text files that list some, a line each.
 */
export function recipeFiles(
  words: readonly string[],
  read: (path: string) => string | undefined,
): readonly string[] {
  const listed = words.filter((path) => !YAML.test(path) && !TOML.test(path)).flatMap((path) => {
    const text = read(path);
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
  const below = !near.startsWith("..") && !isAbsolute(near);
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
