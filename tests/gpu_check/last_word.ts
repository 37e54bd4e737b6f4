/** What a thread that ends its process is told. */
export interface LastWord {
  /** Milliseconds from now on. */
  readonly after: number;
  /** Where the findings are. */
  readonly out: string;
  /** The titles of all parts. */
  readonly titles: readonly string[];
}

/**
 * Ends the process after some time, from a thread of its own: a driver that compiles or computes holds up
 * the first one, and with it all timers. What was found by then is kept, and says where it ended. A process
 * that is done before exits by itself.
 */
export function endAfter(word: LastWord): void {
  const thread = new Worker(new URL("./last_word_thread.ts", import.meta.url), { type: "module" });
  thread.postMessage(word);
}
