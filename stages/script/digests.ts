import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { scriptFiles } from "./user_script.ts";

/** The digests of a script and of all that it imports by relative paths, by name. */
export async function fileDigests(
  file: string,
  files: { digest(path: string): Promise<string> },
): Promise<readonly (readonly [name: string, digest: string])[]> {
  const all = await scriptFiles(file);
  return await Promise.all(
    [...all].sort().map(async ([name, path]) => [name, await files.digest(path)] as const),
  );
}

/** One digest for all of them. */
export async function scriptDigest(file: string): Promise<string> {
  const digests = await fileDigests(file, {
    async digest(path) {
      return createHash("sha256").update(await Deno.readFile(path)).digest("hex");
    },
  });
  return createHash("sha256").update(JSON.stringify(digests)).digest("hex");
}

/** A script that ships with the program, as an example. */
export function scriptExample(name: string): string {
  return fileURLToPath(new URL(`../../configs/scripts/${name}`, import.meta.url));
}
