import type { Findings, RecipeSection } from "./recipe_tree.ts";

/** What is found on the way, and what a manifest should tell of it in a comment. */
export interface Notes extends Findings {
  note(text: string): void;
}

/** Refuses a key of a block: what is, and what should be. */
export function refuse(
  { section }: { readonly section: RecipeSection },
  notes: Findings,
  { key, is, expected }: { readonly key: string; readonly is: string; readonly expected: string },
): void {
  notes.refuse(
    section.placeOf(key),
    `Cannot follow ${section.path}.${key}: ${is}, expected ${expected}`,
  );
}
