import { isSpace } from "../../jinja/characters.ts";

/** The words of a text between white space, as `str.split()` gives them. */
export function pythonWords(text: string): string[] {
  const words: string[] = [];
  let word = "";
  for (const character of text) {
    if (!isSpace(character)) word += character;
    else if (word !== "") {
      words.push(word);
      word = "";
    }
  }
  return word === "" ? words : [...words, word];
}
