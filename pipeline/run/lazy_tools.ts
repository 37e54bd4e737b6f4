/** Tools that are made when they are first asked for, and disposed of once. */
export interface LazyTools {
  /** The tools; all callers get the same. */
  open(): Promise<unknown>;
  /** Disposes of the tools, if anyone asked for them. */
  close(): Promise<void>;
}

/** Puts off making tools: a run in which every step is reused needs none. */
export function lazyTools(make: () => unknown): LazyTools {
  let tools: Promise<unknown> | undefined;
  return {
    open: () => tools ??= (async () => await make())(),
    close: async () => {
      const made = await tools?.catch(() => undefined);
      if (isDisposable(made)) await made[Symbol.asyncDispose]();
    },
  };
}

function isDisposable(value: unknown): value is AsyncDisposable {
  return typeof value === "object" && value !== null && Symbol.asyncDispose in value;
}
