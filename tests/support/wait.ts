/**
 * Waits until something is so, half a minute at most: a test that waits for ever tells nobody what
 * for.
 *
 * @throws If it does not come to it; the message has the words of the function.
 */
export async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!await is()) {
    if (performance.now() > end) throw new Error(`Not so after half a minute: ${is}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
