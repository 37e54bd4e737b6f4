import { capital, counted, EPISODES, speech, withArticle } from "./stories_episodes.ts";
import { type Random, seededRandom } from "./stories_random.ts";
import { MORALS } from "./stories_words.ts";
import { drawWorld, type World } from "./stories_world.ts";

/** Tells the story of a seed: an opening, four to six episodes and an ending with its moral. */
function tale(seed: number): string {
  const random = seededRandom(seed);
  const world = drawWorld(random);
  const start = opening(world, random);
  const events = random.shuffle(EPISODES).slice(0, 4 + random.below(3));
  const middle = events.map((event) => event(world, random)).join(" ");
  return `${start}\n${middle}\n${ending(world, random)}`;
}

function opening(world: World, random: Random): string {
  const { hero, friend, pet, treasure, holder } = world;
  const first = random.pick([
    `Once there was ${withArticle(hero.trait)} ${hero.child} named ${hero.name}.`,
    `Long ago there lived ${withArticle(hero.trait)} ${hero.child} called ${hero.name}.`,
    `This is the story of ${hero.name}, ${withArticle(hero.trait)} ${hero.child}.`,
  ]);
  const facts = [
    `${capital(hero.he)} lived ${hero.home} and wore ${withArticle(hero.garment)}.`,
    `${hero.name} had a friend, ${
      withArticle(friend.trait)
    } ${friend.child} named ${friend.name}, ` +
    `who lived ${friend.home} and wore ${withArticle(friend.garment)}.`,
  ];
  const things = [
    `They had ${withArticle(pet.colour)} ${pet.kind} called ${pet.name}, ` +
    random.pick([`which always slept ${pet.bed}.`, `and ${pet.name} always slept ${pet.bed}.`]),
    `${holder.name} ` +
    random.pick(["owned", "had found", "carried"]) +
    ` ${withArticle(treasure.look)} ${treasure.noun}.`,
  ];
  return [first, ...facts, ...random.shuffle(things)].join(" ");
}

function ending(world: World, random: Random): string {
  const { hero, friend, elder, pet, treasure, holder, fruit } = world;
  const recalled = [
    `${pet.name} slept ${pet.bed}.`,
    `The ${treasure.look} ${treasure.noun} was safe with ${holder.name}.`,
    `${hero.name} went home to the house ${hero.home}.`,
  ];
  if (world.count !== undefined) {
    recalled.push(`${hero.name} still had ${counted(world.count, fruit)}.`);
  }
  if (world.secret !== undefined) {
    recalled.push(
      `${speech(random, elder, "what was the word?")} ${speech(random, hero, world.secret)}`,
    );
  }
  const last = random.shuffle(recalled).slice(0, 3);
  if (world.promise !== undefined) {
    last.unshift(
      `On ${world.promise} ${friend.name} came back in ${friend.his} ${friend.garment}, ` +
        `as ${friend.he} had promised.`,
    );
  }
  const lesson = random.pick(["And they learned that", `${hero.name} always said that`, "So"]);
  return [...last, `${lesson} ${MORALS[hero.trait]}.`].join(" ");
}

/** Who may read the stories: the training of the embedded model, a method, or the final score. */
export type Split = "train" | "calibration" | "test";

/** First seed of each split; a split never reaches the next one's. */
const FIRST_SEED: Readonly<Record<Split, number>> = {
  train: 0,
  calibration: 2 ** 30,
  test: 2 ** 31,
};

/**
 * Stories of our own making, the language of the embedded model.
 *
 * Whole stories separated by an empty line, as many as it takes to reach `bytes`; all text is
 * ASCII. The same call gives the same text on every machine, a longer text begins with the shorter
 * one, and splits share no story. Throws RangeError for a size that is not a positive whole number.
 */
export function stories(options: { readonly split: Split; readonly bytes: number }): string {
  const { split, bytes } = options;
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new RangeError(
      `Cannot tell ${bytes} bytes of stories: the size is not usable, expected a whole number from 1`,
    );
  }
  const told: string[] = [];
  let seed = FIRST_SEED[split];
  for (let size = 0; size < bytes;) {
    const story = tale(seed++);
    told.push(story);
    size += story.length + 2;
  }
  return told.join("\n\n");
}
