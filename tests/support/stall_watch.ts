/** What others noticed of a server while something went on there. */
export interface Stalls {
  /** Milliseconds of the slowest answer of `/health`. */
  readonly health: number;
  /** Milliseconds of the longest time between two pieces of a stream. */
  readonly gap: number;
}

/** Asks a server for its health, and reads a stream of it, while `work` goes on. */
export async function watchStalls(
  url: string,
  work: () => Promise<unknown>,
  { headers = {}, maxTokens = 1000 }: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly maxTokens?: number;
  } = {},
): Promise<Stalls> {
  let [health, gap, last] = [0, 0, NaN];
  let going = true;
  const leaving = new AbortController();
  const asking = (async () => {
    while (going) {
      const start = performance.now();
      await (await fetch(`${url}/health`)).body?.cancel();
      health = Math.max(health, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  const open = () =>
    fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ prompt: "a", max_tokens: maxTokens, ignore_eos: true, stream: true }),
      signal: leaving.signal,
    });
  const first = await open();
  const reading = (async () => {
    for (let stream = first; going; stream = await open()) {
      // Before its first piece a stream waits in the queue.
      last = NaN;
      for await (const _ of stream.body!) {
        const now = performance.now();
        if (going && last < now) gap = Math.max(gap, now - last);
        last = now;
      }
      last = NaN;
    }
  })().catch(() => {});
  try {
    await work();
    // The stream's next piece shows whether it was held up until now.
    if (!Number.isNaN(last)) gap = Math.max(gap, performance.now() - last);
  } finally {
    going = false;
    await asking;
    leaving.abort();
    await reading;
  }
  return { health, gap };
}
