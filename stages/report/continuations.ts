/** Texts that several models continued, each on from the same words. */
export interface Continuations {
  readonly title: string;
  readonly models: readonly { readonly label: string; readonly scheme: string }[];
  readonly texts: readonly {
    readonly prompt: string;
    /** What each model wrote, in the order of the models. */
    readonly answers: readonly string[];
  }[];
}

/** Words at the beginning of a text that are those of another. */
export function sharedWords(text: string, other: string): number {
  const [words, others] = [spacedWords(text), spacedWords(other)];
  const differs = words.findIndex((word, at) => word !== others[at]);
  return differs === -1 ? words.length : differs;
}

/** The words of a text. */
export function spacedWords(text: string): readonly string[] {
  return text.split(/\s+/).filter(Boolean);
}
