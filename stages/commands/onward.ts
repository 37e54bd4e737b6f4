import { SMALL_MODELS } from "./small_models.ts";

/** What one might do after a good run: talk to the model, and take another. */
export function onward(
  manifest: string,
): readonly { readonly about: string; readonly words: readonly string[] }[] {
  return [
    { about: "Talk to it", words: ["serve", manifest] },
    { about: "Another model", words: ["run", manifest, "--set", `model=${SMALL_MODELS[0]!.name}`] },
  ];
}
