import { join } from "node:path";
import { readOwnJson, replaceFile } from "./durable.ts";

/**
 * Artifacts that were made for a remote and are not known to be there: `owed/<key>.json` says which
 * remote.
 *
 * It is written before an artifact appears and goes when it was copied. So what a run that was killed
 * or offline could not copy is copied by the next that uses it, and nobody else asks the remote about
 * what is here.
 */
export class Owed {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Notes that a remote is to have an artifact. */
  async add(key: string, remote: string): Promise<void> {
    await replaceFile(this.#place(key), JSON.stringify({ remote }));
  }

  /** Whether a remote is to have an artifact still. */
  async has(key: string, remote: string): Promise<boolean> {
    const read = await readOwnJson(this.#place(key)).catch(() => undefined);
    return (read as { readonly remote?: unknown } | null | undefined)?.remote === remote;
  }

  /** Forgets an artifact that has been copied, or is gone. */
  async settle(key: string): Promise<void> {
    await Deno.remove(this.#place(key)).catch(() => {});
  }

  #place(key: string): string {
    return join(this.#directory, `${key}.json`);
  }
}
