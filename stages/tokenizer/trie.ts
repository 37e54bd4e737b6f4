interface Branch {
  next?: Map<number, Branch>;
  value?: number;
}

/** Words by their code units: which of them a text has at a place. */
export class Trie {
  readonly #root: Branch = {};

  /** Adds a word; the first value that a word gets stays. */
  add(word: string, value: number): void {
    let branch = this.#root;
    for (let at = 0; at < word.length; at++) {
      branch.next ??= new Map();
      let next = branch.next.get(word.charCodeAt(at));
      if (!next) branch.next.set(word.charCodeAt(at), next = {});
      branch = next;
    }
    branch.value ??= value;
  }

  /** Where the words end that begin at a place, with their values, shortest first. */
  *prefixes(text: string, at: number): Generator<readonly [end: number, value: number]> {
    let branch: Branch | undefined = this.#root;
    for (let end = at; end < text.length;) {
      branch = branch.next?.get(text.charCodeAt(end++));
      if (!branch) return;
      if (branch.value !== undefined) yield [end, branch.value];
    }
  }

  /** Where the longest word ends that begins at a place, and its value. */
  longest(text: string, at: number): readonly [end: number, value: number] | undefined {
    if (!this.#root.next?.has(text.charCodeAt(at))) return undefined;
    let found: readonly [number, number] | undefined;
    for (const each of this.prefixes(text, at)) found = each;
    return found;
  }
}
