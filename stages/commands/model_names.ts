import { impliedHubPlace } from "../formats/hub/place.ts";

/** Whether `load` takes a word for a model that is no path: the one that ships with the program, or the hub's. */
export async function namesModel(word: string): Promise<boolean> {
  return word === "embedded" || word.startsWith("hf:") || await impliedHubPlace(word) !== undefined;
}
