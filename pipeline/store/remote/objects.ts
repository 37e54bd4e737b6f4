import type { CheckedFile } from "./checked_file.ts";
import type { LocalFile } from "../remote.ts";

/** Bytes by name in some place. A name shows all of its bytes or is not there. */
export interface Objects {
  /** How messages call the place. */
  readonly name: string;
  /** Bytes of an object, or undefined where it is not there. */
  size(name: string): Promise<number | undefined>;
  /** A small object; throws a {@linkcode WrongObject} where it has more bytes than `limit`. */
  read(name: string, limit: number): Promise<Uint8Array | undefined>;
  /** Streams an object into a file; false where it is not there. */
  fetch(name: string, file: CheckedFile, signal?: AbortSignal): Promise<boolean>;
  /** Writes a small object, replacing what is there. */
  put(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Streams a file there, replacing what is there; refuses one that is not as it was recorded. */
  upload(name: string, file: LocalFile, signal?: AbortSignal): Promise<void>;
}
