/** A file as its record states it. */
export interface Contents {
  readonly size: number;
  readonly sha256: string;
}

/** A file on this machine that is to have the recorded bytes. */
export interface LocalFile extends Contents {
  readonly path: string;
}

/** An object that is not what its name says, whatever is tried. */
export class WrongObject extends Error {
  override readonly name = "WrongObject";
}

/** What to throw for a local file that is not as it was recorded. */
export function wrongFile(path: string): Error {
  return new Error(`${path} has other bytes than recorded`);
}
