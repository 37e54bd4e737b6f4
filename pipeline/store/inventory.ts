import { join } from "node:path";
import { entriesOf } from "./directories.ts";

/** Directories of a store that hold files of artifacts, whole, damaged or unfinished. */
const DIRECTORIES = ["artifacts", "quarantine", "tmp", "journal"] as const;

/** A file with all its names. */
export interface Inode {
  readonly size: number;
  /** Names it has anywhere, as the system counts them. */
  readonly links: number;
  /** Its names in the store. */
  readonly places: string[];
}

/** A directory of the store that is kept or removed as a whole. */
export interface Item {
  /** Which of them it lies in, as `gc` calls it. */
  readonly room: (typeof DIRECTORIES)[number];
  readonly name: string;
  readonly path: string;
  /** Time of its last change, in milliseconds. */
  readonly changed: number;
  readonly inodes: ReadonlySet<Inode>;
}

/** All files of a store. */
export interface Inventory {
  readonly items: readonly Item[];
  /** Files in `files/`. */
  readonly shared: readonly Inode[];
  /** Size of all files, those with several names once. */
  readonly bytes: number;
  /** What the sizes of all names come to, but those in `files/`. */
  readonly apparentBytes: number;
}

/** Looks at every file of a store; those that go meanwhile are left out. */
export async function takeInventory(store: string): Promise<Inventory> {
  const known = new Map<string, Inode>();
  const items: Item[] = [];
  for (const room of DIRECTORIES) {
    for (const { name } of await entriesOf(join(store, room))) {
      const path = join(store, room, name);
      const info = await Deno.lstat(path).catch(() => undefined);
      if (info === undefined) continue;
      const inodes = new Set(await filesBelow(path, known));
      items.push({ room, name, path, changed: info.mtime?.getTime() ?? 0, inodes });
    }
  }
  const sizes = [...known.values()].map(({ size, places }) => size * places.length);
  const apparentBytes = sum(sizes);
  const shared = await filesBelow(join(store, "files"), known);
  const bytes = sum([...known.values()].map(({ size }) => size));
  return { items, shared, bytes, apparentBytes };
}

async function filesBelow(path: string, known: Map<string, Inode>): Promise<Inode[]> {
  const info = await Deno.lstat(path).catch(() => undefined);
  if (info === undefined) return [];
  if (info.isDirectory) {
    const names = await entriesOf(path);
    return (await Promise.all(names.map(({ name }) => filesBelow(join(path, name), known)))).flat();
  }
  // Without inode numbers every name is a file of its own.
  const id = info.ino ? `${info.dev}:${info.ino}` : path;
  const inode = known.get(id) ?? { size: info.size, links: info.nlink ?? 1, places: [] };
  known.set(id, inode);
  inode.places.push(path);
  return [inode];
}

/** What some numbers come to. */
export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
