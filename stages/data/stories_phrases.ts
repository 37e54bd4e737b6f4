import type { Random } from "./stories_random.ts";
import { NUMBERS } from "./stories_words.ts";
import type { Child, Person, World } from "./stories_world.ts";

/** The text with a capital letter in front. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The phrase behind `a` or `an`, as its first sound wants. */
export function withArticle(phrase: string): string {
  return `${/^[aeiou]/.test(phrase) ? "an" : "a"} ${phrase}`;
}

/** A count in words with its noun in the right number. */
export function counted(count: number, noun: World["fruit"]): string {
  return `${NUMBERS[count]} ${count === 1 ? noun.one : noun.many}`;
}

/** Direct speech; `words` ends without a mark, a question with its own. */
export function speech(random: Random, speaker: Person, words: string): string {
  const asks = words.endsWith("?");
  const verb = asks ? "asked" : "said";
  return random.below(3) === 0
    ? `${capital(speaker.name)} ${verb}, "${capital(words)}${asks ? "" : "."}"`
    : `"${capital(words)}${asks ? "" : ","}" ${verb} ${speaker.name}.`;
}

/** Whichever of the two children this is not. */
export function otherChild(world: World, child: Child): Child {
  return child === world.hero ? world.friend : world.hero;
}
