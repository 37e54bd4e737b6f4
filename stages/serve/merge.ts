/** Something of one of several sources. */
export interface Sourced<T> {
  readonly source: number;
  readonly value: T;
}

/**
 * Runs several sources at once and gives what comes in the order it comes.
 *
 * Where one fails, or the reader leaves, `stop` is called and the others are waited for: nothing goes
 * on behind a request's back.
 */
export async function* merge<T>(
  sources: readonly AsyncIterable<T>[],
  stop: () => void,
): AsyncGenerator<Sourced<T>> {
  const queue: Sourced<T>[] = [];
  let running = sources.length;
  let failure: { readonly error: unknown } | undefined;
  let wake = Promise.withResolvers<void>();
  const drain = async (values: AsyncIterable<T>, source: number) => {
    try {
      for await (const value of values) {
        queue.push({ source, value });
        wake.resolve();
      }
    } catch (error) {
      failure ??= { error };
    } finally {
      running--;
      wake.resolve();
    }
  };
  const drained = Promise.all(sources.map(drain));
  try {
    for (;;) {
      while (queue.length > 0 && !failure) yield queue.shift()!;
      if (failure) throw failure.error;
      if (running === 0) return;
      await wake.promise;
      wake = Promise.withResolvers();
    }
  } finally {
    if (running > 0) stop();
    await drained;
  }
}
