import { compares } from "./operators.ts";
import { TemplateError } from "./template_error.ts";
import {
  Callable,
  Lazy,
  numberOf,
  NumberRange,
  type TemplateValue,
  Tuple,
  Undefined,
  View,
} from "./values.ts";

/** What is asked of a value behind `is`, with how many arguments. */
export interface Test {
  readonly args: number;
  readonly run: (value: TemplateValue, argument: TemplateValue) => boolean;
}

function of(run: (value: TemplateValue) => boolean): Test {
  return { args: 0, run };
}

function compared(operator: "==" | "!=" | "<" | "<=" | ">" | ">=" | "in"): Test {
  return { args: 1, run: (value, other) => compares(operator, value, other) };
}

function remainder(value: TemplateValue, by: bigint): bigint {
  const number = numberOf(value);
  if (typeof number === "bigint" && by !== 0n) return ((number % by) + by) % by;
  if (value instanceof Undefined) value.fail();
  throw new TemplateError("a test divides what is no whole number, or by zero");
}

const isSequence = (value: TemplateValue) =>
  typeof value === "string" || Array.isArray(value) || value instanceof Tuple ||
  value instanceof Map || value instanceof NumberRange || value instanceof Undefined;
const isInteger = (value: TemplateValue) => typeof value === "bigint";
const isFloat = (value: TemplateValue) => typeof value === "number";

/** Jinja's tests by their names, but those of the engine itself. */
export const TESTS: Readonly<Record<string, Test>> = {
  boolean: of((value) => typeof value === "boolean"),
  callable: of((value) => value instanceof Callable),
  defined: of((value) => !(value instanceof Undefined)),
  divisibleby: {
    args: 1,
    run: (value, by) => remainder(value, typeof by === "bigint" ? by : 0n) === 0n,
  },
  eq: compared("=="),
  equalto: compared("=="),
  even: of((value) => remainder(value, 2n) === 0n),
  false: of((value) => value === false),
  float: of(isFloat),
  ge: compared(">="),
  greaterthan: compared(">"),
  gt: compared(">"),
  in: compared("in"),
  integer: of(isInteger),
  iterable: of((value) => isSequence(value) || value instanceof Lazy || value instanceof View),
  le: compared("<="),
  lessthan: compared("<"),
  lower: of((value) => {
    const text = String(value);
    return text === text.toLowerCase() && text !== text.toUpperCase();
  }),
  lt: compared("<"),
  mapping: of((value) => value instanceof Map),
  ne: compared("!="),
  none: of((value) => value === null),
  number: of((value) => isInteger(value) || isFloat(value) || typeof value === "boolean"),
  odd: of((value) => remainder(value, 2n) === 1n),
  sameas: { args: 1, run: (value, other) => value === other },
  sequence: of(isSequence),
  string: of((value) => typeof value === "string"),
  true: of((value) => value === true),
  undefined: of((value) => value instanceof Undefined),
  upper: of((value) => {
    const text = String(value);
    return text === text.toUpperCase() && text !== text.toLowerCase();
  }),
};
