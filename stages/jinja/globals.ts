import { bind, textArgument } from "./arguments.ts";
import { TEMPLATE_LIMITS } from "./budget.ts";
import { Scope } from "./scope.ts";
import { strftime } from "./strftime.ts";
import { checkMember } from "./members.ts";
import { TemplateError } from "./template_error.ts";
import {
  Callable,
  iterate,
  Namespace,
  NumberRange,
  sequenceOf,
  type TemplateCall,
  type TemplateValue,
  toKey,
  typeName,
  Undefined,
} from "./values.ts";

function range({ args, named }: TemplateCall): TemplateValue {
  const bounds = args.map((each) => {
    if (typeof each === "bigint") return each;
    if (typeof each === "boolean") return each ? 1n : 0n;
    if (each instanceof Undefined) each.fail();
    throw new TemplateError(`'${typeName(each)}' object cannot be interpreted as an integer`);
  });
  if (bounds.length < 1 || bounds.length > 3 || named.size > 0) {
    throw new TemplateError(`range takes one to three numbers, got ${bounds.length + named.size}`);
  }
  const [start, stop] = bounds.length === 1 ? [0n, bounds[0]!] : [bounds[0]!, bounds[1]!];
  const step = bounds[2] ?? 1n;
  if (step === 0n) throw new TemplateError("range() arg 3 must not be zero");
  const span = step > 0n ? stop - start : start - stop;
  const size = step > 0n ? step : -step;
  const count = span <= 0n ? 0n : (span + size - 1n) / size;
  if (count > BigInt(TEMPLATE_LIMITS.range)) {
    throw new TemplateError(
      `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${TEMPLATE_LIMITS.range}).`,
    );
  }
  const items = Array.from({ length: Number(count) }, (_, at) => start + BigInt(at) * step);
  return new NumberRange(start, stop, step, items);
}

/** Entries of a dict, or pairs, with what is named besides. */
function entries({ args, named }: TemplateCall): [TemplateValue, TemplateValue][] {
  const [first] = args;
  if (args.length > 1) throw new TemplateError(`expected at most 1 argument, got ${args.length}`);
  const found: [TemplateValue, TemplateValue][] = first === undefined
    ? []
    : first instanceof Map
    ? [...first]
    : [...iterate(first)].map((pair) => {
      const [key, value] = sequenceOf(pair) ?? [];
      if (key === undefined || value === undefined) throw new TemplateError("expected pairs");
      return [key, value];
    });
  return [...found, ...named];
}

function namespace(call: TemplateCall): TemplateValue {
  const made = new Namespace();
  for (const [key, value] of entries(call)) {
    const name = textArgument("namespace", key);
    checkMember(name);
    made.members.set(name, value);
  }
  return made;
}

function cycler({ args }: TemplateCall): TemplateValue {
  if (args.length === 0) throw new TemplateError("at least one item has to be provided");
  let at = 0;
  const next = new Callable("method next", () => args[at++ % args.length]!);
  const reset = new Callable("method reset", () => {
    at = 0;
    return null;
  });
  const members = (name: string): TemplateValue | undefined =>
    name === "next"
      ? next
      : name === "reset"
      ? reset
      : name === "current"
      ? args[at % args.length]
      : undefined;
  return new Callable("cycler", () => {
    throw new TemplateError("'Cycler' object is not callable");
  }, members);
}

function joiner(call: TemplateCall): TemplateValue {
  const [separator = ", "] = bind("joiner", call, "sep?");
  let used = false;
  return new Callable("joiner", () => {
    const text = used ? separator : "";
    used = true;
    return text;
  });
}

/** What every chat template may call: Jinja's own, and what transformers adds. */
export function globalScope(now: () => Date): Scope {
  const scope = new Scope();
  const functions: Readonly<Record<string, (call: TemplateCall) => TemplateValue>> = {
    cycler,
    dict: (call) => new Map(entries(call).map(([key, value]) => [toKey(key), value])),
    joiner,
    namespace,
    raise_exception: (call) => {
      throw new TemplateError(
        textArgument("raise_exception", bind("raise_exception", call, "message")[0]),
      );
    },
    range,
    strftime_now: (call) =>
      strftime(textArgument("strftime_now", bind("strftime_now", call, "format")[0]), now()),
  };
  for (const [name, run] of Object.entries(functions)) {
    scope.set(name, new Callable(`function ${name}`, run));
  }
  return scope;
}
