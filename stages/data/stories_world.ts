import type { Random } from "./stories_random.ts";
import * as words from "./stories_words.ts";

/** Someone with facts that stay true for the whole story. */
export interface Person {
  /** How the person is called inside a sentence. */
  readonly name: string;
  readonly he: "he" | "she";
  readonly his: "his" | "her";
  readonly him: "him" | "her";
}

/** A child of the story. */
export interface Child extends Person {
  readonly child: "boy" | "girl";
  readonly trait: keyof typeof words.MORALS;
  /** Colour and piece, such as `red scarf`. */
  readonly garment: string;
  readonly home: string;
}

/** Everything a story knows. Episodes change what is not `readonly` and later ones rely on it. */
export interface World {
  readonly hero: Child;
  readonly friend: Child;
  readonly elder: Person;
  readonly pet: {
    readonly name: string;
    readonly colour: string;
    readonly kind: string;
    readonly call: string;
    readonly food: string;
    readonly bed: string;
  };
  readonly treasure: typeof words.TREASURES[number] & { readonly look: string };
  readonly fruit: typeof words.FRUITS[number];
  /** Who has the treasure now. */
  holder: Child;
  /** Pieces of fruit the hero has; undefined until they are first counted. */
  count: number | undefined;
  /** Day on which the friend will come back. */
  promise: string | undefined;
  /** Word the elder told the hero. */
  secret: string | undefined;
}

/** Draws the people and things of a story. */
export function drawWorld(random: Random): World {
  const colours = random.shuffle(words.COLOURS);
  const homes = random.shuffle(words.HOMES);
  const traits = random.shuffle(Object.keys(words.MORALS) as Child["trait"][]);
  const girls = random.shuffle(words.GIRLS);
  const boys = random.shuffle(words.BOYS);
  const drawChild = (place: number): Child => {
    const female = random.below(2) === 0;
    return {
      name: (female ? girls : boys)[place] as string,
      ...pronouns(female),
      child: female ? "girl" : "boy",
      trait: traits[place] as Child["trait"],
      garment: `${colours[place]} ${random.pick(words.GARMENTS)}`,
      home: homes[place] as string,
    };
  };
  const hero = drawChild(0);
  const friend = drawChild(1);
  const elder = random.pick(words.ELDERS);
  return {
    hero,
    friend,
    elder: { name: elder.title, ...pronouns(elder.female) },
    pet: {
      ...random.pick(words.PETS),
      name: random.pick(words.PET_NAMES),
      colour: random.pick(words.PET_COLOURS),
      bed: random.pick(words.BEDS),
    },
    treasure: { ...random.pick(words.TREASURES), look: random.pick(words.LOOKS) },
    fruit: random.pick(words.FRUITS),
    holder: random.pick([hero, friend]),
    count: undefined,
    promise: undefined,
    secret: undefined,
  };
}

function pronouns(female: boolean): Pick<Person, "he" | "his" | "him"> {
  return female ? { he: "she", his: "her", him: "her" } : { he: "he", his: "his", him: "him" };
}
