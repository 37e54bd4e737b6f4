import type { HubOptions } from "./download.ts";
import { impliedHubPlace, parseHubPlace } from "./place.ts";

export type { HubOptions } from "./download.ts";

/** What talks to the hub, with its package: most runs have all they need here. */
const repository = () => import("./repository.ts");

/**
 * The local path of a model: `hf:org/name@revision`, and `org/name` where there is no such path, is
 * brought from the hub into the cache it shares with Python's `huggingface_hub`; anything else is a
 * path already.
 *
 * Fetches only what a checkpoint needs: small files, then safetensors; or the one .gguf file that
 * is named after the revision. What is there is not fetched again, and with HF_HUB_OFFLINE set
 * nothing is.
 */
export async function resolveModel(place: string, options: HubOptions = {}): Promise<string> {
  const parsed = parseHubPlace(await impliedHubPlace(place) ?? place);
  if (parsed === undefined) return place;
  if (parsed.type !== "model") {
    throw new TypeError(`Cannot load "${place}": it is a data set, expected a model`);
  }
  return await (await repository()).fetchPlace(place, parsed, options);
}

/** The local path of one file of the hub, such as `hf:datasets/org/name@revision/test.parquet`. */
export async function resolveFile(place: string, options: HubOptions = {}): Promise<string> {
  const parsed = parseHubPlace(place);
  return parsed === undefined
    ? place
    : await (await repository()).fetchPlace(place, parsed, options);
}

/**
 * The local paths of files of a data set such as `hf:datasets/org/name@revision`, which `choose` takes
 * from the names of all that are there; what it throws is passed on.
 */
export async function resolveChosen(
  place: string,
  choose: (paths: readonly string[]) => readonly string[],
  options: HubOptions = {},
): Promise<readonly string[]> {
  return await (await repository()).fetchChosen(place, parseHubPlace(place)!, { choose, options });
}
