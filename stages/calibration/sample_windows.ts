/** The first `windows` pieces of `context` tokens of a tokens artifact. */
export async function sampleWindows(
  path: string,
  { windows, context }: { readonly windows: number; readonly context: number },
): Promise<Uint32Array[]> {
  const all = new Uint32Array((await Deno.readFile(`${path}/tokens.u32`)).buffer);
  if (windows * context > all.length) {
    throw new RangeError(
      `Cannot take ${windows} samples of ${context} tokens: the text has ${all.length}, expected at least ${
        windows * context
      }; lower windows or context, or use a longer text`,
    );
  }
  return Array.from(
    { length: windows },
    (_, i) => all.subarray(i * context, (i + 1) * context),
  );
}
