import { type Split, stories } from "../data/stories.ts";
import { seededRandom } from "../data/stories_random.ts";
import { TREASURES } from "../data/stories_words.ts";

/** Which stories items are made of: those that are scored, or those that are shown before. */
export type GeneratedSplit = Split;

/** Fields of an item. */
type Item = Readonly<Record<string, unknown>>;

/** Items of each task, and characters of stories that have so many. */
const ITEMS = 100;
const BYTES = 2 ** 20;

/** Items made of the stories of the embedded model: a beginning, and what the story says next. */
export const GENERATED_ROWS: Readonly<Record<string, (split: GeneratedSplit) => readonly Item[]>> =
  {
    story_endings: (split) => itemsOf(split, ending),
    story_holders: (split) => itemsOf(split, holder),
    story_last_words: (split) => itemsOf(split, lastWord),
  };

function itemsOf(
  split: GeneratedSplit,
  make: (story: string, index: number) => Item | undefined,
): readonly Item[] {
  const items: Item[] = [];
  for (const [index, story] of stories({ split, bytes: BYTES }).split("\n\n").entries()) {
    const item = make(story, index);
    if (item) items.push(item);
    if (items.length === ITEMS) break;
  }
  return items;
}

/** How the trouble of a story ends: by its treasure, or by what three others are for. */
function ending(story: string, index: number): Item | undefined {
  const all = TREASURES.map(({ deed, end }) => `${deed}, and ${end}`);
  const right = all.find((ending) => story.includes(` ${ending}.`));
  if (right === undefined) return undefined;
  const random = seededRandom(index);
  const others = random.shuffle(all.filter((ending) => ending !== right));
  const endings = random.shuffle([right, ...others.slice(0, 3)]);
  const context = story.slice(0, story.indexOf(` ${right}.`));
  return { context, endings, answer: endings.indexOf(right) };
}

/** Who has the treasure in the end, of the two children that had it in turn. */
function holder(story: string): Item | undefined {
  const [, hero] = /^(?:.*? (?:named|called) (\w+)\.|This is the story of (\w+),)/.exec(story)
    ?.filter((part) => part !== undefined) ?? [];
  const friend = /had a friend, an? \w+ \w+ named (\w+)/.exec(story)?.[1];
  const safe = /The [\w ]+ was safe with (\w+)\./.exec(story);
  if (!hero || !friend || !safe) return undefined;
  const children = [hero, friend].toSorted();
  const context = story.slice(0, safe.index + safe[0].lastIndexOf(" "));
  return { context, children, answer: children.indexOf(safe[1]!) };
}

/** The last word of where the pet slept, which the beginning has told. */
function lastWord(story: string): Item | undefined {
  const [beginning = "", ...rest] = story.split("\n");
  const bed = / always slept ((?:\w+ )+\w+)\./.exec(beginning)?.[1];
  const ending = rest.at(-1) ?? "";
  const at = ending.indexOf(` slept ${bed}.`);
  if (bed === undefined || at < 0) return undefined;
  const until = story.length - ending.length + at + ` slept ${bed}`.length;
  return { text: story.slice(0, until) };
}
