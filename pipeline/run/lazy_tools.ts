/** Tools that are made when they are first asked for, and disposed of once. */
export interface LazyTools {
  /** The tools; all callers get the same. */
  open(): Promise<unknown>;
  /** What the tools say of the machine, such as its adapter; nothing before they are open. */
  environment(): Promise<Readonly<Record<string, string>>>;
  /** Disposes of the tools, if anyone asked for them. */
  close(): Promise<void>;
}

/** Puts off making tools: a run in which every step is reused needs none. */
export function lazyTools(make: () => unknown): LazyTools {
  let tools: Promise<unknown> | undefined;
  return {
    open: () => tools ??= (async () => await make())(),
    environment: async () => {
      const made = await tools?.catch(() => undefined);
      return tellsEnvironment(made) ? await made.environment() : {};
    },
    close: async () => {
      const made = await tools?.catch(() => undefined);
      if (isDisposable(made)) await made[Symbol.asyncDispose]();
    },
  };
}

/** Tools that say which machine's arithmetic they have; undefined for others. */
export function tellsMachine(tools: unknown): { machine(): Promise<string> } | undefined {
  const named = typeof tools === "object" && tools !== null && "machine" in tools &&
    typeof tools.machine === "function";
  return named ? tools as { machine(): Promise<string> } : undefined;
}

function tellsEnvironment(
  value: unknown,
): value is { environment(): Promise<Readonly<Record<string, string>>> } {
  return typeof value === "object" && value !== null && "environment" in value &&
    typeof value.environment === "function";
}

function isDisposable(value: unknown): value is AsyncDisposable {
  return typeof value === "object" && value !== null && Symbol.asyncDispose in value;
}
