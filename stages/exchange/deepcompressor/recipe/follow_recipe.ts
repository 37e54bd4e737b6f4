import { draftOf } from "./draft.ts";
import { draftText } from "./manifest_text.ts";
import type { Notes } from "./notes.ts";
import { readRecipe } from "./read_recipe.ts";
import { openSection, type RecipeNode, type RecipePlace } from "./recipe_tree.ts";

/** Something to be told of a recipe, with where it was written. */
export interface Finding extends RecipePlace {
  readonly message: string;
}

/** What becomes of a recipe. */
export interface FollowedRecipe {
  /** The manifest, which may not be used where there are problems. */
  readonly text: string;
  /** Why the recipe cannot be followed. */
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
}

/** What a user says beside the recipe. */
export interface FollowOptions {
  /** The files it was merged from, the last one on top. */
  readonly files: readonly string[];
  /** The model whose tuned exponents to take, such as `"llama-2-7b"`. */
  readonly model?: string;
}

/**
 * Turns a DeepCompressor recipe into a manifest.
 *
 * A comment tells what has no counterpart or is done otherwise; what would change the meaning without
 * being seen is a problem. Every key that DeepCompressor does not know is a warning.
 */
export function followRecipe(
  tree: RecipeNode | undefined,
  { files, model }: FollowOptions,
): FollowedRecipe {
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  const place: RecipePlace = { source: files.at(-1) ?? "" };
  const findings = {
    refuse: (place: RecipePlace, message: string) => void problems.push({ ...place, message }),
    warn: (place: RecipePlace, message: string) => void warnings.push({ ...place, message }),
  };
  const root = openSection(tree, { path: "", place, findings });
  const recipe = readRecipe(root);
  root.warnOfRest();
  const noting = (comments: string[]): Notes => ({
    ...findings,
    note: (text) => {
      if (!comments.includes(text)) comments.push(text);
    },
  });
  const draft = draftOf(recipe, { noting, model });
  const comments = [
    `From DeepCompressor's ${files.map((file) => file.replace(/^.*[\\/]/, "")).join(" and ")}.`,
    ...draft.comments,
  ];
  return { text: draftText({ ...draft, comments }), problems, warnings };
}
