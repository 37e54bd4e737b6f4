import type { Constraint, Vocabulary } from "../../stages/engine/grammar.ts";

/**
 * Draws an answer token by token among those a constraint allows, each as likely as any other; gives
 * its text, or undefined where it does not end in time.
 */
export async function randomAnswer(
  constraint: Constraint,
  { bytes, offsets, ends }: Vocabulary,
  { next, most }: { readonly next: () => number; readonly most: number },
): Promise<string | undefined> {
  const parts: number[] = [];
  for (let count = 0; count < most; count++) {
    await constraint.settled();
    if (constraint.failure !== undefined) throw new Error(constraint.failure);
    const words = constraint.allowed!;
    const allowed: number[] = [];
    for (let token = 0; token < offsets.length - 1; token++) {
      if ((words[token >>> 5]! >>> (token & 31) & 1) === 1) allowed.push(token);
    }
    if (allowed.length === 0) throw new Error("nothing may come next");
    // An answer that may end does so now and then, else hardly any would.
    const end = allowed.find((token) => ends.includes(token));
    const token = end !== undefined && next() < 0.3
      ? end
      : allowed[Math.floor(next() * allowed.length)]!;
    if (ends.includes(token)) {
      return new TextDecoder("utf-8", { fatal: true }).decode(
        Uint8Array.from(parts),
      );
    }
    parts.push(...bytes.subarray(offsets[token]!, offsets[token + 1]!));
    constraint.accept(token);
  }
  return undefined;
}
