import { SMALL_MODELS } from "./small_models.ts";

/** What one might do after a good run: talk to the model, and take another. */
export function onward(
  manifest: string,
): readonly { readonly about: string; readonly words: readonly string[] }[] {
  // What it made is what serve takes where nothing is said.
  const first = /(^|[\\/])start\.yaml$/.test(manifest);
  return [
    { about: "Talk to it", words: ["serve", ...first ? [] : [manifest]] },
    {
      about: "Another model",
      words: [
        "run",
        first ? "configs/qoq.yaml" : manifest,
        "--set",
        `model=${SMALL_MODELS[0]!.name}`,
      ],
    },
  ];
}
