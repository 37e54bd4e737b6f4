/** What DeepCompressor saves of a model: dequantized weights, and their scales. */
export const SAVED_FILES = { weights: "model.pt", scales: "scale.pt" } as const;

/** Whether a path is a directory with a model that DeepCompressor saved. */
export async function isDeepCompressor(path: string): Promise<boolean> {
  const found = await Promise.all(
    Object.values(SAVED_FILES).map((name) => Deno.stat(`${path}/${name}`).catch(() => undefined)),
  );
  return found.every((info) => info?.isFile);
}
