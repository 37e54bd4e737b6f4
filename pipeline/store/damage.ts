import { join } from "node:path";
import type { FileRecord } from "../artifact.ts";
import { type FileState, fileStateOf, unsettled } from "./file_state.ts";
import { fileDigest } from "./hash.ts";
import { same, type States } from "./verified.ts";

/**
 * How far files are looked at before they are used.
 *
 * `stat`: their bytes are read unless size, time and inode are those they had when they were read
 * last. `size`: only sizes. `full`: all bytes are read.
 */
export type Verify = (typeof VERIFY)[number];

/** The words for it; the first is meant unless said. */
export const VERIFY = ["stat", "size", "full"] as const;

/** What is wrong with an artifact's files, or the states in which they were found to be right. */
export type FileCheck = { readonly why: string } | { readonly states: States };

/** Compares files with their records; those in a state that is known are not read. */
export async function checkFiles(
  directory: string,
  { files, known, verify }: {
    readonly files: readonly FileRecord[];
    readonly known: States;
    readonly verify: Verify;
  },
): Promise<FileCheck> {
  const states: (FileState | null)[] = [];
  for (const [i, { path, size, sha256 }] of files.entries()) {
    const full = join(directory, path);
    const info = await Deno.stat(full).catch(() => undefined);
    if (info === undefined || !info.isFile) return { why: `${path} is missing` };
    if (info.size !== size) return { why: `${path} has ${info.size} bytes, expected ${size}` };
    const state = fileStateOf(info);
    if (verify === "size" || same(state, known[i])) {
      states.push(known[i] ?? null);
      continue;
    }
    const settled = unsettled(state, Date.now()) === 0;
    const read = await readDigest(full);
    if (read === undefined) return { why: `${path} cannot be read from the disk` };
    if (read !== sha256) return { why: `${path} has other bytes than recorded` };
    states.push(settled ? state : null);
  }
  return { states };
}

/** Sha256 of a file's bytes, or undefined where the disk does not give them any more. */
async function readDigest(path: string): Promise<string | undefined> {
  return await fileDigest(path).catch((error) => {
    if (error.code !== "EIO") throw error;
    return undefined;
  });
}
