import { fileURLToPath } from "node:url";
import type { Remote } from "../remote.ts";

/** What opens a place, by scheme. */
const SCHEMES: Readonly<Record<string, (place: string) => Promise<Remote>>> = {
  "file:": (place) => openPath(fileURLToPath(place)),
  "s3:": async (place) => (await import("./s3.ts")).openBucket(place),
};

/** Opens a directory, a `file:` URL or `s3://bucket/prefix`; throws a TypeError for any other place. */
export async function openRemote(place: string): Promise<Remote> {
  // Two letters at least: one is a drive.
  const scheme = /^[a-z][a-z0-9+.-]+:(?=\/)/i.exec(place)?.[0].toLowerCase();
  if (scheme === undefined) return await openPath(place);
  const open = SCHEMES[scheme];
  if (open) return await open(place);
  const known = Object.keys(SCHEMES).map((name) => `${name}//`).join(" or ");
  throw new TypeError(
    `Cannot open the remote ${place}: "${scheme}" is unknown, expected a directory, ${known}`,
  );
}

async function openPath(path: string): Promise<Remote> {
  return await (await import("./directory.ts")).openSharedDirectory(path);
}
