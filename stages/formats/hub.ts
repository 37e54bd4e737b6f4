import { snapshotDownload } from "@huggingface/hub";

const PREFIX = "hf:";

/**
 * The local directory of a model: `hf:org/name@revision` is brought from the hub into the cache
 * that Python's `huggingface_hub` shares, anything else is a path already.
 *
 * Files that are there are not fetched again. With HF_HUB_OFFLINE set nothing is fetched.
 */
export async function resolveModel(
  place: string,
  _options: Readonly<Record<never, never>>,
): Promise<string> {
  if (!place.startsWith(PREFIX)) return place;
  const [repo = "", revision = "main"] = place.slice(PREFIX.length).split("@");
  const environment = Deno.env.toObject();
  const cacheDir = environment.HF_HUB_CACHE ??
    `${environment.HF_HOME ?? `${environment.HOME}/.cache/huggingface`}/hub`;
  const cached = await cachedSnapshot(`${cacheDir}/models--${repo.replace("/", "--")}`, revision);
  if (environment.HF_HUB_OFFLINE) {
    if (cached) return cached;
    throw new Error(
      `Cannot load "${place}": HF_HUB_OFFLINE is set and ${cacheDir} has no snapshot of it, expected one; unset it or give a directory`,
    );
  }
  return await snapshotDownload({
    repo,
    revision,
    cacheDir,
    ...(environment.HF_ENDPOINT ? { hubUrl: environment.HF_ENDPOINT } : {}),
    ...(environment.HF_TOKEN ? { accessToken: environment.HF_TOKEN } : {}),
  });
}

async function cachedSnapshot(directory: string, revision: string): Promise<string | undefined> {
  const commit = await Deno.readTextFile(`${directory}/refs/${revision}`).catch(() => revision);
  const path = `${directory}/snapshots/${commit.trim()}`;
  return await Deno.stat(path).then(() => path, () => undefined);
}
