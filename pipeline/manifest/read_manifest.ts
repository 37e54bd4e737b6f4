import type { Manifest, ManifestOptions } from "./manifest.ts";
import { ManifestError } from "./problem.ts";
import { type Resolved, resolveManifest } from "./resolve.ts";
import { readFile } from "./sources.ts";

/** Reads and checks a manifest file; see {@linkcode parseManifest}. */
export async function readManifest(
  path: string,
  options: Omit<ManifestOptions, "path">,
): Promise<Manifest> {
  return (await readResolved(path, options)).manifest;
}

/** Reads and checks a manifest file, and keeps where everything comes from. */
export function readResolved(
  path: string,
  options: Omit<ManifestOptions, "path">,
): Promise<Resolved> {
  const { read = readFile } = options;
  return Promise.try(() => {
    let text: string;
    try {
      text = read(path);
    } catch (error) {
      const message = `Cannot read the manifest: ${(error as Error).message}`;
      throw new ManifestError([{ source: path, message }]);
    }
    return resolveManifest(text, { ...options, path });
  });
}

/**
 * Checks a manifest against the stages there are, and fills in params and defaults.
 *
 * Throws a {@linkcode ManifestError} with everything that is wrong, and nothing else.
 */
export function parseManifest(text: string, options: ManifestOptions): Manifest {
  return resolveManifest(text, options).manifest;
}
