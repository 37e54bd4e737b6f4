import { readFirstToken } from "../models/first_token.ts";
import { cutWindows, type WindowChoice } from "../models/text_windows.ts";

/** The first `windows` pieces of `context` tokens of a tokens artifact, for a model in `model`. */
export async function sampleWindows(
  paths: { readonly model: string; readonly tokens: string },
  { windows, context, bos }: WindowChoice & { readonly windows: number },
): Promise<Uint32Array[]> {
  const text = new Uint32Array((await Deno.readFile(`${paths.tokens}/tokens.u32`)).buffer);
  const first = bos && await readFirstToken(paths.model);
  const cut = cutWindows(text, { windows, context, bos }, first);
  return Array.from(
    { length: windows },
    (_, i) => cut.subarray(i * context, (i + 1) * context),
  );
}
