import { withoutSecrets } from "./secrets.ts";

/** A step that could not be made. `cause` is what its stage threw; `key` is known if it was begun. */
export class StageError extends Error {
  override readonly name = "StageError";
  readonly step: string;
  readonly key: string | undefined;

  constructor(step: string, { key, cause }: { readonly key?: string; readonly cause: unknown }) {
    super(sentence(step, cause), { cause });
    this.step = step;
    this.key = key;
  }

  /** What JSON lines hold of it. */
  toJSON(): { readonly step: string; readonly key: string | undefined } {
    return { step: this.step, key: this.key };
  }
}

/** One line about anything thrown, without what is secret. */
export function messageOf(error: unknown): string {
  // What went wrong first; that something could not be put away after it says nothing more.
  if (error instanceof SuppressedError) return messageOf(error.suppressed);
  const message = error instanceof Error ? error.message || error.name : String(error);
  return withoutSecrets(message).replaceAll(/\s*\n\s*/g, " ");
}

function sentence(step: string, cause: unknown): string {
  const message = messageOf(cause);
  return message.startsWith("Cannot ") ? message : `Cannot finish step "${step}": ${message}`;
}
