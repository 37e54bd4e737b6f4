import type { Provenance } from "./provenance.ts";
import { openSource, type Source } from "./subject.ts";

/** Where the model that an export was made from may be found. */
export interface OriginalOptions {
  /** By path and content digest, where the user names it. */
  readonly artifact?: { readonly path: string; readonly digest?: string };
  /** Finds an artifact with a content digest, where there is one. */
  find(digest: string): Promise<string | undefined>;
}

/** The model an export was made from: the one that is named, else the one its provenance means. */
export async function openOriginal(
  provenance: Provenance | undefined,
  { artifact, find }: OriginalOptions,
  warnings: string[],
): Promise<Source | undefined> {
  if (artifact) {
    const { path, digest } = artifact;
    const other = provenance && digest !== undefined && digest !== provenance.model;
    if (other) {
      warnings.push(
        `it was made from the model ${provenance.model.slice(0, 12)}, but is compared with ${
          digest.slice(0, 12)
        }`,
      );
    }
    return await openSource(path);
  }
  const found = provenance && await find(provenance.model);
  if (found !== undefined) return await openSource(found);
  warnings.push(
    provenance
      ? `the model it was made from, ${
        provenance.model.slice(0, 12)
      }, is not in the store, so that values are not compared; name it with --artifact`
      : "nothing says which model it was made from, so that values are not compared; name it with --artifact",
  );
  return undefined;
}
