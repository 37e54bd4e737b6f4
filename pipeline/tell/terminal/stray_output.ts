import { format } from "node:util";

/** Hands what packages print to the console to `say` until disposed of. */
export function catchConsole(say: (text: string) => void): Disposable {
  const { console } = globalThis;
  const { log, info, debug, warn, error } = console;
  const stray = (...words: unknown[]) => say(format(...words));
  Object.assign(console, { log: stray, info: stray, debug: stray, warn: stray, error: stray });
  return {
    [Symbol.dispose]: () => void Object.assign(console, { log, info, debug, warn, error }),
  };
}
