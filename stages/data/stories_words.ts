/** Names with the pronouns that go with them everywhere in a story. */
export const GIRLS = [
  ..."Mara Nell Ivy Rosa Petra Lena Wilma Dora Greta Hanna Tilly Maud Freya Sara Olga Bess".split(
    " ",
  ),
] as const;

/** Names of boys. */
export const BOYS = [
  ..."Tom Finn Otto Jonas Emil Hugo Karl Peter Ned Walter Anton Theo Max Oscar Paul Rufus".split(
    " ",
  ),
] as const;

/** What someone is like, and what a story about such a hero teaches. */
export const MORALS = {
  kind: "a kind word is never lost",
  brave: "one brave step makes the next one easy",
  patient: "good things come to those who wait",
  honest: "the truth is the shortest way home",
  clever: "a good question is half of the answer",
  gentle: "a soft hand opens a hard door",
  careful: "it is wise to look twice before you jump",
  cheerful: "a song makes every road shorter",
  generous: "bread tastes best when it is shared",
  loyal: "a true friend stays when the rain comes",
} as const;

/** Colours of garments. */
export const COLOURS = ["red", "blue", "green", "yellow", "white", "grey", "purple", "orange"];

/** What people wear. */
export const GARMENTS = ["scarf", "hat", "coat", "cloak", "shirt", "cap"];

/** Where people live. */
export const HOMES = [
  "by the mill",
  "near the harbour",
  "on the hill",
  "behind the church",
  "beside the well",
  "at the edge of the forest",
  "above the bakery",
  "across the river",
  "next to the school",
  "under the old bridge",
];

/** Grown-ups who ask, warn and advise. */
export const ELDERS = [
  { title: "the miller", female: false },
  { title: "the baker", female: true },
  { title: "the fisherman", female: false },
  { title: "the teacher", female: true },
  { title: "the shepherd", female: false },
  { title: "the queen", female: true },
  { title: "the tailor", female: false },
  { title: "the gardener", female: true },
  { title: "the king", female: false },
  { title: "the doctor", female: true },
];

/** Kinds of pets. */
export const PETS = [
  { kind: "dog", call: "barked", food: "a bone" },
  { kind: "cat", call: "purred", food: "some milk" },
  { kind: "goat", call: "bleated", food: "some hay" },
  { kind: "duck", call: "quacked", food: "some bread" },
  { kind: "donkey", call: "brayed", food: "a carrot" },
  { kind: "owl", call: "hooted", food: "a mouse" },
];

/** Names of pets. */
export const PET_NAMES = [
  ..."Biscuit Pepper Button Clover Muffin Shadow Pickle Thistle Bramble Cricket".split(" "),
] as const;

/** Colours of pets. */
export const PET_COLOURS = ["brown", "black", "spotted", "golden", "grey", "white"];

/** Where pets sleep. */
export const BEDS = [
  "under the table",
  "in the barn",
  "behind the stove",
  "on the roof",
  "in a basket",
  "under the apple tree",
  "beside the door",
  "on the old chair",
  "in the hay",
  "by the fire",
];

/** Things worth keeping: what goes wrong without one, and what its holder then does. */
export const TREASURES = [
  {
    noun: "key",
    trouble: "The door was locked",
    deed: "turned it in the lock",
    end: "the door opened",
  },
  {
    noun: "lantern",
    trouble: "The cave was dark",
    deed: "held it up high",
    end: "there was light",
  },
  {
    noun: "rope",
    trouble: "A lamb had fallen into the well",
    deed: "let it down",
    end: "the lamb was saved",
  },
  {
    noun: "map",
    trouble: "The road was lost in the fog",
    deed: "looked at it for a while",
    end: "the way was clear",
  },
  {
    noun: "bell",
    trouble: "The ships could not see the rocks",
    deed: "rang it all night",
    end: "the ships were safe",
  },
  {
    noun: "whistle",
    trouble: "The sheep had run away",
    deed: "blew it three times",
    end: "the sheep came back",
  },
  {
    noun: "bucket",
    trouble: "The roof was on fire",
    deed: "filled it with water",
    end: "the fire went out",
  },
  {
    noun: "ladder",
    trouble: "A kitten sat at the top of the tower",
    deed: "leaned it on the wall",
    end: "the kitten came down",
  },
  {
    noun: "flute",
    trouble: "The giant was angry",
    deed: "played a slow song on it",
    end: "the giant fell asleep",
  },
  {
    noun: "spoon",
    trouble: "The soup was burning",
    deed: "stirred with it quickly",
    end: "the soup was good again",
  },
] as const;

/** How an object that changes hands looks. */
export const LOOKS = ["old", "small", "heavy", "silver", "copper", "wooden", "shiny", "broken"];

/** What is counted. */
export const FRUITS = [
  { one: "apple", many: "apples" },
  { one: "pear", many: "pears" },
  { one: "berry", many: "berries" },
  { one: "cherry", many: "cherries" },
  { one: "nut", many: "nuts" },
  { one: "egg", many: "eggs" },
  { one: "loaf", many: "loaves" },
  { one: "fish", many: "fishes" },
  { one: "button", many: "buttons" },
  { one: "shell", many: "shells" },
] as const;

/** The words for counts, each at its own index. */
export const NUMBERS = [
  ..."no one two three four five six seven eight nine ten eleven twelve".split(" "),
] as const;

/** Weather with what always follows from it. */
export const WEATHERS = [
  { cause: "It rained all night", effect: "the path was muddy", feel: "wet" },
  { cause: "Snow fell on the village", effect: "the pond was frozen", feel: "cold" },
  { cause: "A strong wind blew", effect: "the boats stayed at home", feel: "cold" },
  { cause: "The sun burned all week", effect: "the stream was dry", feel: "hot" },
  { cause: "Fog came from the sea", effect: "nobody saw the tower", feel: "wet" },
  { cause: "Thunder shook the windows", effect: "the cows would not eat", feel: "afraid" },
] as const;

/** Days of the week. */
export const DAYS = [
  ..."Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(" "),
] as const;

/** Words that are told early in a story and asked for late. */
export const SECRETS = [
  ..."ember willow anchor feather pebble candle raven honey marble saffron".split(" "),
] as const;

/** Times of day. */
export const MOMENTS = [
  "One morning",
  "The next day",
  "After lunch",
  "A little later",
  "That afternoon",
  "Soon",
  "Then",
  "Some days later",
];
