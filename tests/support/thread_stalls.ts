/** Nanoseconds that the thread which asks has run so far, as Linux counts them. */
function threadTime(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]);
}

/**
 * The longest that this thread worked without a turn for anybody else while `work` went on, in
 * milliseconds of its own time: what other processes take of the machine does not count.
 */
export async function longestWork(work: () => Promise<unknown>): Promise<number> {
  let [longest, last] = [0, threadTime()];
  const look = () => {
    const now = threadTime();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  try {
    await work();
    look();
  } finally {
    clearInterval(timer);
  }
  return longest / 1e6;
}
