/**
 * One by the number of classes that an answer names, if the right one is among them. LongBench's
 * `classification_score`, with its habit of passing over the class behind one that it drops.
 */
export function classification(
  answer: string,
  right: string,
  classes: readonly string[],
): number {
  const named = classes.filter((name) => answer.includes(name));
  for (let at = 0; at < named.length; at++) {
    const name = named[at]!;
    // The list grows shorter while it is gone through.
    if (right.includes(name) && name !== right) named.splice(named.indexOf(name), 1);
  }
  return named.includes(right) ? 1 / named.length : 0;
}
