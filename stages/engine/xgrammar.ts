import { createRequire } from "node:module";

type XGrammar = typeof import("@mlc-ai/web-xgrammar");

/** The library, and what it said last when it gave up. */
export interface LoadedGrammars {
  readonly library: XGrammar;
  /** Takes what was said since it was asked last. */
  said(): string;
}

/**
 * Loads `@mlc-ai/web-xgrammar` 0.1.27.
 *
 * Its one file is no module, though its package says so: what it holds is put on the global object, and
 * it looks for what CommonJS has. Of what is wrong in a grammar it tells the console alone. So it is
 * loaded in a thread that does nothing else.
 */
export async function loadXGrammar(): Promise<LoadedGrammars> {
  const place = globalThis as unknown as Record<string, unknown>;
  place["require"] = createRequire(import.meta.url);
  place["__filename"] = place["__dirname"] = "xgrammar";
  let lines: string[] = [];
  const say = (...words: readonly unknown[]) => void lines.push(words.join(" "));
  Object.assign(place["console"] as object, { error: say, warn: say });
  await import("@mlc-ai/web-xgrammar");
  return {
    library: place["xgrammar"] as XGrammar,
    said() {
      const text = lines.join("\n");
      lines = [];
      return text;
    },
  };
}
