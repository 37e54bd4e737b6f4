import type { Random } from "./stories_random.ts";
import { DAYS, MOMENTS, NUMBERS, SECRETS, WEATHERS } from "./stories_words.ts";
import type { Child, Person, World } from "./stories_world.ts";

/** Tells one event, true to the world, and changes the world where the event does. */
export type Episode = (world: World, random: Random) => string;

/** Events a story strings together in any order, each at most once. */
export const EPISODES: readonly Episode[] = [
  giveTreasure,
  useTreasure,
  askForTreasure,
  gather,
  losePet,
  feedPet,
  weather,
  visit,
  mistake,
  promise,
  secret,
  race,
];

function giveTreasure(world: World, random: Random): string {
  const giver = world.holder;
  const taker = otherChild(world, giver);
  world.holder = taker;
  return [
    `${random.pick(MOMENTS)} ${giver.name} gave the ${world.treasure.noun} to ${taker.name}.`,
    speech(random, giver, random.pick(["keep it safe", "it is yours now", "you may need it"])),
    random.pick([
      `So now ${taker.name} had the ${world.treasure.look} ${world.treasure.noun}.`,
      `${taker.name} thanked ${giver.him} and put it under ${taker.his} ${taker.garment}.`,
    ]),
  ].join(" ");
}

function useTreasure(world: World, random: Random): string {
  const { holder, treasure } = world;
  return [
    `${random.pick(MOMENTS)} there was trouble. ${treasure.trouble}.`,
    random.pick([
      `But ${holder.name} had the ${treasure.noun}.`,
      `Luckily the ${treasure.look} ${treasure.noun} was with ${holder.name}.`,
    ]),
    `${capital(holder.he)} ${treasure.deed}, and ${treasure.end}.`,
  ].join(" ");
}

function askForTreasure(world: World, random: Random): string {
  const { elder, holder, treasure } = world;
  const other = otherChild(world, holder);
  return [
    `${random.pick(MOMENTS)} they met ${elder.name}.`,
    speech(random, elder, `who has the ${treasure.look} ${treasure.noun}?`),
    random.pick([
      speech(random, holder, "I have it"),
      speech(random, other, `${holder.name} has it`),
    ]),
    `${capital(elder.he)} was glad to hear it.`,
  ].join(" ");
}

function gather(world: World, random: Random): string {
  const { hero, friend, fruit } = world;
  const found = 1 + random.below(6);
  const added = 1 + random.below(6);
  const lost = 1 + random.below(found + added - 1);
  const left = found + added - lost;
  world.count = left;
  return [
    `${random.pick(MOMENTS)} ${hero.name} found ${counted(found, fruit)}.`,
    `${friend.name} gave ${hero.him} ${counted(added, fruit)} more, so ${hero.he} had`,
    `${counted(found + added, fruit)}.`,
    `But ${hero.he} lost ${counted(lost, fruit)} on the way, and then only`,
    `${counted(left, fruit)} ${left === 1 ? "was" : "were"} left.`,
  ].join(" ");
}

function losePet(world: World, random: Random): string {
  const { pet } = world;
  const seeker = random.pick([world.hero, world.friend]);
  return [
    `${random.pick(MOMENTS)} ${pet.name} was gone.`,
    speech(random, seeker, `where is our ${pet.kind}?`),
    `They looked in the garden and in the field, but ${pet.name} was not there.`,
    `At last ${seeker.name} looked ${pet.bed}, and there sat the ${pet.colour} ${pet.kind}.`,
    random.pick([
      `${pet.name} ${pet.call}, and everyone laughed.`,
      `It was the place where ${pet.name} always slept.`,
    ]),
  ].join(" ");
}

function feedPet(world: World, random: Random): string {
  const { pet } = world;
  const feeder = random.pick([world.hero, world.friend]);
  return [
    `${
      random.pick(MOMENTS)
    } ${pet.name} was hungry, so ${feeder.name} gave the ${pet.kind} ${pet.food}.`,
    `The ${pet.colour} ${pet.kind} ${pet.call} ${random.pick(["happily", "softly", "twice"])}.`,
  ].join(" ");
}

function weather(world: World, random: Random): string {
  const { cause, effect, feel } = random.pick(WEATHERS);
  const child = random.pick([world.hero, world.friend]);
  const other = otherChild(world, child);
  return [
    `${cause}, so ${effect}.`,
    `${child.name} was ${feel}, but ${other.name} gave ${child.him} ${other.his} ${other.garment}.`,
    random.pick([
      `${capital(child.he)} was soon well again.`,
      `"Now I have your ${other.garment} and my ${child.garment}," said ${child.name}.`,
    ]),
  ].join(" ");
}

function visit(world: World, random: Random): string {
  const guest = random.pick([world.hero, world.friend]);
  const host = otherChild(world, guest);
  const where = `the house ${host.home}`;
  return [
    `${random.pick(MOMENTS)} ${guest.name} walked to ${where}, because ${host.name} lived there.`,
    speech(random, host, random.pick(["come in", "you are welcome here", "let us eat"])),
    `They ate ${random.pick(["soup", "bread", "cake", "cheese"])} and talked about`,
    `${random.pick([`the ${world.treasure.noun}`, world.elder.name, world.pet.name])} until`,
    `${random.pick(["noon", "midnight", "dinner"])}.`,
  ].join(" ");
}

function mistake(world: World, random: Random): string {
  const { elder } = world;
  const child = random.pick([world.hero, world.friend]);
  return [
    `${random.pick(MOMENTS)} ${elder.name} saw a child on the road.`,
    speech(random, elder, `are you ${otherChild(world, child).name}?`),
    speech(random, child, `no, I am ${child.name}, and I live ${child.home}`),
    `Then ${elder.he} saw the ${child.garment} and knew that it was true.`,
  ].join(" ");
}

function promise(world: World, random: Random): string {
  const { friend, hero } = world;
  const day = random.pick(DAYS);
  world.promise = day;
  return [
    `${random.pick(MOMENTS)} ${friend.name} had to leave.`,
    speech(random, friend, `I will come back on ${day}`),
    `${hero.name} ${random.pick(["waved", "cried a little", "smiled"])} and counted the days.`,
  ].join(" ");
}

function secret(world: World, random: Random): string {
  const { elder, hero } = world;
  const word = random.pick(SECRETS);
  world.secret = word;
  return [
    `${random.pick(MOMENTS)} ${elder.name} told ${hero.name} a secret word.`,
    `The word was ${word}.`,
    speech(random, elder, random.pick(["do not forget it", "tell it to nobody"])),
  ].join(" ");
}

function race(world: World, random: Random): string {
  const { pet } = world;
  const [first, second, third] = random.shuffle([world.hero.name, world.friend.name, pet.name]);
  return [
    `${random.pick(MOMENTS)} they ran a race to the ${random.pick(["tower", "gate", "lake"])}.`,
    `${first} was first, ${second} was second, and ${third} was last.`,
    speech(random, world.elder, `who won the race?`),
    `It was ${first}, and the prize was ${
      withArticle(random.pick(["orange", "cake", "flower", "egg"]))
    }.`,
  ].join(" ");
}

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
function otherChild(world: World, child: Child): Child {
  return child === world.hero ? world.friend : world.hero;
}
